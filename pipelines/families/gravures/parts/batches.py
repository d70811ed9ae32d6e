"""Batches of P classes with K pictures each, drawn anew for each step: every class as often as any other, however few drawings it has."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.gravures.parts import drawing, symbols
from pipelines.families.gravures.parts.strokes import Strokes
from pipelines.families.gravures.picture import Blank, Convention

HANDS = 8  # drawings of a made-up symbol
Random = np.random.Generator


class Pool(NamedTuple):
    """Pictures [n, side, side] of bytes, and the rows of each class."""

    images: NDArray[np.uint8]
    rows: list[NDArray[np.int64]]


class Batch(NamedTuple):
    """Pictures [n, side, side] of bytes and their classes [n], numbered within the batch."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def pool(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Pool:
    """The pictures [n, side, side] by their labels [n]; a class of one picture is shown by it alone."""
    return Pool(np.asarray(images), [np.flatnonzero(labels == label) for label in np.unique(labels)])


def made_up(count: int, convention: Convention, seed: int) -> Pool:
    """So many symbols that nobody has seen, each drawn by several hands."""
    kinds = [_drawn(np.random.default_rng([seed, number]), convention) for number in range(count)]
    sizes = [len(pictures) for pictures in kinds]
    return pool(np.concatenate([np.stack(pictures) for pictures in kinds]), np.repeat(np.arange(count), sizes))


def _drawn(random: Random, convention: Convention) -> list[NDArray[np.uint8]]:
    symbol = symbols.symbol(random)
    return [_brought(symbol, random, convention) for _ in range(HANDS)]


def _brought(symbol: Strokes, random: Random, convention: Convention) -> NDArray[np.uint8]:
    """A drawing without a point of ink is drawn again."""
    while True:
        try:
            return convention.from_grey(drawing.drawn(symbol, random, convention.side))
        except Blank:
            continue


def drawn(random: Random, source: Pool, classes: int, each: int, turned: bool) -> list[NDArray[np.uint8]]:
    """Pictures [each, side, side] of so many classes; `turned`: a class by a random number of quarters, which makes it another."""
    few = random.permutation(len(source.rows))[:classes]
    return [_of(random, source, source.rows[row], each, int(random.integers(4)) if turned else 0) for row in few]


def _of(random: Random, source: Pool, rows: NDArray[np.int64], each: int, quarters: int) -> NDArray[np.uint8]:
    """Pictures of one class, none of them twice before all were shown."""
    order = np.concatenate([random.permutation(rows) for _ in range(-(-each // len(rows)))])[:each]
    return np.rot90(source.images[order], quarters, (1, 2))


def stacked(classes: list[NDArray[np.uint8]]) -> Batch:
    """Classes of [k, side, side] as one batch."""
    return Batch(np.concatenate(classes), np.repeat(np.arange(len(classes)), [len(pictures) for pictures in classes]))
