"""The MNIST convention: 28 x 28, light ink on black, scaled into 20 x 20, its centre of mass in the middle.

Source: LeCun, Cortes, Burges, http://yann.lecun.com/exdb/mnist/ ("the images were centered in a 28x28 image by computing
the center of mass of the pixels").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Blank(ValueError):
    """An image without ink."""


@dataclass(frozen=True)
class Convention:
    """The constants by which any image of a digit is normalised to MNIST's form; a model's manifest holds them."""

    side: int = 28
    box: int = 20
    grain: float = 0.2  # of the strongest stroke: what is fainter is paper
    contrast: int = 24  # of 255: an image with less between paper and ink is blank
    scale: int = 255

    def from_grey(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Normalise a grey image [height, width], dark on light or light on dark, to [side, side]. Raises Blank.

        The brightness of the paper is the median of the border.
        """
        ink = np.abs(grey.astype(np.float32) - np.median(_border(grey)))
        if ink.max() < self.contrast:
            raise Blank(f"The picture is blank: its contrast is {ink.max():.0f} of 255, ink needs {self.contrast}. Send one with a digit.")
        return self.centred(ink / ink.max())

    def centred(self, ink: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Crop, scale and centre ink [height, width], 0 for paper to 1 for the strongest stroke, to [side, side] of 0 to 255."""
        ink = np.where(ink < self.grain, 0, ink)
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        return self._placed(self._scaled(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))

    def _scaled(self, ink: NDArray[np.float32]) -> NDArray[np.float32]:
        """The longer side fits the box; the shorter, in proportion, has at least one pixel."""
        ratio = self.box / max(ink.shape)
        height, width = (max(1, round(side * ratio)) for side in ink.shape)
        picture = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        return np.clip(np.asarray(picture), 0, 1)

    def _placed(self, digit: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Put the centre of mass on the middle of the page, or as near as the digit fits."""
        page = np.zeros((self.side, self.side), np.float32)
        top, left = (self._offset(digit.sum(1 - axis)) for axis in (0, 1))
        page[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
        return np.rint(page / page.max() * self.scale).astype(np.uint8)

    def _offset(self, mass: NDArray[np.float32]) -> int:
        centre = float((mass * (np.arange(mass.size) + 0.5)).sum() / mass.sum())
        return int(np.clip(round(self.side / 2 - centre), 0, self.side - mass.size))


def _border(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
