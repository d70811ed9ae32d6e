"""Glyphs smeared into lines (Wong, Casey and Wahl, Document Analysis System, 1982), each by its own height.

So a title and a footnote on one page have their own gaps, and a line that is skewed by a few degrees stays one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts.glyphs import SMALL, Boxes, Glyphs, small_print

REACH = 0.7  # times a letter's height, or the usual one: what it is smeared by on either side
MIDDLE = 0.5  # of a letter's height: what is smeared, so that lines that nearly touch stay apart
BRIDGE = 1.6  # times the usual height: higher ones are letters of a title, or two of different lines that touch
BESIDE, ABOVE = 1.6, 0.35  # times a line's height: how far from it its marks are
WORDS = 1.5  # times a line's height: the gap between two words, at most
ALIKE = 0.6  # of the height: the overlap of two parts of one line, at least
MOST = 1000  # lines, or parts of them: a page has fewer
Corners = NDArray[np.float64]  # [k, 4] of x, y, x, y
Labels = NDArray[np.intp]  # [letters]


def lines(page: Glyphs, shape: tuple[int, ...]) -> Corners:
    """The corners of each line of a page of this shape; none where there are so many that they are noise."""
    corners, left = _read(page, shape)
    if (small := small_print(left)) is not None:
        corners = np.concatenate([corners, _read(small, shape)[0]])
    return _merged(corners) if len(corners) <= MOST else corners[:0]


def _read(page: Glyphs, shape: tuple[int, ...]) -> tuple[Corners, Boxes]:
    """The corners of lines, and the marks that belong to none."""
    level = page.letters[:, 3] <= BRIDGE * page.usual
    corners = _around(page.letters[level], numbered(page.letters[level], page.usual, shape))
    bridges = _bridges(corners, page.letters[~level], shape)
    titles = page.letters[~level][~bridges]
    if len(titles):
        corners = np.concatenate([corners, _around(titles, numbered(titles, page.usual, shape))])
    return _with_marks(corners, np.concatenate([page.marks, *_halves(page.letters[~level][bridges])]), shape)


def numbered(letters: Boxes, usual: float, shape: tuple[int, ...]) -> Labels:
    """The number of the line that each letter belongs to."""
    return np.unique(_smeared(letters, usual, shape), return_inverse=True)[1]


def _bridges(corners: Corners, high: Boxes, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which high letters are two touching ones of different lines."""
    own = _surroundings(corners, shape)
    x, y, width, height = high.T
    above, below = (np.max([own[y + height * part // 4, x + side] for side in (0 * width, width // 2, width - 1)], 0) for part in (1, 3))
    return (above >= 0) & (below >= 0) & (above != below)


def _halves(high: Boxes) -> tuple[Boxes, Boxes]:
    upper, lower = high.copy(), high.copy()
    upper[:, 3] //= 2
    lower[:, 1:4:2] += np.stack([upper[:, 3], -upper[:, 3]], 1)
    return upper, lower


def _smeared(letters: Boxes, usual: float, shape: tuple[int, ...]) -> NDArray[np.int32]:
    canvas = np.zeros(shape, np.uint8)
    for x, y, width, height in letters.tolist():
        reach, edge = int(REACH * max(height, usual)), int(height * (1 - MIDDLE) / 2)
        cv2.rectangle(canvas, (x - reach, y + edge), (x + width + reach, y + height - edge - 1), 1, cv2.FILLED)
    middle = letters[:, :2] + letters[:, 2:] // 2
    return cv2.connectedComponents(canvas, connectivity=8)[1][middle[:, 1], middle[:, 0]]


def _around(boxes: Boxes, labels: Labels) -> Corners:
    """The corners around all boxes of each number."""
    return _joined(_ends(boxes), labels)


def _ends(boxes: Boxes) -> Boxes:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def _joined(corners: NDArray[np.number], labels: Labels) -> Corners:
    joined = np.tile([np.inf, np.inf, -np.inf, -np.inf], (int(labels.max(initial=-1)) + 1, 1))
    np.minimum.at(joined[:, :2], labels, corners[:, :2])
    np.maximum.at(joined[:, 2:], labels, corners[:, 2:])
    return joined


def _with_marks(corners: Corners, marks: Boxes, shape: tuple[int, ...]) -> tuple[Corners, Boxes]:
    """The lines extended by the dots, dashes and commas near them; and the marks that are near none."""
    middle = marks[:, :2] + marks[:, 2:] // 2
    own = _surroundings(corners, shape)[middle[:, 1], middle[:, 0]]
    numbers = np.concatenate([np.arange(len(corners)), own[own >= 0]])
    return _joined(np.concatenate([corners, _ends(marks[own >= 0])]), numbers), marks[own < 0]


def _surroundings(corners: Corners, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The number of the line that each pixel of a page is in or near; -1 elsewhere."""
    canvas = np.full(shape, -1, np.int32)
    height = (corners[:, 3:] - corners[:, 1:2]) * [[BESIDE, ABOVE]]
    for boxes in (np.concatenate([corners[:, :2] - height, corners[:, 2:] + height], 1), corners):
        for number, (left, top, right, bottom) in enumerate(boxes.astype(int).tolist()):
            cv2.rectangle(canvas, (left, top), (right - 1, bottom - 1), number, cv2.FILLED)
    return canvas


def _merged(corners: Corners) -> Corners:
    """Merges lines of which one is part of another, until none are."""
    while (numbers := _components(_same(corners))).max(initial=0) + 1 < len(corners):
        corners = _joined(corners, numbers)
    return corners


def _components(same: NDArray[np.bool_]) -> Labels:
    """The number of each one's connected component in the relation `same` [k, k]."""
    numbers = np.arange(len(same))
    while (least := np.where(same, numbers, len(same)).min(1, initial=len(same))).tolist() != numbers.tolist():
        numbers = least
    return np.unique(numbers, return_inverse=True)[1]


def _same(corners: Corners) -> NDArray[np.bool_]:
    """Which are one line [k, k]: they overlap, or are a word's gap apart, or one is as small as a mark of the other, such as a colon."""
    size = corners[:, 2:] - corners[:, :2]
    across, down = (np.minimum.outer(corners[:, i + 2], corners[:, i + 2]) - np.maximum.outer(corners[:, i], corners[:, i]) for i in (0, 1))
    lower, higher = np.minimum.outer(size[:, 1], size[:, 1]), np.maximum.outer(size[:, 1], size[:, 1])
    slim = np.where(size[:, 0] < 2 * size[:, 1], size[:, 1], np.inf)
    mark = np.minimum.outer(slim, slim) < SMALL * higher
    gap = np.where(mark, BESIDE * higher, np.where(down > ALIKE * higher, WORDS * lower, 0))
    return (down > lower / 2) & (across > -gap) & (mark | (lower > SMALL * higher))
