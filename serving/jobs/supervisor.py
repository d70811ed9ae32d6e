"""The workers beside a service: so many processes, restarted when they die, ended with it.

Of all processes that serve a family out of one store, the first runs the workers: it holds a lock for as long as it lives.
"""

import atexit
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec

from pipelines import discovery, folders, paths
from pipelines.errors import BadSetting
from serving import exits

logger = logging.getLogger("atelier.serving")
INTERVAL = 0.5  # seconds between two polls of the workers
PAUSE, LONGEST = 1.0, 60.0  # seconds before a worker that died is restarted: at first, and at most
STABLE = 60.0  # seconds of life after which the pause starts over
PATIENCE = 10  # seconds for a worker to end


def count(word: str | None = None, name: str = "JOBS_WORKERS") -> int:
    """How many workers are wanted, by this word or else JOBS_WORKERS. Raises BadSetting, which says where the word was given: `name`."""
    word = word or os.environ.get("JOBS_WORKERS") or "1"
    if not word.isdecimal() or len(word) > 2:
        raise BadSetting(f"{name}={word!r} is not a number of workers from 0 to 99. With 0, jobs wait for `make worker`.")
    return int(word)


def with_queue(family: str) -> str:
    """The name of a family that has a queue of jobs. Raises UnknownFamily or BadSetting."""
    queues = [name for name in discovery.names() if find_spec(f"serving.{name}.tasks")]
    if discovery.validate(family) not in queues:
        choices = ", ".join(queues)
        raise BadSetting(f"family={family!r} has no queue of jobs: there is no serving/{family}/tasks.py. Choose one of: {choices}.")
    return family


class Supervisor:
    """The workers of one family; nothing is started before follow()."""

    def __init__(self, family: str, workers: int) -> None:
        self.family = family
        self.workers = [_Worker(family) for _ in range(workers)]

    def start(self) -> None:
        """Start and restart them from a daemon thread; they end with this process."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.family}-workers").start()
        atexit.register(self.end)

    def _watch(self) -> None:
        with folders.locked(paths.ROOT / f"{self.family}-workers.lock"):
            while True:
                for worker in self.workers:
                    worker.poll()
                time.sleep(INTERVAL)

    def end(self) -> None:
        """End the workers; each may finish its current picture, for PATIENCE seconds."""
        for worker in self.workers:
            worker.terminate()
        deadline = time.monotonic() + PATIENCE
        for worker in self.workers:
            worker.wait(deadline)


class _Worker:
    """One worker process, and those that replace it."""

    def __init__(self, family: str) -> None:
        self.command = [sys.executable, "-m", "serving.jobs.worker", "--family", family, "--parent", str(os.getpid())]
        self.process: subprocess.Popen[bytes] | None = None
        self._ending, self._pause, self._begun, self._died = False, 0.0, 0.0, 0.0

    def poll(self) -> None:
        """Start a process where there is none and the pause is over."""
        if self._ending or (self.process and self.process.poll() is None):
            return
        if self.process is not None:
            return self._note_death(self.process.returncode)
        if time.monotonic() - self._died >= self._pause:
            self._begun = time.monotonic()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL)
            if self._died:
                logger.info("worker %s has begun in place of the one that ended", self.process.pid)

    def _note_death(self, status: int) -> None:
        from serving import telemetry  # Prometheus reads its environment when it is imported; `make serve` imports this first

        self.process, self._died = None, time.monotonic()
        telemetry.remove_ended_workers()
        self._pause = PAUSE if self._died - self._begun > STABLE or not self._pause else min(2 * self._pause, LONGEST)
        logger.error("a worker of jobs ended %s; another begins in %g s", exits.why(status), self._pause)

    def terminate(self) -> None:
        self._ending = True
        if self.process:
            self.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait for its end until the deadline, and kill it then."""
        if self.process:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.1, deadline - time.monotonic()))
            self.process.kill()
