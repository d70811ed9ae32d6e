"""An image for each family, drawn here: benchmarks need no data set."""

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.objects import embedded
from pipelines.families.signatures import embedded as letters

LABELS: dict[str, Any] = {"digits": 7}  # what a champion must predict; for other families any answer is right
PATHS = {"gravures": "/match"}  # the path of a prediction, by default /predict
STROKES: list[list[tuple[float, float]]] = [  # of an engraving, as shares of the drawing field: a V in a circle
    [(0.5 + 0.3 * math.cos(turn / 12 * math.pi), 0.5 + 0.3 * math.sin(turn / 12 * math.pi)) for turn in range(25)],
    [(0.37, 0.36), (0.5, 0.66), (0.63, 0.36)],
]


def pixels(family: str) -> NDArray[np.uint8]:
    """Of digits a seven [28, 28], of objects an arrow [32, 32, 3], of signatures a signed letter [1216, 940],

    of gravures a drawing as the page sends it [560, 560].
    """
    return {"digits": seven, "gravures": engraving, "objects": arrow, "signatures": letter}[family]()


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


def engraving(side: int = 560, pen: int = 14) -> NDArray[np.uint8]:
    """Dark on white."""
    paper = Image.new("L", (side, side), 255)
    for stroke in STROKES:
        ImageDraw.Draw(paper).line([(x * side, y * side) for x, y in stroke], fill=24, width=pen, joint="curve")
    return np.asarray(paper)


def seen(said: dict[str, Any]) -> Any:
    """What an answer predicts; None where it predicts nothing."""
    return said.get("prediction") if "prediction" in said else next((match["engraving"] for match in said.get("matches", [])), None)


def file(family: str) -> tuple[str, str, bytes]:
    """The same as a file: name, type, content. A letter is a JPEG, as scans are, others are PNGs."""
    kind = "jpeg" if family == "signatures" else "png"
    stream = io.BytesIO()
    Image.fromarray(pixels(family)).save(stream, kind)
    return f"picture.{kind}", f"image/{kind}", stream.getvalue()
