"""signatures: each runtime against OpenCV on the Darknet files; then the endpoint, 16 connections, and its memory."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import detected, harness, http, models
from benchmarks.harness import Stopped
from pipelines.datasets import boxes
from pipelines.datasets.labelled import Labelled
from pipelines.families.signatures import embedded, examples
from pipelines.families.signatures.examples import Page, Split
from pipelines.models import manifests

DATA = Path("data/signatures")
RUNTIMES = ("openvino", "onnxruntime", "opencv")
PAGES, ROUNDS, CONNECTIONS = 24, 7, 16
MARGIN = 0.01  # of a score: one side may report a box this near to the threshold and the other not
SAME = 0.99  # intersection over union from which on two boxes are the same
Found = list[list[list[float]]]  # of each page its boxes: x, y, w, h as fractions, score


def measure() -> Iterator[harness.Row]:
    """The champion, on pages of validation where they are here, else on drawn letters."""
    folder = models.served("signatures")
    yield from runtimes(folder, sample(PAGES), "signatures", ROUNDS)
    rows = list(http.compared("signatures", "signatures ", CONNECTIONS))
    yield from rows
    memory = [float(row["memory_mb"]["ours"]) for row in rows[:1]]
    yield harness.row("signatures memory of the service after these requests", "MB", "less", memory)


def sample(count: int) -> Split:
    """So many pages with signatures, from all of the split."""
    pages = examples.load(DATA, "valid").pages if (DATA / "valid.json").exists() else [_page(page) for page in embedded.drawn()]
    signed = [page for page in pages if len(page.boxes)]
    return Split([signed[row] for row in np.linspace(0, len(signed) - 1, min(count, len(signed))).astype(int)])


def _page(page: Labelled) -> Page:
    return Page(page.name, page.document, "embedded", page.content, page.height, page.width, page.boxes)


def runtimes(folder: Path, split: Split, named: str, rounds: int) -> Iterator[harness.Row]:
    """Each runtime in a process of its own, all asked the same squares in turn. Raises Stopped where boxes are not the peer's."""
    manifest = manifests.read(folder)
    side, threshold = (manifest["preprocessing"][key] for key in ("side", "threshold"))
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch, "pages.npy")
        np.save(pages, split.squares(side))
        words = {kind: [sys.executable, "-m", "benchmarks.detected", kind, str(folder), str(pages)] for kind in (*RUNTIMES, detected.PEER)}
        with harness.children(words) as running:
            found = harness.in_turn({kind: child.measure for kind, child in running.items()}, rounds)
    peer = found.pop(detected.PEER)
    for runtime, ours in found.items():
        least, count = agreement(ours[-1]["boxes"], peer[-1]["boxes"], threshold)
        if not least > SAME:
            raise Stopped(f"{runtime} does not find the boxes of {detected.PEER}: the least overlap is {least:.4f}, not over {SAME}.")
        values = [[line["value"] for line in side] for side in (ours, peer)]
        memory = {"ours": round(ours[-1]["memory_mb"]), "peer": round(peer[-1]["memory_mb"])}
        name = f"{named} one page, {manifest['config']['model']['network']} {side}, {runtime}: {detected.PEER}"
        yield harness.row(name, "ms", "less", *values, memory_mb=memory, iou=round(least, 5), boxes=count, pages=len(split))


def agreement(ours: Found, peer: Found, threshold: float) -> tuple[float, int]:
    """The least overlap of a box of one side with the nearest of the other, and how many were compared. Raises Stopped."""
    overlaps = [
        overlap
        for pair in zip(ours, peer, strict=True)
        for one, other in (pair, pair[::-1])
        for overlap in _overlaps(one, other, threshold)
    ]
    if not overlaps:
        raise Stopped(f"No page has a box with a score of {threshold + MARGIN:g} or more, so nothing can be compared. Take other pages.")
    return min(overlaps), len(overlaps)


def _overlaps(found: list[list[float]], others: list[list[float]], threshold: float) -> list[float]:
    sure = [box for box in found if box[4] >= threshold + MARGIN]
    shared = boxes.iou(*(np.reshape(np.array(each, float), (-1, 5))[:, :4] for each in (sure, others)))
    return [float(row.max()) if len(row) else 0.0 for row in shared]
