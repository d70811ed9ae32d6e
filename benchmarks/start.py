"""From the command to the first right answer."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import harness, services

ROUNDS = 5
PEERS = ("FastAPI + ONNX", "stock BentoML + ONNX", "FastAPI + Keras", "mlflow models serve")


def measure() -> Iterator[harness.Row]:
    """Seconds, each service started alone."""
    with tempfile.TemporaryDirectory() as room:
        sides = services.sides(Path(room))
        found = harness.in_turn({name: partial(_seconds, side) for name, side in sides.items()}, ROUNDS)
    for name in PEERS:
        yield harness.row(f"start to first answer: {name}", "s", "less", found["Atelier"], found[name])


def _seconds(side: services.Side) -> float:
    with services.started({"it": side}) as running:
        return running["it"].seconds
