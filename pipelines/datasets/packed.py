"""Packed arrays of a split, <split>-<part>.npy: written by ingest, mapped from disk by training and scoring."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Split(NamedTuple):
    """Images [n, ...] of 0 to 255 and their labels [n], indices into the classes."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def take(self, rows: Any) -> "Split":
        """The examples at these rows: indices, a slice or booleans [n]."""
        return Split(self.images[rows], self.labels[rows])


def save(folder: Path, split: str, **parts: NDArray[Any]) -> None:
    """Write <split>-<part>.npy for each part."""
    for part, values in parts.items():
        np.save(folder / f"{split}-{part}.npy", values, allow_pickle=False)


def array(folder: Path, split: str, part: str) -> NDArray[Any]:
    """One array of save(), mapped from disk."""
    mapped: NDArray[Any] = np.load(folder / f"{split}-{part}.npy", mmap_mode="r", allow_pickle=False)
    return mapped


def load(folder: Path, split: str) -> Split:
    """One of the splits train, valid, test of labelled images."""
    return Split(*(array(folder, split, part) for part in Split._fields))
