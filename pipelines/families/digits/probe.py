"""The golden example stored beside each model: a drawn seven, and its probabilities."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.digits.picture import Convention

TOLERANCE = 1e-3  # of a probability
STROKE = [(80, 70), (195, 70), (130, 220)]


def example(convention: Convention) -> NDArray[np.uint8]:
    """A seven: [1, side, side]."""
    paper = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(paper).line(STROKE, fill=0, width=24, joint="curve")
    return convention.from_grey(np.asarray(paper))[None]


def arrays(answer: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The probabilities of an answer [1, labels]."""
    return {"probabilities": answer[0]}
