"""A real RabbitMQ for the tests: a node of its own, on free ports of the loopback address, that can be killed and started again."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's wrapper in /usr/sbin would change user and folder
LOOPBACK = "127.0.0.1"
PATIENCE = 60  # seconds to start
CONFIG = """
listeners.tcp.local = {address}:{port}
loopback_users.guest = true
"""


class Rabbit:
    """A node whose data lie in `folder`; what was queued is there again when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.epmd, self.distribution = free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "rabbitmq.conf").write_text(CONFIG.format(address=LOOPBACK, port=self.port))
        (folder / "enabled_plugins").write_text("[].")
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, **self._owner())

    @property
    def url(self) -> str:
        """What BROKER_URL is to be."""
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            options = {"cwd": self.folder, "env": self._environment(), "stdout": log, "stderr": log, "start_new_session": True}
            self.process = subprocess.Popen([PROGRAM], **options, **self._owner(), extra_groups=[] if os.geteuid() == 0 else None)
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """End it, and the port mapper that Erlang has started beside it."""
        self.kill()
        for process in psutil.process_iter(["name"]):
            if process.info["name"] == "epmd" and self._ours(process):
                process.kill()

    def _ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("ERL_EPMD_PORT") == str(self.epmd)
        except psutil.Error:
            return False

    def answers(self) -> bool:
        """Does it speak AMQP?"""
        try:
            with socket.create_connection((LOOPBACK, self.port), 5) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(connection.recv(1))
        except OSError:
            return False

    def _environment(self) -> dict[str, str]:
        inside = {name: str(self.folder / name.lower()) for name in ("MNESIA_BASE", "LOG_BASE", "GENERATED_CONFIG_DIR")}
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),  # for the cookie
            **{f"RABBITMQ_{name}": value for name, value in inside.items()},
            "RABBITMQ_NODENAME": f"atelier{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_DIST_PORT": str(self.distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self.epmd),
        }

    @staticmethod
    def _owner() -> dict[str, int]:
        """The user that runs it: the one that runs the tests, or where that is root, the package's own user."""
        if os.geteuid():
            return {"user": os.geteuid(), "group": os.getegid()}
        entry = pwd.getpwnam("rabbitmq")
        return {"user": entry.pw_uid, "group": entry.pw_gid}


@contextmanager
def node() -> Iterator[Rabbit]:
    """A node that is not started yet, and ended at the end. Skips, loudly, where RabbitMQ is not installed."""
    if not PROGRAM.exists():
        words = "RABBITMQ IS NOT TRIED: it is not here. On Debian: apt-get install rabbitmq-server"
        warnings.warn(words, stacklevel=2)
        pytest.skip(words)
    with tempfile.TemporaryDirectory(prefix="atelier-rabbit-", ignore_cleanup_errors=True) as name:
        rabbit = Rabbit(Path(name))
        try:
            yield rabbit
        finally:
            rabbit.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
