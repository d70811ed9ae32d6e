"""The CIFAR convention: 32 x 32 in colour, the middle square of the picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class Convention:
    """How any picture becomes one that the network takes; the manifest of a model holds these constants."""

    side: int = 32

    def from_rgb(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a picture [height, width, 3] to [side, side, 3]: the middle square, reduced or enlarged."""
        height, width = rgb.shape[:2]
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        square = np.ascontiguousarray(rgb[top : top + edge, left : left + edge])
        if edge == self.side:
            return square
        return np.asarray(Image.fromarray(square).resize((self.side, self.side), Image.Resampling.LANCZOS, reducing_gap=3.0))
