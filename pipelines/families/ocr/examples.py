"""Packed lines, as ingest wrote them, for training and scoring."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.families.ocr.parts import vocabulary
from pipelines.families.ocr.picture import Convention

CONVENTION = Convention()
ALPHABET = vocabulary.ALPHABET  # the printable characters of ASCII, in order
LENGTHS = (4, 8, 16, 32)  # characters: upper ends of the groups of lines, the last one open
LENGTH_NAMES = ("1 to 4", "5 to 8", "9 to 16", "17 to 32", "33 and more")

Grey = NDArray[np.uint8]


class Line(NamedTuple):
    """One line: its image [h, w] of 0 to 255, its text, the group that stays in one split, its file's name and its source."""

    picture: Grey
    text: str
    group: str
    name: str
    source: str


class Pictures(Sequence[Grey]):
    """Grey images [h, w] of different sizes, one after the other in a memory-mapped file."""

    def __init__(self, content: Grey, rows: Sequence[dict[str, Any]]) -> None:
        self._content, self._rows = content, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Grey: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Grey]: ...

    def __getitem__(self, index: int | slice) -> Grey | Sequence[Grey]:
        if isinstance(index, slice):
            return Pictures(self._content, self._rows[index])
        row = self._rows[index]
        return self._content[row["offset"] : row["offset"] + row["height"] * row["width"]].reshape(row["height"], row["width"])


class Split:
    """The lines of one split. Row i of `pictures`, `texts`, `groups`, `names` and `sources` is line i."""

    def __init__(self, content: Grey, rows: Sequence[dict[str, Any]]) -> None:
        self.pictures = Pictures(content, rows)
        self.texts, self.groups, self.names, self.sources = ([str(row[key]) for row in rows] for key in ("text", "group", "name", "source"))

    @cached_property
    def images(self) -> list[Grey]:
        """The preprocessed lines, [height, W] each."""
        return [CONVENTION.from_grey(picture) for picture in self.pictures]

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Line]:
        return map(Line, self.pictures, self.texts, self.groups, self.names, self.sources)


def pack(folder: Path, split: str, lines: Iterable[Line]) -> None:
    """Write <split>-pictures.bin, the grey images one after another, and <split>.json, a row for each."""
    rows, offset = [], 0
    with (folder / f"{split}-pictures.bin").open("wb") as out:
        for line in lines:
            height, width = line.picture.shape
            out.write(np.ascontiguousarray(line.picture).tobytes())
            facts = {"text": line.text, "group": line.group, "name": line.name, "source": line.source}
            rows.append({**facts, "offset": offset, "height": height, "width": width})
            offset += height * width
    folders.write_json(folder / f"{split}.json", rows)


def load(folder: Path, split: str) -> Split:
    """One of the splits train, valid, test."""
    rows = json.loads((folder / f"{split}.json").read_text())
    return Split(np.asarray(np.memmap(folder / f"{split}-pictures.bin", np.uint8, "r")), rows)
