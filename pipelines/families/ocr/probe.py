"""The golden example stored beside each model: a printed line, and its reading."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.families.ocr.parts.ctc import Reading
from pipelines.families.ocr.picture import Convention

TOLERANCE = 0.01  # of the confidence; the text is the same or not
TEXT, SIZE, MARGIN = "Total 12.50", 40, 8  # pixels


def example(convention: Convention) -> NDArray[np.uint8]:
    """A line in Pillow's own font: [1, height, W]."""
    font = ImageFont.load_default(SIZE)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(TEXT))
    paper = Image.new("L", (right - left + 2 * MARGIN, bottom - top + 2 * MARGIN), 255)
    ImageDraw.Draw(paper).text((MARGIN - left, MARGIN - top), TEXT, 0, font)
    return convention.from_grey(np.asarray(paper))[None]


def arrays(answer: Sequence[Reading]) -> dict[str, NDArray[Any]]:
    """Text and confidence of one reading."""
    return {"text": np.array([answer[0].text]), "confidence": np.array([answer[0].confidence])}
