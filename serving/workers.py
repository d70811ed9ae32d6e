"""The processes of `make serve workers=2`: watched, each replaced when it dies by one that is warm already, ended with the service.

All listen on one socket, which this process opens. One more than asked for is started, loads the model and waits: where a worker dies,
it listens at once, and another spare one is started in its place.
"""

import asyncio
import logging
import multiprocessing
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection

import uvicorn

from serving import exits, orphans, telemetry
from serving.server import Server

logger = logging.getLogger("atelier.serving")
SPAWN = multiprocessing.get_context("spawn")
LISTEN, READY, ALIVE = b"listen", b"ready", b"alive"
BEAT, HUNG = 1.0, 120.0  # seconds between two signs of life, and without one until a worker is killed
CALL = 0.02  # seconds between two looks whether a spare worker is called
PAUSE, LONGEST = 1.0, 60.0  # seconds before the next is started where one died young: at first, doubled each time, and at most
STABLE = 60.0  # seconds of life after which a death is no sign of the next one
LOOP = 3  # deaths of young workers in a row that are a crash loop


class Worker:
    """One process, seen from this one."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(config, listening, theirs))
        with _interrupts_blocked():
            self.process.start()
        theirs.close()
        self.ready = False
        self.begun = self.heard = time.monotonic()

    def listen(self) -> None:
        """Let it listen as soon as it is ready."""
        with suppress(OSError):  # it has died
            self.pipe.send_bytes(LISTEN)

    def hear(self) -> None:
        """Read its signs of life; kill it where there are none."""
        with suppress(EOFError, OSError):
            while self.pipe.poll():
                self.ready |= self.pipe.recv_bytes() == READY
                self.heard = time.monotonic()
        if time.monotonic() - self.heard > HUNG:
            logger.error("worker %s gave no sign of life for %g s, and is killed", self.process.pid, HUNG)
            self.process.kill()

    def end(self) -> None:
        """SIGTERM."""
        self.process.terminate()


class Workers:
    """So many workers, and a spare one."""

    def __init__(self, config: uvicorn.Config, count: int) -> None:
        self.config, self.count = config, count
        self.working: list[Worker] = []
        self.spare: Worker | None = None
        self._young, self._next, self._begun = 0, 0.0, False

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C. Raises SystemExit, also where the first workers cannot start."""
        listening = self.config.bind_socket()
        try:
            while True:
                self.keep(listening)
                running = self._running()
                connection.wait([place for worker in running for place in (worker.pipe, worker.process.sentinel)], timeout=self._patience())
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            listening.close()
            self._end()

    def keep(self, listening: socket.socket) -> None:
        """Bury the dead, let the spare one take a place, and start what is missing."""
        for worker in self._running():
            worker.hear()
            self._begun |= worker.ready
            if not worker.process.is_alive():
                self._bury(worker)
        if len(self.working) < self.count and self.spare:
            self._take(self.spare)
            self.spare = None
        if time.monotonic() >= self._next:
            while len(self.working) < self.count:
                self._take(Worker(self.config, listening))
            if self.spare is None and all(worker.ready for worker in self.working):
                self.spare = Worker(self.config, listening)

    def _take(self, worker: Worker) -> None:
        logger.info("worker %s %s", worker.process.pid, "listens" if worker.ready else "starts")
        worker.listen()
        self.working.append(worker)

    def _running(self) -> list[Worker]:
        return [*self.working, *([self.spare] if self.spare else [])]

    def _patience(self) -> float:
        """Seconds until there is something to do."""
        left = self._next - time.monotonic()
        return left if 0 < left < BEAT else BEAT

    def _bury(self, worker: Worker) -> None:
        if not self._begun and (status := worker.process.exitcode or 0) > 0:
            logger.error("worker %s could not start: what it logged says why", worker.process.pid)
            raise SystemExit(status)
        if worker is self.spare:
            self.spare = None
        else:
            self.working.remove(worker)
        worker.pipe.close()
        self._note_death(worker, time.monotonic() - worker.begun)
        telemetry.remove_ended_workers()

    def _note_death(self, worker: Worker, age: float) -> None:
        """Log it, and wait before the next start where it died young."""
        self._young = self._young + 1 if age < STABLE else 0
        pause = min(PAUSE * 2 ** (self._young - 1), LONGEST) if self._young else 0.0
        self._next = time.monotonic() + pause
        ended = exits.why(worker.process.exitcode or 0)
        loop = f"; a crash loop: {self._young} in a row ended within {STABLE:g} s of their start" if self._young >= LOOP else ""
        logger.error("worker %s ended %s after %.0f s; another begins in %g s%s", worker.process.pid, ended, age, pause, loop)

    def _end(self) -> None:
        """End all, and wait: each drains within its limits. Ctrl-C kills them."""
        for worker in self._running():
            worker.end()
        try:
            for worker in self._running():
                worker.process.join()
        finally:
            for worker in self._running():
                worker.process.kill()


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A process that starts now gets no Ctrl-C from the terminal: this one gets it, and ends the others in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Uncalled(Exception):
    """A spare worker is to end."""


class _Server(Server):
    """uvicorn in a worker: loaded at once, and listening once it is called. It ends with the process at the other end of its pipe."""

    def __init__(self, config: uvicorn.Config, pipe: Connection) -> None:
        super().__init__(config)
        self.pipe, self.called = pipe, False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load, say so, and listen once called. One that ends before never listens: nobody would accept who connects to it."""
        load = self.lifespan.startup

        async def load_and_wait() -> None:
            await load()
            if not self.lifespan.should_exit:
                await self._wait()

        self.lifespan.startup = load_and_wait
        try:
            await super().startup(sockets)
        except _Uncalled:
            for listening in sockets or []:
                listening.close()
            await self.lifespan.shutdown()

    async def _wait(self) -> None:
        """Say that the model is loaded, and wait for the call. Raises _Uncalled where the end comes first."""
        self.pipe.send_bytes(READY)
        while not self.called:
            if self.should_exit:
                raise _Uncalled
            await asyncio.sleep(CALL)

    def follow(self) -> None:
        """A thread's: give signs of life and hear the call until the other process has ended; then end this one too."""
        with suppress(EOFError, OSError):
            while True:
                if self.pipe.poll(BEAT):
                    self.called |= self.pipe.recv_bytes() == LISTEN
                else:
                    self.pipe.send_bytes(ALIVE)
        if not self.should_exit:
            orphans.end(self.config.timeout_graceful_shutdown or orphans.PATIENCE)


def _serve(config: uvicorn.Config, listening: socket.socket, pipe: Connection) -> None:
    """What a worker runs."""
    exits.in_order_on_sigterm()
    telemetry.log_as_json()
    server = _Server(config, pipe)
    threading.Thread(target=server.follow, daemon=True, name="parent").start()
    server.run([listening])
