"""What a service holds after 50,000 requests, and whether it grows."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, services

REQUESTS, STEPS = 50_000, 5
PEER = "stock BentoML + ONNX"


def measure() -> Iterator[harness.Row]:
    """Megabytes after 50,000 requests, one service after the other; `steps` has every fifth of them."""
    with tempfile.TemporaryDirectory() as scratch:
        sides = services.sides("digits", Path(scratch))
        steps = {name: _steps(sides[name]) for name in ("Atelier", PEER)}
    ours, peer = ([megabytes for _, megabytes in steps[name]] for name in ("Atelier", PEER))
    yield harness.row(f"memory after {REQUESTS:,} requests: {PEER}", "MB", "less", ours[-1:], peer[-1:], steps=steps)


def _steps(side: services.Side) -> list[tuple[int, float]]:
    """[(requests so far, megabytes)] at every fifth."""
    found: list[tuple[int, float]] = []
    with services.started({"it": side}) as running:
        sent = 0.0
        while len(found) < STEPS:
            sent += running["it"].load(2)["requests"]
            if sent >= REQUESTS * (len(found) + 1) / STEPS:
                found.append((int(sent), round(running["it"].memory_mb())))
    return found
