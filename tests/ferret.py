"""A real server of MongoDB's protocol for the tests: FerretDB on SQLite, on a free port of the loopback address, with a password."""

import shutil
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure

PASSWORD = "p@ss:w/rd%1"  # noqa: S105
QUOTED = "p%40ss%3Aw%2Frd%251"


class Server(NamedTuple):
    """A running server, and what MONGO_URL is to be."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Start a server that keeps its data in `folder`; skips the test, loudly, where FerretDB is not installed."""
    address = f"127.0.0.1:{_free_port()}"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    words = {"handler": "sqlite", "sqlite-url": f"file:{folder}/data/", "state-dir": folder, "listen-addr": address, "debug-addr": "-"}
    account = {"setup-database": "atelier", "setup-username": "admin", "setup-password": PASSWORD}
    options = [f"--{name}={word}" for name, word in {**words, **account, "telemetry": "disable", "log-level": "ERROR"}.items()]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([_program(), *options, "--test-enable-new-auth"], stdout=log, stderr=log)
    try:
        _await(address)
        yield Server(f"mongodb://admin:{QUOTED}@{address}/atelier", process)
    finally:
        process.terminate()
        process.wait()


def _program() -> str:
    program = shutil.which("ferretdb")
    if not program:
        words = "THE IMAGE STORE IS NOT TRIED: ferretdb is not on PATH. .ci/ferretdb builds it, with Go"
        warnings.warn(words, stacklevel=4)
        pytest.skip(words)
    return program


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await(address: str) -> None:
    deadline = time.monotonic() + 60
    with MongoClient(f"mongodb://{address}", serverSelectionTimeoutMS=1000) as client:
        while True:
            try:
                client.admin.command("hello")
                return
            except ConnectionFailure:
                assert time.monotonic() < deadline, f"ferretdb does not answer at {address}"
