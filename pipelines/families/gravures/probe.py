"""The golden example stored beside each model: a V in a circle, and its embedding."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.gravures.picture import Convention

TOLERANCE = 1e-3  # of a number of the embedding, whose length is 1
SIDE, PEN = 280, 7  # pixels
CIRCLE, LETTER = (56, 56, 224, 224), [(104, 101), (140, 185), (176, 101)]


def example(convention: Convention) -> NDArray[np.uint8]:
    """The drawn engraving: [1, side, side]."""
    paper = Image.new("L", (SIDE, SIDE), 255)
    on = ImageDraw.Draw(paper)
    on.ellipse(CIRCLE, outline=24, width=PEN)
    on.line(LETTER, fill=24, width=PEN, joint="curve")
    return convention.from_grey(np.asarray(paper))[None]


def arrays(answer: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The embedding of an answer [1, dimensions]."""
    return {"embedding": answer[0]}
