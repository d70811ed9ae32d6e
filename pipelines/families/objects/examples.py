"""Packed pictures, as ingest wrote them: what training and scoring read."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.objects.picture import Convention

CONVENTION = Convention()
CLASSES = "classes.json"


class Split(NamedTuple):
    """Pictures [n, 32, 32, 3] of 0 to 255 and their labels [n], indices into the card's classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def taken(self, where: NDArray[np.bool_]) -> "Split":
        """The examples where [n] is true."""
        return Split(self.images[where], self.labels[where])


def load(folder: Path, split: str) -> Split:
    """One of the splits train, valid, test, mapped from disk."""
    images, labels = (np.load(folder / f"{split}-{part}.npy", mmap_mode="r", allow_pickle=False) for part in Split._fields)
    return Split(images, labels)


def classes(folder: Path) -> list[str]:
    """The names of the classes, in the order of the labels."""
    names: list[str] = json.loads((folder / CLASSES).read_text())
    return names
