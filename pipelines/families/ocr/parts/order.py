"""The reading order of lines: row by row, left to right; columns of prose one after the other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 256  # across a page, in which gutters are searched
GUTTER = 1.2  # times a line's height: the least gap between columns
DEEP = 3  # the least rows of columns
PROSE = 7.0  # times its height: the median line of a column of prose is longer; labels and amounts of a receipt are read row by row


class Box(NamedTuple):
    """An upright rectangle in whole pixels; x and y are its top left corner."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height


def reading(boxes: Sequence[Box]) -> list[Box]:
    """Boxes of lines in the order in which they are read."""
    rows = in_rows(boxes)
    if len(rows) < DEEP:
        return [box for row in rows for box in row]
    return _read(rows, _free(rows))


def in_rows(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes that share a row, from left to right, the rows from top to bottom."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box.y + box.height / 2):
        if rows and _beside(rows[-1][0], box):
            rows[-1].append(box)
        else:
            rows.append([box])
    return [sorted(row) for row in rows]


def _beside(first: Box, box: Box) -> bool:
    """Do they overlap by more than half of the lower one's height?"""
    return min(first.bottom, box.bottom) - max(first.y, box.y) > min(first.height, box.height) / 2


def _free(rows: list[list[Box]]) -> NDArray[np.bool_]:
    """Where across the page [rows, BINS] a row has nothing."""
    left, right = min(box.x for row in rows for box in row), max(box.right for row in rows for box in row)
    scale, free = BINS / (right - left), np.ones((len(rows), BINS), bool)
    for place, row in enumerate(rows):
        for box in row:
            free[place, int((box.x - left) * scale) : int(np.ceil((box.right - left) * scale))] = False
    return free


def _read(rows: list[list[Box]], free: NDArray[np.bool_]) -> list[Box]:
    """Row by row, and where rows have a gutter in common and prose on both sides of it, column by column."""
    order: list[Box] = []
    start = 0
    while start < len(rows):
        end = _end(free, start)
        columns = _columns([box for row in rows[start:end] for box in row]) if end - start >= DEEP else None
        order += [box for column in columns for box in reading(column)] if columns else rows[start]
        start = end if columns else start + 1
    return order


def _end(free: NDArray[np.bool_], start: int) -> int:
    """The first row after `start` with which those since then have no gap in common, other than at the edges."""
    shared = free[start]
    for place in range(start + 1, len(free)):
        shared = shared & free[place]
        if not shared[np.argmin(shared) : BINS - np.argmin(shared[::-1])].any():
            return place
    return len(free)


def _columns(boxes: list[Box]) -> tuple[list[Box], list[Box]] | None:
    """Both sides of the widest gutter, where both are prose."""
    across = sorted(boxes)
    reach = np.maximum.accumulate([box.right for box in across])
    gaps = np.array([box.x for box in across[1:]]) - reach[:-1]
    if not len(gaps) or gaps.max() < GUTTER * np.median([box.height for box in boxes]):
        return None
    place = int(gaps.argmax()) + 1
    sides = across[:place], across[place:]
    return sides if all(len(side) >= DEEP and _prose(side) for side in sides) else None


def _prose(column: list[Box]) -> bool:
    return float(np.median([box.width / box.height for box in column])) > PROSE
