"""The full YOLOv4 at 608 pixels, of random weights: milliseconds a page of each runtime against OpenCV on the Darknet files."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, signatures

PAGES, ROUNDS = 4, 5
NETWORK = ("model.network=yolov4", "model.side=608", "model.anchors=standard")


def measure() -> Iterator[harness.Row]:
    """An untrained network: its answers mean nothing, and cost as much as a trained one's."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        untrained(folder, PAGES, NETWORK)
        yield from signatures.runtimes(folder, signatures.sample(PAGES), "signatures", ROUNDS)


def untrained(folder: Path, pages: int, overrides: tuple[str, ...]) -> None:
    """Write a model folder, in a process that has PyTorch."""
    subprocess.run([sys.executable, "-m", "benchmarks.untrained", str(folder), str(pages), *overrides], check=True)
