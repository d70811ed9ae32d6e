"""Batches of P classes with K images each, sampled for each step: every class equally often, however few drawings it has."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.gravures.parts import drawing, symbols
from pipelines.families.gravures.parts.strokes import Strokes
from pipelines.families.gravures.picture import Blank, Convention

HANDS = 8  # drawings of a generated symbol
Random = np.random.Generator


class Pool(NamedTuple):
    """Images [n, side, side] of bytes, and the rows of each class."""

    images: NDArray[np.uint8]
    rows: list[NDArray[np.int64]]


class Batch(NamedTuple):
    """Images [n, side, side] of bytes and their classes [n], numbered within the batch."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def pool(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Pool:
    """Images [n, side, side] grouped by their labels [n]."""
    return Pool(np.asarray(images), [np.flatnonzero(labels == label) for label in np.unique(labels)])


def generated(count: int, convention: Convention, seed: int) -> Pool:
    """`count` generated symbols, each drawn HANDS times."""
    kinds = [_drawn(np.random.default_rng([seed, number]), convention) for number in range(count)]
    sizes = [len(pictures) for pictures in kinds]
    return pool(np.concatenate([np.stack(pictures) for pictures in kinds]), np.repeat(np.arange(count), sizes))


def _drawn(random: Random, convention: Convention) -> list[NDArray[np.uint8]]:
    symbol = symbols.symbol(random)
    return [_normalised(symbol, random, convention) for _ in range(HANDS)]


def _normalised(symbol: Strokes, random: Random, convention: Convention) -> NDArray[np.uint8]:
    """A normalised drawing; a blank one is drawn again."""
    while True:
        try:
            return convention.from_grey(drawing.drawn(symbol, random, convention.side))
        except Blank:
            continue


def sampled(random: Random, source: Pool, classes: int, each: int, rotated: bool) -> list[NDArray[np.uint8]]:
    """Images [each, side, side] of each of `classes` classes; `rotated` by a random number of quarters, which makes a class another one."""
    chosen = random.permutation(len(source.rows))[:classes]
    return [_of_class(random, source, source.rows[row], each, int(random.integers(4)) if rotated else 0) for row in chosen]


def _of_class(random: Random, source: Pool, rows: NDArray[np.int64], each: int, quarters: int) -> NDArray[np.uint8]:
    """Images of one class, none repeated before all have been taken."""
    order = np.concatenate([random.permutation(rows) for _ in range(-(-each // len(rows)))])[:each]
    return np.rot90(source.images[order], quarters, (1, 2))


def stacked(classes: list[NDArray[np.uint8]]) -> Batch:
    """Classes of [k, side, side] as one batch."""
    return Batch(np.concatenate(classes), np.repeat(np.arange(len(classes)), [len(pictures) for pictures in classes]))
