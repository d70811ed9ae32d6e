"""The cluster that `on=ray` runs on: its address and its token, and the connection to it.

A token is always asked for: whoever may send a task to a node may run anything there.
"""

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pipelines import folders, paths
from pipelines.errors import BadSetting

FOLDER = paths.ROOT / "cluster"
ADDRESS, TOKEN = FOLDER / "address", FOLDER / "token"
OBJECT_STORE = 100_000_000  # bytes on each node, where Ray would take a third of the memory: tasks give back lines of text
LOOPBACK = "127.0.0.1"
WAIT = 5.0  # seconds for a first answer of the cluster
CHILDREN = "RAY_kill_child_processes_on_worker_exit"  # Ray would kill the watcher of a command (watched.py), and not the command
WAITS = {"RAY_NUM_REDIS_GET_RETRIES": "3", "RAY_raylet_start_wait_time_s": "600"}  # seconds: to connect, and for a node to start
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", CHILDREN: "0", **WAITS}
ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # else Ray takes the machine's own address where it is given the loopback's


class NoCluster(BadSetting):
    """There is no cluster at the address, or it takes another token."""


def environment(host: str = LOOPBACK) -> dict[str, str]:
    """What every process of the cluster at this host has in its environment. Raises NoCluster without a token."""
    token = os.environ.get("RAY_AUTH_TOKEN") or (TOKEN.read_text() if TOKEN.exists() else "")
    if not token:
        raise NoCluster(f"on=ray needs the cluster's token in RAY_AUTH_TOKEN, or {TOKEN}. `make cluster-up` starts a cluster here.")
    return {**QUIET, **(ALONE if host == LOOPBACK else {}), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}


def make_token() -> None:
    """Write a new token for this user alone, where neither RAY_AUTH_TOKEN nor a file has one."""
    if os.environ.get("RAY_AUTH_TOKEN") or TOKEN.exists():
        return
    TOKEN.parent.mkdir(parents=True, exist_ok=True)
    with folders.drafted(TOKEN) as draft:
        draft.touch(0o600)
        draft.write_text(secrets.token_hex(32))


def address() -> str:
    """host:port of RAY_ADDRESS, or of the cluster that `make cluster-up` runs here. Raises NoCluster."""
    found = os.environ.get("RAY_ADDRESS") or (ADDRESS.read_text() if ADDRESS.exists() else "")
    if not found:
        raise NoCluster("on=ray: no cluster is known. Start one here with `make cluster-up nodes=3`, or set RAY_ADDRESS=host:6379.")
    return found


def connected() -> Any:
    """The module `ray`, connected. Raises NoCluster, with the remedy."""
    where = address()
    host, _, port = where.rpartition(":")
    os.environ.update(environment(host))  # before the import: Ray reads it once
    try:
        import ray
    except ModuleNotFoundError:
        raise NoCluster("on=ray needs Ray. `make .venv/with-serve+cluster` installs it.") from None
    if ray.is_initialized():
        return ray
    with tempfile.TemporaryFile() as said:
        try:
            socket.create_connection((host, int(port)), WAIT).close()  # Ray itself tries for minutes
            with _standard_error(said):
                ray.init(address=where, logging_level=logging.ERROR, log_to_driver=False)
        except Exception as error:
            said.seek(0)
            raise _explained(where, error, said.read()) from error
    return ray


@contextmanager
def _standard_error(file: IO[bytes]) -> Iterator[None]:
    """Let this process's standard error go to a file: Ray's library logs there why it does not connect, again and again."""
    before = os.dup(2)
    try:
        os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def _explained(where: str, error: Exception, said: bytes) -> NoCluster:
    if b"InvalidAuthToken" in said:
        return NoCluster(f"The cluster at {where} takes another token. Set RAY_AUTH_TOKEN to the one it was started with, or {TOKEN}.")
    words = " ".join(str(error).split())[:200]
    return NoCluster(f"No cluster answers at {where} ({words}). `make cluster-up` starts one here; RAY_ADDRESS names another.")


def at(address: str | None) -> Path:
    """Note the address of the cluster that runs here, or that none does; the file."""
    if address is None:
        ADDRESS.unlink(missing_ok=True)
    else:
        folders.write(ADDRESS, address)
    return ADDRESS
