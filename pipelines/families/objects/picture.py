"""The CIFAR convention: 32 x 32 in colour, the middle square of the image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Convention:
    """The constants by which any image is normalised for the network; a model's manifest holds them."""

    side: int = 32

    def from_rgb(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The middle square of an image [height, width, 3], scaled to [side, side, 3]."""
        height, width = rgb.shape[:2]
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        square = np.ascontiguousarray(rgb[top : top + edge, left : left + edge])
        if edge == self.side:
            return square
        return np.asarray(Image.fromarray(square).resize((self.side, self.side), Image.Resampling.LANCZOS, reducing_gap=3.0))
