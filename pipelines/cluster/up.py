"""`make cluster-up nodes=3`: a cluster on the loopback address, until Ctrl-C. Each node has a clone of this project's last commit."""

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines import devices, folders, git
from pipelines.artifacts import remotes
from pipelines.cluster import access
from pipelines.errors import BadSetting


def main(nodes: int, cpus: int | None = None) -> None:
    """Start the nodes, say where they are, and end all of them on Ctrl-C. Raises BadSetting."""
    if nodes < 1:
        raise BadSetting(f"nodes={nodes} is not allowed. Give 1 or more.")
    access.make_token()
    each = cpus or max(1, devices.cores() // nodes)
    clones = [clone(access.FOLDER / f"node-{number}") for number in range(1, nodes + 1)]
    with started(clones, each) as cluster:
        access.at(cluster.address)
        try:
            words = f"{nodes} nodes with {each} core{'s' * (each > 1)} each, at {cluster.address}"
            print(f"{words}. In another terminal: make train family=all on=ray. Ctrl-C ends it.", flush=True)
            signal.signal(signal.SIGTERM, lambda *_: sys.exit())
            while True:
                signal.pause()
        finally:
            access.at(None)


@contextmanager
def started(clones: Sequence[Path], cpus: int) -> Iterator[Any]:
    """A cluster with a node for each clone, the first one its head, until the end of the block."""
    os.environ.update(access.environment())  # before the import: Ray reads it once
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=False, shutdown_at_exit=True)
    try:
        _add(cluster, clones, cpus)
        yield cluster
    finally:
        cluster.shutdown()


def _add(cluster: Any, clones: Sequence[Path], cpus: int) -> None:
    """Start the nodes. Raises NoCluster."""
    try:
        for folder in clones:
            cluster.add_node(**node(folder, cpus))
    except Exception as error:  # Ray raises Exception itself
        words = " ".join(str(error).split())[:200]
        raise access.NoCluster(
            f"A node did not start ({words}). Is this machine overloaded, or short of memory? Give fewer nodes=."
        ) from error


def node(folder: Path, cpus: int, **env: str) -> dict[str, Any]:
    """What a node is started with."""
    return {
        "num_cpus": cpus,
        "object_store_memory": access.OBJECT_STORE,
        "node_ip_address": access.LOOPBACK,
        "include_dashboard": False,
        "env_vars": {"CLUSTER_FOLDER": str(folder.resolve()), **env},
    }


def clone(folder: Path) -> Path:
    """A clone of this project's last commit, new or brought to it, with this project's DVC remote."""
    commit = git.required("rev-parse", "HEAD").decode().strip()
    if not (folder / ".git").exists():
        with folders.replacing(folder) as out:
            git.required("clone", "-q", "--shared", "--no-checkout", ".", str(out))
    git.required("-C", str(folder), "fetch", "-q", "origin")
    git.required("-C", str(folder), "checkout", "-qf", "--detach", commit)
    remotes.share(folder)
    return folder
