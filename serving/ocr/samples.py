"""Images to try the page with, rendered, so that none is taken from a data set or stored in git."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

INK, PAPER, NOISE = 40, 240, 6  # grey levels
SIZE, LEADING, MARGIN, WIDTH = 30, 44, 28, 620  # pixels: of letters, from line to line, around the text, of the paper
Line = tuple[str, str]  # the text at the left, and at the right
SAMPLES: dict[str, Sequence[Line]] = {
    "receipt.png": [
        ("CORNER BAKERY", ""),
        ("14 MILL LANE", ""),
        ("TEL 03-7728 1180", "21/11/2018"),
        ("2 X RYE BREAD", "9.80"),
        ("1 X BUTTER 250G", "6.45"),
        ("TOTAL", "RM 16.25"),
        ("CASH", "20.00"),
        ("CHANGE", "3.75"),
    ],
    "line.png": [("INVOICE NO : 20-11-4471", "")],
    "total.png": [("TOTAL INCL. GST 6%", "48.90"), ("ROUNDING ADJ", "0.00")],
}


def rendered(lines: Sequence[Line]) -> NDArray[np.uint8]:
    """Printed lines on paper, [height, WIDTH] in grey, the same each time."""
    picture = Image.new("L", (WIDTH, len(lines) * LEADING + 2 * MARGIN), PAPER)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(SIZE)
    for row, (left, right) in enumerate(lines):
        pen.text((MARGIN, MARGIN + row * LEADING), left, INK, font)
        pen.text((WIDTH - MARGIN, MARGIN + row * LEADING), right, INK, font, anchor="ra")
    noise = np.random.default_rng(0).normal(0, NOISE, (picture.height, picture.width))
    return (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)


def written(folder: Path) -> list[str]:
    """The paths of all samples, as PNG in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in SAMPLES.items():
        Image.fromarray(rendered(lines)).save(folder / name)
    return [str(folder / name) for name in SAMPLES]
