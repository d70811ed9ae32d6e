"""A picture to ask about, drawn here: benchmarks need no data set."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

LABEL = 7


def pixels() -> NDArray[np.uint8]:
    """A seven [28, 28], light on black, as MNIST has them."""
    page = Image.new("L", (280, 280))
    ImageDraw.Draw(page).line([(80, 70), (195, 70), (130, 220)], fill=255, width=24, joint="curve")
    return np.asarray(page.resize((28, 28), Image.Resampling.BOX))


def png() -> bytes:
    """The same as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels()).save(stream, "PNG")
    return stream.getvalue()
