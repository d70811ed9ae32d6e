"""The queue over RabbitMQ, beside a plain Celery task on the same broker: jobs a second, what one costs, and what a service holds.

Both do `hello`, a grey image of Pillow's. Needs RabbitMQ at BROKER_URL, and a champion of ocr, which is served and not asked.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

from benchmarks import harness, services
from serving.jobs import tasks

JOBS, ROUNDS, ALONE = 1000, 3, 100
STEADY = (0.4, 0.95)  # of the jobs, in the order of their ends: all workers are at work, and none has nothing to do
PICTURE_KB = 100  # of a job that waits


class Side:
    """Jobs that are sent, workers, and when each job ended, in seconds since 1970."""

    def __init__(self, send: Callable[[], Any], worker: list[str], database: Path, ended: str, parse: Callable[[Any], float]) -> None:
        self.send, self.worker, self.database = send, worker, database
        self._ended, self._parse = ended, parse

    def ended(self) -> list[float]:
        """When jobs ended, in that order."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return sorted(self._parse(value) for (value,) in connection.execute(self._ended))

    def count(self) -> int:
        """How many ended."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM ({self._ended})").fetchone()[0])  # noqa: S608

    def until(self, jobs: int) -> list[float]:
        """The same, once there are so many. Raises Stopped."""
        for _ in range(30_000):
            if self.count() >= jobs:
                return self.ended()
            time.sleep(0.01)
        raise harness.Stopped(f"{' '.join(self.worker)}: {self.count()} of {jobs} jobs ended in five minutes. Is BROKER_URL right?")

    @contextmanager
    def working(self, workers: int) -> Iterator[None]:
        """So many workers at work."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [subprocess.Popen(self.worker, **quiet) for _ in range(workers)]  # type: ignore[call-overload]
        try:
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(30)


def measure() -> Iterator[harness.Row]:
    """Ours and the peer's in turn."""
    if not os.environ.get("BROKER_URL"):
        raise harness.Absent("BROKER_URL is not set: start a RabbitMQ, and set BROKER_URL=amqp://guest:guest@127.0.0.1//")
    with tempfile.TemporaryDirectory() as scratch, both(Path(scratch)) as (service, ours, peer):
        rates = {workers: _rates(ours, peer, workers) for workers in (1, 2)}
        for workers, (mine, others) in rates.items():
            yield harness.row(f"queue: jobs a second, {workers} worker{'s' * (workers > 1)}", "jobs/s", "more", mine, others)
        work = _hello_ms()
        costs = [[1000 / rate - work for rate in side] for side in rates[1]]
        yield harness.row("queue: overhead a job at the worker", "ms", "less", costs[0], costs[1], work_ms=round(work, 2))
        with ours.working(1), peer.working(1):
            found = harness.in_turn({"ours": lambda: _alone(ours), "peer": lambda: _alone(peer)}, ROUNDS)
        yield harness.row("queue: a lone job, from sending it to its end", "ms", "less", found["ours"], found["peer"])
        yield _memory(service)


@contextmanager
def both(scratch: Path) -> Iterator[tuple[services.Service, Side, Side]]:
    """The service without workers, and both sides: each with a database and a queue of its own."""
    jobs, results = scratch / "jobs.db", scratch / "results.db"
    variables = {"JOBS_URL": f"sqlite:///{jobs}", "PEER_RESULTS": f"db+sqlite:///{results}", "PEER_QUEUE": f"plain-{uuid.uuid4().hex}"}
    os.environ.update(variables)
    hello = services.Request("/jobs?task=hello", "application/octet-stream", b"")
    serve = [sys.executable, "-m", "atelier", "serve", "ocr", "--jobs", "0", "--port", "{port}"]
    with (
        services.started({"it": services.Side(serve, hello)}) as running,
        httpx.Client(base_url=running["it"].address, timeout=60) as client,
    ):
        plain = import_module("benchmarks.peers.plain_celery")
        worker = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "benchmarks.peers.plain_celery",
            "worker",
            "--pool=solo",
            "--without-gossip",
            "--without-heartbeat",
        ]
        ours = Side(
            lambda: client.post(hello.path).raise_for_status(),
            [sys.executable, "-m", "serving.jobs.worker", "--family", "ocr"],
            jobs,
            "SELECT finished FROM jobs WHERE state = 'done'",
            float,
        )
        sent = Side(
            plain.hello.delay, [*worker, "--without-mingle", "--loglevel=ERROR"], results, "SELECT date_done FROM celery_taskmeta", _utc
        )
        sent.send()  # Celery makes its tables when the first result comes
        with ours.working(1), sent.working(1):
            ours.until(1)
            _tables(sent)
        yield running["it"], ours, sent


def _tables(side: Side) -> None:
    """Wait for the peer's tables, and give them write-ahead logging as ours have, so that readers block no writer."""
    for _ in range(3000):
        try:
            side.until(1)
            with closing(sqlite3.connect(side.database, timeout=30)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            time.sleep(0.01)
    raise harness.Stopped("The peer's worker has answered nothing in half a minute. Is the broker at BROKER_URL there?")


def _utc(written: str) -> float:
    return datetime.fromisoformat(written).replace(tzinfo=UTC).timestamp()


def _rates(ours: Side, peer: Side, workers: int) -> tuple[list[float], list[float]]:
    found = harness.in_turn({"ours": lambda: _rate(ours, workers), "peer": lambda: _rate(peer, workers)}, ROUNDS, warm=0)
    return found["ours"], found["peer"]


def _rate(side: Side, workers: int) -> float:
    """Jobs a second, of as many as wait when the workers begin."""
    before = side.count()
    for _ in range(JOBS):
        side.send()
    with side.working(workers):
        ends = side.until(before + JOBS)[before:]
    first, last = (int(share * JOBS) for share in STEADY)
    return (last - first) / (ends[last] - ends[first])


def _hello_ms() -> float:
    """The work itself, median."""
    return statistics.median(_timed(lambda: tasks.hello(b"", None)) for _ in range(200))  # type: ignore[arg-type]


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _alone(side: Side) -> float:
    """Milliseconds of one job after the other, median."""
    found: list[float] = []
    for _ in range(ALONE):
        before, begun = side.count(), time.time()
        side.send()
        found.append((side.until(before + 1)[-1] - begun) * 1000)
    return statistics.median(found)


def _memory(service: services.Service) -> harness.Row:
    """Megabytes of the service with a thousand images waiting, and before."""
    picture = os.urandom(PICTURE_KB * 1000)
    steps: list[Sequence[float]] = [(0, round(service.memory_mb(), 1))]
    with httpx.Client(base_url=service.address, timeout=60) as client:
        for number in range(1, JOBS + 1):
            client.post("/jobs?task=sepia", content=picture, headers={"Content-Type": "image/png"}).raise_for_status()
            if number % (JOBS // 5) == 0:
                steps.append((number, round(service.memory_mb(), 1)))
    name = f"queue: memory of the service, {JOBS:,} jobs of {PICTURE_KB} kB queued and before"
    return harness.row(name, "MB", "less", [steps[-1][1]], [steps[0][1]], steps=steps)
