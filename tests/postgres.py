"""A real PostgreSQL for the tests: a cluster of its own for each test session, on a free port of the loopback address, with a password.

`postgres` is the URL of a new, empty database for one test; `cluster` the server, for a fixture that lives longer: `cluster.database()`.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

NAME = "admin"
PASSWORD = "p@ss:w/rd%1"  # noqa: S105
QUOTED = "p%40ss%3Aw%2Frd%251"
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "unix_socket_directories": ""}
PATIENCE = 60  # seconds to start


class Cluster(NamedTuple):
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]
    start: Callable[[], subprocess.Popen[bytes]]  # again, after it was stopped

    def database(self) -> str:
        """The URL of a new, empty database, as an administrator would write it."""
        name = f"atelier_{uuid.uuid4().hex}"
        with self._connected() as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return f"postgresql://{NAME}:{QUOTED}@127.0.0.1:{self.port}/{name}"

    def answers(self) -> bool:
        try:
            self._connected().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connected(self) -> Any:
        options = {"host": "127.0.0.1", "port": self.port, "user": NAME, "password": PASSWORD, "dbname": "postgres"}
        return psycopg.connect(**options, autocommit=True, connect_timeout=5)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running(programs()) as server:
        yield server


@pytest.fixture
def postgres(cluster: Cluster) -> str:
    return cluster.database()


@contextmanager
def running(programs: Path) -> Iterator[Cluster]:
    """Start a server whose data lie in a folder of their own; root starts it as another user, since PostgreSQL refuses root."""
    with tempfile.TemporaryDirectory(prefix="atelier-postgres-") as name:
        folder, owner = Path(name), _owner()
        data, secret = folder / "data", folder / "password"
        secret.write_text(PASSWORD)
        for path in (folder, secret):
            shutil.chown(path, **owner)
        options: dict[str, Any] = {"cwd": folder, **({**owner, "extra_groups": []} if owner["user"] != os.geteuid() else {})}
        words = f"--username={NAME} --pwfile={secret} --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync".split()
        subprocess.run([programs / "initdb", f"--pgdata={data}", *words], **options, check=True, capture_output=True)
        with started(programs, data, options) as server:
            yield server


@contextmanager
def started(programs: Path, data: Path, options: dict[str, Any]) -> Iterator[Cluster]:
    """The server on these data; stopped at the end."""
    port = _free_port()
    words = [word for key, value in {**FAST, "listen_addresses": "127.0.0.1", "port": port}.items() for word in ("-c", f"{key}={value}")]

    def start() -> subprocess.Popen[bytes]:
        with (data.parent / "log").open("ab") as log:
            return subprocess.Popen([programs / "postgres", "-D", data, *words], **options, stdout=log, stderr=log)

    process = start()
    server = Cluster(port, process, start)
    try:
        deadline = time.monotonic() + PATIENCE
        while not server.answers():
            assert process.poll() is None and time.monotonic() < deadline, (data.parent / "log").read_text()
            time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: its data are not needed any more
        process.wait()


def _owner() -> dict[str, int]:
    """The user that runs the server: the one that runs the tests, or where that is root, the package's own user."""
    if os.geteuid():
        return {"user": os.geteuid(), "group": os.getegid()}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid}


def programs() -> Path:
    """Where Debian, or PATH, has initdb and postgres; the newest of them. Skips, loudly, where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        words = "POSTGRESQL IS NOT TRIED: its programs are not here. On Debian: apt-get install postgresql"
        warnings.warn(words, stacklevel=2)
        pytest.skip(words)
    return (found[-1] if found else Path(str(on_path)).resolve()).parent


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
