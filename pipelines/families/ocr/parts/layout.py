"""Where lines of text stand on a page, by OpenCV: ink, glyphs, glyphs smeared into lines, lines in reading order."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts import order, smearing
from pipelines.families.ocr.parts.glyphs import Glyphs, Grey, glyphs
from pipelines.families.ocr.parts.order import Box

SIDE = 1600  # pixels: a larger page is reduced to look for lines
MARGIN = 0.1  # of a line's height, and a pixel
SLICE = 0.75  # of the line's height: what is lower and touches the edge of a picture of one line is cut off from its neighbour
FILLED = 0.4  # of a picture's height: one line that takes as much is the whole picture
LEVEL, STEEP = 0.4, 6.0  # degrees: what is less askew is read as it is, and so is what is more
LONG = 3  # letters of a line that tells how a page is askew


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
    """The lines of text of a page [height, width] as they lie, in reading order; the whole picture where that is one line."""
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
    corners = _without_slices(smearing.lines(there, small.shape), small.shape)
    return _Found(_boxes(corners / scale, grey.shape), _askew(there, small.shape))


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


def _askew(there: Glyphs, shape: tuple[int, ...]) -> float:
    """Degrees by which lines fall to the right: the middle one of the lines' slopes, the longer ones counting more."""
    letters = there.letters[there.letters[:, 3] <= smearing.BRIDGE * there.usual]
    labels = smearing.numbered(letters, there.usual, shape)
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
