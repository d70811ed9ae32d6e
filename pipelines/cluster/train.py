"""`make train family=all on=ray`: the stale candidates trained side by side on the nodes of a cluster, and decided on here.

Data are made here and sent to DVC's remote; each node trains in its own clone and sends the result there; `dvc repro` then restores it from
the run cache instead of training. What arrives is held against the digest that the node reported.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from pipelines import discovery
from pipelines.artifacts import lock, remotes
from pipelines.cluster import backends
from pipelines.cluster.jobs import Backend, Command
from pipelines.models import manifests

SIGNALLED = 128  # exit codes above it: the command was killed, or its node is lost
TRIES = 3  # of a candidate whose node is lost


class Failed(RuntimeError):
    """Candidates that were not trained, or arrived as others than they were sent."""


def main(families: Sequence[str], on: str, cpus: int = 1, gpus: float = 0, nodes: int = 1) -> int:
    """Train, each candidate on so many nodes at once, and promote; the exit code of DVC. Raises BadSetting, RemoteFault or Failed."""
    promotions = [f"promote@{family}" for family in families]
    backend = backends.named(on)
    remotes.check(Path.cwd())
    ingests = [f"ingest@{family}" for family in families]
    if code := dvc("repro", *ingests) or dvc("push", "--run-cache", *ingests):
        return code
    digests = trained(stale(families), backend, partial(Command, cpus=cpus, gpus=gpus, nodes=nodes))
    code = dvc("repro", "--pull", *promotions)
    if other := [name for name, digest in digests.items() if manifests.verified(Path("models", name))["digest"] != digest]:
        raise Failed(f"{', '.join(other)}: what arrived is not what the node trained. Run the same command again; `make verify` says more.")
    return code


def dvc(*words: str) -> int:
    """The exit code of a DVC command."""
    return subprocess.run([sys.executable, "-m", "dvc", *words], check=False).returncode


def stale(families: Sequence[str]) -> list[str]:
    """The candidates whose training DVC would run."""
    stages = {f"train@{candidate}": candidate for family in families for candidate in discovery.candidates(family)}
    done = subprocess.run([sys.executable, "-m", "dvc", "status", "--json", *stages], stdout=subprocess.PIPE, check=True)
    return [candidate for stage, candidate in stages.items() if stage in json.loads(done.stdout)]


def trained(candidates: Sequence[str], backend: Backend, command: Callable[..., Command]) -> dict[str, str]:
    """Train each as a command of the back end; {candidate: digest of its model}. Raises Failed once all have ended."""
    asked = command([])
    places = backend.capacity(asked.cpus, asked.gpus) // asked.nodes
    with ThreadPoolExecutor(max(1, min(len(candidates), places))) as pool:
        found = list(pool.map(lambda candidate: _trained(candidate, backend, command), candidates))
    digests = {name: digest for name, digest in zip(candidates, found, strict=True) if digest}
    if failed := [name for name in candidates if name not in digests]:
        raise Failed(f"{', '.join(failed)} not trained; the lines above say why. What is trained stays: run the same command again.")
    return digests


def _trained(candidate: str, backend: Backend, command: Callable[..., Command]) -> str | None:
    """The digest of its model; None where it failed. Where a node is lost, another one takes over."""
    data = lock.hash_of(Path("data", discovery.family_of(candidate)))
    argv = [sys.executable, "-m", "pipelines.cluster.stage", candidate, str(data)]
    for _ in range(TRIES):
        job, last = backend.start(command(argv)), ""
        for last in filter(str.strip, job.lines()):
            print(f"[{candidate}] {last}", flush=True)
        if (code := job.wait()) <= SIGNALLED:
            return str(json.loads(last)["digest"]) if code == 0 else None
    return None
