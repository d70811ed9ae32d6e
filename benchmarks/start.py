"""From the command to the first answer."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import harness, services

ROUNDS = 5


def measure() -> Iterator[harness.Row]:
    """Seconds, each service started alone."""
    with tempfile.TemporaryDirectory() as scratch:
        sides = services.sides("digits", Path(scratch))
        found = harness.in_turn({name: partial(_seconds, side) for name, side in sides.items()}, ROUNDS)
    ours = found.pop("Atelier")
    for name, peer in found.items():
        yield harness.row(f"start to first answer: {name}", "s", "less", ours, peer)


def _seconds(side: services.Side) -> float:
    with services.started({"it": side}) as running:
        return running["it"].seconds
