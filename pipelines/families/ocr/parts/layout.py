"""Where lines of text stand on a page, by OpenCV: ink, glyphs, glyphs smeared into lines, lines in reading order.

Smearing is that of Wong, Casey and Wahl (Document Analysis System, 1982), but by the height of each glyph, so that a title and a
footnote on one page keep their own gaps; it follows a page that is askew by a few degrees, which is then levelled.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts import order
from pipelines.families.ocr.parts.glyphs import SMALL, Boxes, Glyphs, Grey, glyphs
from pipelines.families.ocr.parts.order import Box

SIDE = 1600  # pixels: a larger page is reduced to look for lines
REACH = 0.8  # times a letter's height, or the usual one: what it is smeared by on either side
MIDDLE = 0.5  # of a letter's height: what is smeared, so that lines that nearly touch stay apart
TITLE = 2.2  # times the usual height: larger letters make lines of their own
BESIDE, ABOVE = 1.2, 0.35  # times a line's height: how far from it its marks are
MARGIN = 0.1  # of a line's height, and a pixel
SLICE = 0.75  # of the line's height: what is lower and touches the edge of a picture of one line is cut off from its neighbour
FILLED = 0.4  # of a picture's height: one line that takes as much is the whole picture
LEVEL, STEEP = 0.4, 6.0  # degrees: what is less askew is read as it is, and so is what is more
LONG = 6  # letters of a line that tells how a page is askew


class Page(NamedTuple):
    """A page [height, width] with its lines level, the lines on it in reading order, and the same ones on the page as it came."""

    grey: Grey
    lines: list[Box]
    boxes: list[Box]

    def cut(self, box: Box) -> Grey:
        """One line."""
        return self.grey[box.y : box.bottom, box.x : box.right]


class _Found(NamedTuple):
    """Lines, and by how many degrees they fall to the right."""

    lines: list[Box]
    degrees: float


def lines(grey: Grey) -> list[Box]:
    """The lines of text of a page [height, width] as they lie, in reading order; of a picture that is one line that, of a blank one none."""
    return _found(grey).lines


def page(grey: Grey) -> Page:
    """A page [height, width] and its lines; where they are askew by a few degrees it is levelled first."""
    found = _found(grey)
    if not LEVEL < abs(found.degrees) < STEEP:
        return Page(grey, found.lines, found.lines)
    turn, size = _turn(grey.shape, found.degrees)
    level = cv2.warpAffine(grey, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lines, back = _found(level).lines, cv2.invertAffineTransform(turn)
    return Page(level, lines, [_around(box, back, grey.shape) for box in lines])


def _found(grey: Grey) -> _Found:
    scale = min(1.0, SIDE / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
    there = glyphs(small) if min(small.shape) > 2 else None
    if there is None or not len(there.letters):
        return _Found([], 0.0)
    labels = _smeared(there, small.shape)
    corners = _merged(_with_marks(_corners(there.letters, labels), there.marks))
    return _Found(_boxes(_without_slices(corners, small.shape) / scale, grey.shape), _askew(there.letters, labels))


def _smeared(there: Glyphs, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """The number of the line that each letter belongs to [k]; those of titles are counted on."""
    titles, labels = there.letters[:, 3] > TITLE * there.usual, np.zeros(len(there.letters), np.int32)
    for kind in (~titles, titles):
        labels[kind] = labels.max() + 1 + _labels(there.letters[kind], there.usual, shape)
    return np.unique(labels, return_inverse=True)[1]


def _labels(letters: Boxes, usual: float, shape: tuple[int, ...]) -> NDArray[np.int32]:
    canvas = np.zeros(shape, np.uint8)
    for x, y, width, height in letters.tolist():
        reach, edge = int(REACH * max(height, usual)), int(height * (1 - MIDDLE) / 2)
        cv2.rectangle(canvas, (x - reach, y + edge), (x + width + reach, y + height - edge - 1), 1, cv2.FILLED)
    middle = letters[:, :2] + letters[:, 2:] // 2
    return cv2.connectedComponents(canvas, connectivity=8)[1][middle[:, 1], middle[:, 0]]


def _corners(letters: Boxes, labels: NDArray[np.int32]) -> NDArray[np.float64]:
    """Of each line the corners [k, 4] of the box around its letters: x, y, x, y."""
    corners = np.tile([np.inf, np.inf, -np.inf, -np.inf], (labels.max() + 1, 1))
    np.minimum.at(corners[:, :2], labels, letters[:, :2])
    np.maximum.at(corners[:, 2:], labels, letters[:, :2] + letters[:, 2:])
    return corners


def _with_marks(corners: NDArray[np.float64], marks: Boxes) -> NDArray[np.float64]:
    """Each line with the dots, dashes and commas in it or near it; a mark is the nearest line's."""
    if not len(marks):
        return corners
    beside, above = (_distances(corners, marks, axis) / (corners[:, 3] - corners[:, 1]) for axis in (0, 1))
    apart = np.where((beside < BESIDE) & (above < ABOVE), beside + 4 * above, np.inf)
    near, own = np.isfinite(apart).any(1), apart.argmin(1)
    wider = corners.copy()
    np.minimum.at(wider[:, :2], own[near], marks[near, :2])
    np.maximum.at(wider[:, 2:], own[near], marks[near, :2] + marks[near, 2:])
    return wider


def _distances(corners: NDArray[np.float64], marks: Boxes, axis: int) -> NDArray[np.float64]:
    """How far the middle of each mark is from each line, along an axis [marks, lines]; 0 within."""
    middle = (marks[:, axis] + marks[:, axis + 2] / 2)[:, None]
    return np.maximum(0, np.maximum(corners[:, axis] - middle, middle - corners[:, axis + 2]))


def _merged(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lines of which one overlaps the other by more than half of its height become one, until none do."""
    apart: list[NDArray[np.float64]] = []
    for line in corners[np.argsort(corners[:, 0] - corners[:, 2])]:
        overlapping = [other for other in apart if _overlap(line, other)]
        apart = [other for other in apart if not any(other is one for one in overlapping)]
        both = np.array([line, *overlapping])
        apart.append(np.concatenate([both[:, :2].min(0), both[:, 2:].max(0)]))
    return np.array(apart)


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Does one overlap the other, or is it a mark as large as a letter beside it, such as a colon in bold?"""
    across, down = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    lower, higher = sorted((one, other), key=lambda line: line[3] - line[1])
    height = higher[3] - higher[1]
    mark = (lower[2:] - lower[:2]).max() < SMALL * height
    return bool(across > (-BESIDE * height if mark else 0) and down > (lower[3] - lower[1]) / 2)


def _without_slices(corners: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """A picture of about one line without what is cut off from the lines above and below."""
    heights = corners[:, 3] - corners[:, 1]
    if shape[0] > 3 * heights.max():
        return corners
    touching = (corners[:, 1] <= 1) | (corners[:, 3] >= shape[0] - 1)
    return corners[~touching | (heights > SLICE * heights.max())]


def _boxes(corners: NDArray[np.float64], shape: tuple[int, ...]) -> list[Box]:
    """Corners as boxes with a margin, in reading order; or the whole picture, where that is one line."""
    margins = 1 + MARGIN * (corners[:, 3:] - corners[:, 1:2])
    low = np.floor(corners[:, :2] - margins).clip(0).astype(int)
    high = np.minimum(np.ceil(corners[:, 2:] + margins), shape[1::-1]).astype(int)
    found = [Box(*start, *size) for start, size in zip(low.tolist(), (high - low).tolist(), strict=True)]
    return [Box(0, 0, shape[1], shape[0])] if _is_line(found, shape[0]) else order.reading(found)


def _is_line(found: list[Box], height: int) -> bool:
    """Does one line take most of a picture of this height, all else being in its row?"""
    line = max(found, key=lambda box: box.height)
    return line.height >= FILLED * height and all(line.y < box.y + box.height / 2 < line.bottom for box in found)


def _askew(letters: Boxes, labels: NDArray[np.int32]) -> float:
    """Degrees by which lines fall to the right: the middle one of the lines' slopes, the longer ones counting more."""
    x, y = letters[:, 0] + letters[:, 2] / 2, (letters[:, 1] + letters[:, 3]).astype(float)
    counts = np.bincount(labels)
    x, y = (values - (np.bincount(labels, values) / counts)[labels] for values in (x, y))
    spread, rise = np.bincount(labels, x * x), np.bincount(labels, x * y)
    told = (counts >= LONG) & (spread > 0)
    if told.sum() < 2:
        return 0.0
    slopes, weights = rise[told] / spread[told], np.sqrt(spread[told])
    ranks = np.argsort(slopes)
    middle = ranks[np.searchsorted(np.cumsum(weights[ranks]), weights.sum() / 2)]
    return float(np.rad2deg(np.arctan(slopes[middle])))


def _turn(shape: tuple[int, ...], degrees: float) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """The matrix [2, 3] that levels a page, and the (width, height) that it then takes."""
    height, width = shape
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    across, down = abs(turn[0, 0]), abs(turn[0, 1])
    size = round(width * across + height * down), round(width * down + height * across)
    turn[:, 2] += (np.array(size) - (width, height)) / 2
    return turn, size


def _around(box: Box, matrix: NDArray[np.float64], shape: tuple[int, ...]) -> Box:
    """The box around a box that a matrix moves, within a page of this shape."""
    corners = np.array([[x, y, 1] for x in (box.x, box.right) for y in (box.y, box.bottom)]) @ matrix.T
    low = np.floor(corners.min(0)).clip(0, [shape[1] - 1, shape[0] - 1]).astype(int)
    high = np.minimum(np.ceil(corners.max(0)).astype(int), shape[1::-1])
    return Box(*low.tolist(), *np.maximum(high - low, 1).tolist())
