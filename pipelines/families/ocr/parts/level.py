"""Skewed pages, whose lines fall or rise by a few degrees: the slope, and the page with its lines level.

A page is sheared, not turned: nothing leaves it at its sides, and letters that lean by the slope are read as well.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts import smearing
from pipelines.families.ocr.parts.glyphs import Boxes, Glyphs, Grey
from pipelines.families.ocr.parts.order import Box

LONG = 3  # letters of a line whose slope counts
LINES = 4  # times the usual letter's height: lower images are of one line, and are not levelled
STEEP = 0.11  # of a page's width, 6 degrees: a greater fall is no page of lines
SEEN = 0.3  # of the usual height: a smaller fall over the page's width counts as level


class Shear(NamedTuple):
    """Moves each column up by `slope` times its x, and all down by `lift`, so that nothing leaves the page at the top. Pixels."""

    slope: float
    width: int

    @property
    def lift(self) -> float:
        return max(0.0, self.slope * self.width)

    def shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The [height, width] of a page that is sheared."""
        return shape[0] + int(np.ceil(abs(self.slope) * shape[1])), shape[1]

    def boxes(self, boxes: Boxes) -> Boxes:
        """Small boxes [k, 4] of x, y, width, height, sheared."""
        down = np.rint(self.lift - self.slope * (boxes[:, 0] + boxes[:, 2] / 2)).astype(np.int32)
        return boxes + np.stack([0 * down, down, 0 * down, 0 * down], 1)

    def page(self, grey: Grey) -> Grey:
        """A page [height, width], sheared."""
        height, width = self.shape(grey.shape)
        matrix = np.array([[1, 0, 0], [-self.slope, 1, self.lift]])
        return cv2.warpAffine(grey, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def before(self, box: Box, height: int) -> Box:
        """The rectangle around a sheared box on the original page of this height."""
        ends = [self.slope * x - self.lift for x in (box.x, box.right)]
        top = min(max(0, int(np.floor(box.y + min(ends)))), height - 1)
        bottom = min(height, int(np.ceil(box.bottom + max(ends))))
        return Box(box.x, top, box.width, max(1, bottom - top))


def shear(page: Glyphs, shape: tuple[int, ...]) -> Shear:
    """The shear that levels the lines of a page of this shape; a slope of 0 where they are level."""
    height, width = shape
    slope = _slope(page, shape) if height > LINES * page.usual else 0.0
    return Shear(slope if SEEN * page.usual < abs(slope) * width < STEEP * width else 0.0, width)


def _slope(page: Glyphs, shape: tuple[int, ...]) -> float:
    """By how much lines fall to the right: the median of the lines' slopes, weighted by length."""
    letters = page.letters[page.letters[:, 3] <= smearing.BRIDGE * page.usual]
    labels = smearing.numbered(letters, page.usual, shape)
    counts = np.bincount(labels)
    x, y = (_centred(values, labels, counts) for values in (letters[:, 0] + letters[:, 2] / 2, letters[:, 1] + letters[:, 3]))
    spread, rise = np.bincount(labels, x * x), np.bincount(labels, x * y)
    long = (counts >= LONG) & (spread > 0)
    return _weighted_median(rise[long] / spread[long], np.sqrt(spread[long])) if long.sum() > 1 else 0.0


def _centred(values: NDArray[np.number], labels: smearing.Labels, counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Values less the mean of all that have the same label."""
    return np.asarray(values - (np.bincount(labels, values) / counts)[labels], float)


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    ranks = np.argsort(values)
    return float(values[ranks[np.searchsorted(np.cumsum(weights[ranks]), weights.sum() / 2)]])
