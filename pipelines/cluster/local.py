"""The back end of this machine: each command is a process group of its own, which ends when the process that started it does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipelines import devices
from pipelines.cluster.jobs import Command

WATCHER = Path(__file__).with_name("watched.py")


class Local:
    """Processes of this machine. All of them see all of its GPUs."""

    def capacity(self, cpus: int, gpus: float) -> int:
        places = devices.cores() // cpus
        return max(1, min(places, int(len(devices.gpus()) // gpus)) if gpus else places)

    def start(self, command: Command) -> "Process":
        return Process(command)


class Process:
    """A command in a session of its own, under a watcher: where the pipe between us closes, the watcher ends them all."""

    def __init__(self, command: Command) -> None:
        self._watcher = subprocess.Popen(
            [sys.executable, "-I", "-S", WATCHER, *command.argv],
            env={**os.environ, **command.environment()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def lines(self) -> Iterator[str]:
        """Also what a progress bar draws over itself, as lines."""
        return (line.rstrip("\n") for line in self._watcher.stdout or ())

    def stop(self) -> None:
        if self._watcher.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._watcher.pid, signal.SIGKILL)

    def wait(self) -> int:
        with self._watcher:  # closes the pipes
            code = self._watcher.wait()
        return code if code >= 0 else 128 - code
