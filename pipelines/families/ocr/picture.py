"""Preprocessing of an image of a line: dark ink on white paper, one height, padded on the right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CONTRAST = 24  # levels of grey between paper and ink, at least
PAPER, INK = 0.70, 0.005  # shares of the pixels, from dark to light, at which paper and the darkest ink are looked for


@dataclass(frozen=True)
class Convention:
    """Constants of the preprocessing, stored in a model's manifest. Pixels: `height` and at most `widest`, a multiple of `step`.

    Where `stretched`, every line is resized to `widest`, whatever its proportions.
    """

    height: int = 32
    widest: int = 1024
    step: int = 64
    stretched: bool = False

    def from_grey(self, grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A line [h, w] of 0 to 255 as [height, W]: ink 0, paper 255, white on black inverted; without contrast all white."""
        height, width = grey.shape
        wide = self.widest if self.stretched else min(self.widest, max(1, round(width * self.height / height)))
        image = Image.fromarray(contrasted(grey)).resize((wide, self.height), Image.Resampling.BILINEAR, reducing_gap=3.0)
        line = np.full((self.height, -(-wide // self.step) * self.step), 255, np.uint8)
        line[:, :wide] = np.asarray(image)
        return line


def contrasted(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with its paper at 255 and its ink at 0."""
    turned = 255 - grey if np.median(grey) < (int(grey.min()) + int(grey.max())) / 2 else grey
    ink, paper = np.quantile(turned, [INK, PAPER])
    if paper - ink < CONTRAST:
        return np.full(grey.shape, 255, np.uint8)
    return np.clip((turned - ink) * (255 / (paper - ink)), 0, 255).round().astype(np.uint8)
