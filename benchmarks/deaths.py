"""What the death of workers costs who asks: requests lost on each connection, and the longest time in which nobody was answered."""

import asyncio
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks import harness, models, services, swap

FAMILIES = ("digits", "ocr")
WORKERS, CONNECTIONS, ROUNDS = 2, 16, 3
ANSWERS = 20  # on each connection, before a death and after it
LISTENS = re.compile(r"worker (\d+) (?:listens|starts)")


def measure() -> Iterator[harness.Row]:
    """Two workers and 16 connections: one worker is killed, then both at once; each time after the spare one has loaded."""
    for family in FAMILIES:
        yield from measured(family)


def measured(family: str) -> Iterator[harness.Row]:
    """The rows of one family."""
    words = [sys.executable, "-m", "atelier", "serve", family, "--workers", str(WORKERS), "--port", "{port}"]
    with tempfile.TemporaryDirectory() as scratch:
        side, log = services.Side(words, swap.request(family, models.served(family))), Path(scratch, "log")
        watched = _Watched(services.Service(side, log), log)
        try:
            found = {count: [watched.killed(count) for _ in range(ROUNDS)] for count in (1, WORKERS)}
        finally:
            watched.service.stop()
    for count, rounds in found.items():
        name, losses = f"{count} of {WORKERS} workers killed: {family}", [lost for _, lost in rounds]
        more: harness.Row = {"lost": [sum(lost) for lost in losses], "connections": CONNECTIONS, "workers": WORKERS}
        yield harness.row(f"{name}: lost on one connection", "requests", "less", [max(lost) for lost in losses], **more)
        yield harness.row(f"{name}: without an answer", "s", "less", [seconds for seconds, _ in rounds], **more)


class _Watched:
    """A service whose workers are killed."""

    def __init__(self, service: services.Service, log: Path) -> None:
        self.service, self.log, self.started = service, log, WORKERS + 1

    def killed(self, count: int) -> tuple[float, list[int]]:
        """Kill so many workers that listen: the longest time without an answer, and how many requests each connection lost."""
        services.await_words(self.log, services.LOADED, self.started)
        self.started += count
        load = Load(self.service.address, self.service.side.request)
        return asyncio.run(load.during(lambda: self._kill(count)))

    def _kill(self, count: int) -> None:
        alive = {child.pid: child for child in psutil.Process(self.service.process.pid).children()}
        listening = [alive[pid] for pid in map(int, LISTENS.findall(self.log.read_text())) if pid in alive]
        for worker in listening[:count]:
            worker.send_signal(signal.SIGKILL)


class Load:
    """Connections that ask again and again, and connect again where they were closed."""

    def __init__(self, address: str, sent: services.Request) -> None:
        self.address = urlsplit(address)
        lines = [
            f"POST {sent.path} HTTP/1.1",
            f"Host: {self.address.netloc}",
            f"Content-Type: {sent.kind}",
            f"Content-Length: {len(sent.body)}",
        ]
        self.request = "\r\n".join([*lines, "", ""]).encode() + sent.body
        self.lost, self.answered, self.times, self.over = [0] * CONNECTIONS, [0] * CONNECTIONS, list[float](), False

    async def during(self, event: Callable[[], object]) -> tuple[float, list[int]]:
        """Ask before and after the event: the longest time without an answer, and how many requests each connection lost."""
        asking = [asyncio.create_task(self._ask(number)) for number in range(CONNECTIONS)]
        await self._answers()
        event()
        await self._answers()
        self.over = True
        await asyncio.gather(*asking)
        return max(after - before for before, after in pairwise(self.times)), self.lost

    async def _answers(self) -> None:
        """Wait for so many more answers on each connection."""
        wanted = [number + ANSWERS for number in self.answered]
        while any(number < least for number, least in zip(self.answered, wanted, strict=True)):
            await asyncio.sleep(0.01)

    async def _ask(self, number: int) -> None:
        while not self.over:
            try:
                reader, writer = await asyncio.open_connection(self.address.hostname, self.address.port)
                while not self.over:
                    await self._exchange(reader, writer)
                    self.answered[number] += 1
            except (OSError, asyncio.IncompleteReadError):
                self.lost[number] += 1
            else:
                writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request. Raises OSError or IncompleteReadError where it is not answered."""
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
        if " 200 " not in head.partition("\r")[0]:
            raise ConnectionError(head)
        self.times.append(time.monotonic())
