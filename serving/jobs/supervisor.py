"""The workers beside a service: as many processes as are wanted, begun again when they die, ended with it.

Of all processes that serve a family out of one store, the first has the crew: it holds a lock for as long as it lives.
"""

import atexit
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

from pipelines import folders, paths

logger = logging.getLogger("atelier.serving")
INTERVAL = 0.5  # seconds between two looks at the workers
PAUSE, LONGEST = 1.0, 60.0  # seconds before a worker that died is begun again: at first, and at most
WELL = 60.0  # seconds: a worker that lived for so long was well
PATIENCE = 10  # seconds for a worker to end


class BadSize(ValueError):
    """A word that is no number of workers."""


def size() -> int:
    """How many workers are wanted beside a service. Raises BadSize."""
    return number("JOBS_WORKERS", os.environ.get("JOBS_WORKERS") or "1")


def number(name: str, word: str) -> int:
    """How many workers the word says; `name` is where it was given. Raises BadSize."""
    if not word.isdecimal() or len(word) > 2:
        raise BadSize(f"{name}={word!r} is no number of workers from 0 to 99. Set 2, for example; 0 leaves the work to `make worker`.")
    return int(word)


class Crew:
    """The workers of one family; nothing is started before follow()."""

    def __init__(self, family: str, workers: int) -> None:
        self.family = family
        self.crew = [_Place(family) for _ in range(workers)]

    def follow(self) -> None:
        """Keep them at work from a thread of its own; they end with this process."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.family}-crew").start()
        atexit.register(self.end)

    def _watch(self) -> None:
        with folders.locked(paths.ROOT / f"{self.family}-workers.lock"):
            while True:
                for place in self.crew:
                    place.look()
                time.sleep(INTERVAL)

    def end(self) -> None:
        """Let them finish the job at work, for a while, and end."""
        for place in self.crew:
            place.close()
        deadline = time.monotonic() + PATIENCE
        for place in self.crew:
            place.left(deadline)


class _Place:
    """One worker, or the one that follows it."""

    def __init__(self, family: str) -> None:
        self.words = [sys.executable, "-m", "serving.jobs.worker", "--family", family, "--parent", str(os.getpid())]
        self.process: subprocess.Popen[bytes] | None = None
        self.closed, self._pause, self._begun, self._died = False, 0.0, 0.0, 0.0

    def look(self) -> None:
        """Begin a worker where there is none, and not too soon after the last one."""
        if self.closed or (self.process and self.process.poll() is None):
            return
        if self.process is not None:
            return self._bury(self.process.returncode)
        if time.monotonic() - self._died >= self._pause:
            self._begun = time.monotonic()
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL)

    def _bury(self, status: int) -> None:
        from serving import telemetry  # Prometheus reads its environment when it is imported; `python -m serving` imports this first

        self.process, self._died = None, time.monotonic()
        telemetry.forget_the_dead()
        self._pause = PAUSE if self._died - self._begun > WELL or not self._pause else min(2 * self._pause, LONGEST)
        logger.error("a worker has ended with status %s; another begins in %g s", status, self._pause)

    def close(self) -> None:
        self.closed = True
        if self.process:
            self.process.terminate()

    def left(self, deadline: float) -> None:
        """Wait for its end until the deadline, and no longer."""
        if self.process:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(max(0.1, deadline - time.monotonic()))
            self.process.kill()
