"""The normalisation of any image of an engraving: its ink, light on black, in the middle of a square."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Ink = NDArray[np.uint8]


class Blank(ValueError):
    """An image without ink."""


@dataclass(frozen=True)
class Convention:
    """The constants of the normalisation; a model's manifest holds them.

    `side` is the square's, in pixels, `margin` the share of it that stays black on each side of the ink. What is fainter than `grain`
    of the strongest line is paper; a picture with less `contrast` (of 255) between its paper and its ink is blank. A line is
    strengthened to full ink by the strongest point within `reach` pixels; of a picture of over `coarse` sides each block's strongest
    point represents it, so that no line is too thin to remain.
    """

    side: int = 64
    margin: float = 0.1
    grain: float = 0.2
    contrast: int = 24
    reach: int = 2
    coarse: int = 4

    def from_grey(self, grey: NDArray[np.uint8]) -> Ink:
        """Normalise a grey image [height, width], dark on light or light on dark, to [side, side], ink 255 on paper 0.

        The paper's brightness is the median of the border. Raises Blank when nothing stands out from it.
        """
        ink = np.abs(grey.astype(np.int16) - int(np.median(_border(grey))))
        strongest = int(ink.max(initial=0))
        if strongest < self.contrast:
            raise Blank(
                f"The picture is blank: it differs from its border by at most {strongest} of 255, and ink needs {self.contrast}. "
                "Draw the engraving, or send a picture with dark lines on light paper or light lines on dark."
            )
        scaled = (ink * (255 / strongest)).astype(np.uint8)
        return self._centred(self._strengthened(self._reduced(self._coarse(self._cropped(scaled)))))

    def _cropped(self, ink: Ink) -> Ink:
        """Crop to the ink; what is fainter than the grain is paper."""
        ink = np.where(ink < self.grain * 255, np.uint8(0), ink)
        rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
        return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    def _coarse(self, ink: Ink) -> Ink:
        """Max pooling of a large image, so that no line is too thin to remain after reduction."""
        block = max(1, max(ink.shape) // (self.coarse * self.side))
        height, width = (-(-side // block) for side in ink.shape)
        padded = np.pad(ink, ((0, height * block - ink.shape[0]), (0, width * block - ink.shape[1])))
        return padded.reshape(height, block, width, block).max((1, 3))

    def _reduced(self, ink: Ink) -> Image.Image:
        """The longer side fits between the margins; the shorter keeps the proportion, and at least one pixel.

        One direction after the other: which comes first decides how pixels are rounded, and Pillow's versions decide differently.
        """
        ratio = round(self.side * (1 - 2 * self.margin)) / max(ink.shape)
        height, width = (max(1, round(side * ratio)) for side in ink.shape)
        tall = ink.shape[0] - height > max(0, 2 * (ink.shape[1] - width))
        first = (ink.shape[1], height) if tall else (width, ink.shape[0])
        return Image.fromarray(ink).resize(first, Image.Resampling.HAMMING).resize((width, height), Image.Resampling.HAMMING)

    def _strengthened(self, ink: Image.Image) -> Ink:
        """Each point divided by the strongest one near it, so that a line that was thinned by reducing is full ink again."""
        near = self._strongest(self._strongest(np.asarray(ink)).T).T
        return np.rint(np.asarray(ink) * (255 / np.maximum(near, np.float32(1)))).clip(0, 255).astype(np.uint8)

    def _strongest(self, ink: Ink) -> Ink:
        """The strongest within reach along the rows."""
        padded = np.pad(ink, ((0, 0), (self.reach, self.reach)))
        return np.max([padded[:, shift : shift + ink.shape[1]] for shift in range(2 * self.reach + 1)], axis=0)

    def _centred(self, ink: Ink) -> Ink:
        page = np.zeros((self.side, self.side), np.uint8)
        top, left = ((self.side - side) // 2 for side in ink.shape)
        page[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
        return page


def _border(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
