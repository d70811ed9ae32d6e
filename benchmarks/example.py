"""A picture of each family to ask about, drawn here: benchmarks need no data set."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.objects import embedded
from pipelines.families.signatures import embedded as letters

LABELS: dict[str, Any] = {"digits": 7}  # what a champion must see; what it takes a drawn arrow for, nobody knows


def pixels(family: str) -> NDArray[np.uint8]:
    """Of digits a seven [28, 28], of objects an arrow [32, 32, 3], of signatures a signed letter [1216, 940]."""
    return {"digits": seven, "objects": arrow, "signatures": letter}[family]()


def seven() -> NDArray[np.uint8]:
    """Light on black, as MNIST has them."""
    page = Image.new("L", (280, 280))
    ImageDraw.Draw(page).line([(80, 70), (195, 70), (130, 220)], fill=255, width=24, joint="curve")
    return np.asarray(page.resize((28, 28), Image.Resampling.BOX))


def arrow() -> NDArray[np.uint8]:
    """In two colours, with some noise."""
    _, picture = next(embedded.drawn(1, seed=1))
    return picture


def letter() -> NDArray[np.uint8]:
    """As large as the scans of Tobacco-800."""
    page = next(page for page in letters.drawn() if len(page.boxes))
    return np.asarray(Image.open(io.BytesIO(page.content)).resize((940, 1216), Image.Resampling.BICUBIC))


def file(family: str) -> tuple[str, str, bytes]:
    """The same as a file: name, type, content. A letter is a JPEG, as scans are, others are PNGs."""
    kind = "jpeg" if family == "signatures" else "png"
    stream = io.BytesIO()
    Image.fromarray(pixels(family)).save(stream, kind)
    return f"picture.{kind}", f"image/{kind}", stream.getvalue()
