"""What recording costs: requests a second of digits with every answer recorded, and of the same service that records none."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil

from benchmarks import harness, services

ROUNDS, SECONDS = 15, 3  # many short ones in turn: what else the machine does comes and goes
FIGURES: tuple[tuple[str, str, harness.Better], ...] = (("rps", "requests/s", "more"), ("p99", "ms", "less"), ("cpu", "ms of CPU", "less"))
OURS, PEER = "recorded", "not recorded"


def measure() -> Iterator[harness.Row]:
    """Requests a second, p99 and the processor's time of one request, 32 connections."""
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch, "predictions.db")
        with services.started(sides(f"sqlite:///{database}")) as running:
            found = harness.in_turn({name: partial(load, service) for name, service in running.items()}, ROUNDS)
        asked = sum(int(line["requests"]) for line in found[OURS])
        more: harness.Row = {"connections": services.CONNECTIONS, "failed": sum(line["failed"] for line in found[OURS])}
        facts: harness.Row = {
            "answers_recorded": recorded(database),
            "answers_measured": asked,
            "megabytes": round(database.stat().st_size / 1e6, 1),
        }
    for key, unit, better in FIGURES:
        values = [[line[key] for line in found[name]] for name in (OURS, PEER)]
        yield harness.row(f"recording, digits: {key} against without", unit, better, values[0], values[1], **more, **facts)


def sides(url: str) -> dict[str, services.Side]:
    """The service as it is, recording in this database, and with a page that asks for no share, started in the same way."""
    ours = services.ours("digits")
    words = ["env", f"PREDICTIONS_URL={url}", *ours.words]
    unrecorded = ["benchmarks.peers.unrecorded" if word == "atelier" else word for word in words]
    return {OURS: services.Side(words, ours.request), PEER: services.Side(unrecorded, ours.request)}


def load(service: services.Service) -> dict[str, float]:
    """wrk's figures, and the milliseconds of processor that the service has spent on a request: they hardly see who else is at work."""
    before = spent(service)
    figures = service.load(SECONDS)
    return {**figures, "cpu": (spent(service) - before) * 1000 / figures["requests"]}


def spent(service: services.Service) -> float:
    """Seconds of processor of the service and all below it."""
    root = psutil.Process(service.process.pid)
    times = (process.cpu_times() for process in [root, *root.children(recursive=True)])
    return sum(time.user + time.system for time in times)


def recorded(database: Path) -> int:
    """How many answers are in the database, once the services have ended."""
    with closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM predictions").fetchone()[0])
