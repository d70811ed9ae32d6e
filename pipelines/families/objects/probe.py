"""The golden example stored beside each model: a drawn arrow, and its probabilities."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.objects.picture import Convention

TOLERANCE = 1e-3  # of a probability
PAPER, INK = (120, 170, 220), (60, 40, 30)
ARROW = [(8, 26), (32, 26), (32, 12), (56, 32), (32, 52), (32, 38), (8, 38)]


def example(convention: Convention) -> NDArray[np.uint8]:
    """A dark arrow on sky blue: [1, side, side, 3]."""
    paper = Image.new("RGB", (64, 64), PAPER)
    ImageDraw.Draw(paper).polygon(ARROW, fill=INK)
    return convention.from_rgb(np.asarray(paper))[None]


def arrays(answer: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The probabilities of an answer [1, labels]."""
    return {"probabilities": answer[0]}
