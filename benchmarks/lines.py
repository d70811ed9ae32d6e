"""ocr: lines a second in process, what is served against PyTorch eager on the same weights, one line and sixteen at once."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, models, read

ROUNDS = 7
BATCHES = (1, 16)


def measure() -> Iterator[harness.Row]:
    """The champion on generated lines; both sides get the same arrays and answer the same texts."""
    with tempfile.TemporaryDirectory() as scratch:
        read.lines(Path(scratch))
        for batch in BATCHES:
            yield _row(batch, Path(scratch))


def _row(batch: int, scratch: Path) -> harness.Row:
    """One size of batch, both sides in turn."""
    places = {"ours": models.served("ocr"), "peer": models.native("ocr").parents[1]}
    words = {side: [sys.executable, "-m", "benchmarks.read", side, str(place), str(scratch), str(batch)] for side, place in places.items()}
    with harness.children(words) as running:
        found = harness.in_turn({side: child.measure for side, child in running.items()}, ROUNDS)
    texts = [found[side][0]["texts"] for side in places]
    same = f"{sum(map(str.__eq__, *texts))} of {len(texts[0])}"
    ours, peer = ([line["value"] for line in found[side]] for side in places)
    return harness.row(f"ocr lines, {batch} at once: PyTorch eager", "lines/s", "more", ours, peer, same_texts=same)
