"""Preprocessing as in Darknet: the page in grey, stretched to a square; boxes are fractions of the page."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Convention:
    """Constants of preprocessing and of the boxes that count, stored in a model's manifest.

    `side` is the square's, in pixels; `threshold` is the least score of an answered box, chosen on validation; of boxes that overlap
    more than `overlap` (intersection over union) only the best counts.
    """

    side: int = 416
    threshold: float = 0.5
    overlap: float = 0.45

    def from_grey(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A page [height, width] stretched to [side, side], as Darknet does."""
        if grey.shape == (self.side, self.side):
            return grey
        reduced = max(grey.shape) >= self.side
        return cv2.resize(grey, (self.side, self.side), interpolation=cv2.INTER_AREA if reduced else cv2.INTER_LINEAR)


def in_pixels(boxes: Boxes, height: int, width: int) -> Boxes:
    """Boxes [k, 4] of x, y, w, h from fractions of the page to its pixels."""
    return boxes * np.array([width, height, width, height], np.float32)


def in_fractions(boxes: Boxes, height: int, width: int) -> Boxes:
    """Boxes [k, 4] of x, y, w, h from pixels of the page to fractions of it."""
    return np.divide(boxes, np.array([width, height, width, height], np.float32))
