"""Pages whose lines fall or rise by a few degrees: how much, and the same page with its lines level.

A page is sheared, not turned: letters lean as much as lines fell, which no reader minds, and nothing leaves the page at its sides.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts import smearing
from pipelines.families.ocr.parts.glyphs import Boxes, Glyphs, Grey
from pipelines.families.ocr.parts.order import Box

LONG = 3  # letters of a line that tells how a page is askew
LINES = 4  # times the usual letter's height: what is lower is a picture of one line, and stays as it is
STEEP = 0.11  # of a page's width, 6 degrees: what falls by more is no page of lines
SEEN = 0.3  # of the usual height: what falls by less over the page's width is level


class Shear(NamedTuple):
    """Every column is moved up by `slope` times its x, and all down by `lift`, so that nothing is above the edge. Pixels."""

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
        """The rectangle around what a box on the sheared page was on the page, of this height, that it came from."""
        ends = [self.slope * x - self.lift for x in (box.x, box.right)]
        top = min(max(0, int(np.floor(box.y + min(ends)))), height - 1)
        bottom = min(height, int(np.ceil(box.bottom + max(ends))))
        return Box(box.x, top, box.width, max(1, bottom - top))


def shear(there: Glyphs, shape: tuple[int, ...]) -> Shear:
    """What levels the lines of a page of this shape; nothing, where they are level or there are none."""
    height, width = shape
    slope = _slope(there, shape) if height > LINES * there.usual else 0.0
    return Shear(slope if SEEN * there.usual < abs(slope) * width < STEEP * width else 0.0, width)


def _slope(there: Glyphs, shape: tuple[int, ...]) -> float:
    """By how much lines fall to the right: the middle one of the lines' slopes, the longer ones counting more."""
    letters = there.letters[there.letters[:, 3] <= smearing.BRIDGE * there.usual]
    labels = smearing.numbered(letters, there.usual, shape)
    counts = np.bincount(labels)
    x, y = (_centred(values, labels, counts) for values in (letters[:, 0] + letters[:, 2] / 2, letters[:, 1] + letters[:, 3]))
    spread, rise = np.bincount(labels, x * x), np.bincount(labels, x * y)
    told = (counts >= LONG) & (spread > 0)
    return _middle(rise[told] / spread[told], np.sqrt(spread[told])) if told.sum() > 1 else 0.0


def _centred(values: NDArray[np.number], labels: smearing.Labels, counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Values less the mean of all that have the same label."""
    return np.asarray(values - (np.bincount(labels, values) / counts)[labels], float)


def _middle(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The weighted median."""
    ranks = np.argsort(values)
    return float(values[ranks[np.searchsorted(np.cumsum(weights[ranks]), weights.sum() / 2)]])
