"""`python -m pipelines.cluster.stage <candidate> <hash of its data>`: train a candidate in a node's clone, for the machine that asked.

DVC hands over: the data come from its remote by their hash, what has been trained anywhere comes from the run cache, and what is trained
here goes there. The last line is JSON {"candidate", "digest"}. Of several nodes that train it together the first does so; on the others the
same training computes with it.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import yaml

from pipelines import devices, discovery, errors, folders
from pipelines.artifacts import cache, remotes
from pipelines.models import manifests
from pipelines.training import session

PIPELINE = discovery.CONF / "pipeline.yaml"
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


def main(candidate: str, data: str) -> None:
    """Raises RemoteFault where this clone has no DVC remote, or that lacks the data."""
    family = discovery.family_of(candidate)
    remotes.check(Path.cwd())
    remotes.fetch([data])
    with folders.replacing(Path("data", family)) as out:
        cache.restore(data, out)
    run("dvc", "repro", "-s", f"code@{family}")
    if devices.processes() > 1:
        _forget(candidate)
        os.environ.update(dict.fromkeys(INTERFACES, _interface(os.environ["MASTER_ADDR"])))
    if devices.rank():
        words = [f"family={family}", f"candidate={candidate}", f"run={yaml.safe_load(PIPELINE.read_text())['run']}"]
        return run("pipelines.stages.train", *words)
    run("dvc", "repro", "--pull", "-s", f"train@{candidate}")
    run("dvc", "push", "--run-cache", f"train@{candidate}")
    print(json.dumps({"candidate": candidate, "digest": manifests.verified(Path("models", candidate))["digest"]}))


def _forget(candidate: str) -> None:
    """Begin again: one node's checkpoint is not the others'."""
    for checkpoint in session.ROOT.glob(f"{candidate}-*"):
        shutil.rmtree(checkpoint)


def _interface(first: str) -> str:
    """The network interface by which this node reaches the first one: PyTorch would take that of the host's name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((first, 1))  # sends nothing
        own = way.getsockname()[0]
    found = psutil.net_if_addrs().items()
    return next(name for name, addresses in found if own in [each.address for each in addresses])


def run(module: str, *words: str) -> None:
    """Run a module; end with its exit code where it fails."""
    done = subprocess.run([sys.executable, "-m", module, *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    with errors.printed_once():
        main(*sys.argv[1:])
