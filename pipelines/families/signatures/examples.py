"""Packed pages, as ingest wrote them, for training and scoring."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.datasets import pictures, splits
from pipelines.families.signatures.picture import Boxes, Convention

CONVENTION = Convention()
LABELS = ["signature"]
SALT = b"share"  # the split is chosen by the name alone: without salt every document of train would be below its share
WORKING_SIDE = 1280  # pixels: larger pages are reduced while they are decoded


class Page(NamedTuple):
    """One scanned page: its file, its size in pixels when upright, and its boxes [k, 4]: x, y, w, h in those pixels.

    `document` is the letter or lease that it belongs to, which stays in one split; `source` the name of its source.
    """

    name: str
    document: str
    source: str
    content: bytes
    height: int
    width: int
    boxes: Boxes

    def grey(self) -> NDArray[np.uint8]:
        """Decoded to [height, width], sides over WORKING_SIDE reduced."""
        return pictures.decoded(pictures.opened(self.content), "L", WORKING_SIDE)


class Split:
    """The pages of one split. Row i of `images` is page i."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self.pages = list(pages)

    def __len__(self) -> int:
        return len(self.pages)

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """[n, 416, 416]"""
        return self.squares(CONVENTION.side)

    def squares(self, side: int) -> NDArray[np.uint8]:
        """Every page as a preprocessed square [n, side, side]."""
        if "images" in self.__dict__ and side == CONVENTION.side:
            return self.images
        return np.stack([Convention(side).from_grey(page.grey()) for page in self.pages])

    def of(self, sources: dict[str, float]) -> "Split":
        """The pages of the given share of each source's documents, chosen by their names; `embedded` counts in full unless named."""
        shares = {"embedded": 1.0, **sources}
        return Split([page for page in self.pages if splits.chosen([page.document.encode()], shares.get(page.source, 0.0), SALT)[0]])


def pack(folder: Path, split: str, pages: Sequence[Page]) -> None:
    """Write <split>.bin, the files one after another, and <split>.json, a row for each."""
    rows, offset = [], 0
    with (folder / f"{split}.bin").open("wb") as out:
        for page in pages:
            out.write(page.content)
            row = {**page._asdict(), "content": [offset, len(page.content)], "boxes": np.asarray(page.boxes, float).round(2).tolist()}
            rows.append(row)
            offset += len(page.content)
    folders.write_json(folder / f"{split}.json", rows)


def load(folder: Path, split: str) -> Split:
    """One of the splits train, valid, test."""
    content = memoryview((folder / f"{split}.bin").read_bytes())
    return Split([_page(row, content) for row in json.loads((folder / f"{split}.json").read_text())])


def _page(row: dict[str, Any], content: memoryview) -> Page:
    start, size = row["content"]
    boxes = np.array(row["boxes"], np.float32).reshape(-1, 4)
    return Page(**{**row, "content": bytes(content[start : start + size]), "boxes": boxes})
