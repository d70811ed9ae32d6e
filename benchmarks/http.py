"""Requests a second and latency, 32 connections: our service against the same network behind other servers."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import harness, services

ROUNDS, SECONDS = 5, 5
FIGURES: tuple[tuple[str, str, harness.Better], ...] = (("rps", "requests/s", "more"), ("p50", "ms", "less"), ("p99", "ms", "less"))


def measure() -> Iterator[harness.Row]:
    """Digits: every peer is sent the same image, decoded and centred as ours (mlflow: numbers)."""
    return compared("digits")


def compared(family: str, named: str = "", connections: int = services.CONNECTIONS) -> Iterator[harness.Row]:
    """Throughput, p50 and p99 of a family's service against each peer; `named` is the prefix of the rows' names."""
    with tempfile.TemporaryDirectory() as scratch, services.started(services.sides(family, Path(scratch))) as running:
        found = harness.in_turn({name: partial(service.load, SECONDS, connections) for name, service in running.items()}, ROUNDS)
        memory = {name: round(service.memory_mb()) for name, service in running.items()}
    ours = found.pop("Atelier")
    for name, peer in found.items():
        failed = {"ours": sum(line["failed"] for line in ours), "peer": sum(line["failed"] for line in peer)}
        more: harness.Row = {
            "failed": failed,
            "memory_mb": {"ours": memory["Atelier"], "peer": memory[name]},
            "connections": connections,
        }
        for key, unit, better in FIGURES:
            sides = [[line[key] for line in side] for side in (ours, peer)]
            yield harness.row(f"{named}{key}: {name}", unit, better, *sides, **more)
