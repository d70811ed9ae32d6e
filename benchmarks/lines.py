"""ocr: lines a second in process, what is served against PyTorch eager on the same weights, one line and sixteen at once."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, models, read

ROUNDS, PEER = 7, "PyTorch eager"
BATCHES = (1, 16)


def measure() -> Iterator[harness.Row]:
    """The champion on generated lines; both sides get the same arrays and answer the same texts."""
    places = {"ours": models.served("ocr")}
    with harness.optional(PEER):
        places["peer"] = models.native("ocr").parents[1]
    with tempfile.TemporaryDirectory() as scratch:
        read.lines(Path(scratch))
        for batch in BATCHES:
            yield _row(places, batch, Path(scratch))


def _row(places: dict[str, Path], batch: int, scratch: Path) -> harness.Row:
    """One size of batch, the sides in turn."""
    words = {side: [sys.executable, "-m", "benchmarks.read", side, str(place), str(scratch), str(batch)] for side, place in places.items()}
    with harness.children(words) as running:
        found = harness.in_turn({side: child.measure for side, child in running.items()}, ROUNDS)
    texts = [found[side][0]["texts"] for side in places]
    values = [[line["value"] for line in found[side]] for side in places]
    if len(places) == 1:
        return harness.row(f"ocr lines, {batch} at once", "lines/s", "more", *values)
    same = f"{sum(map(str.__eq__, *texts))} of {len(texts[0])}"
    return harness.row(f"ocr lines, {batch} at once: {PEER}", "lines/s", "more", *values, same_texts=same)
