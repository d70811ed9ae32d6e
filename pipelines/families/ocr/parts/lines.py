"""Lines of text one below the other on one sheet, each with what is said of it beside."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

HEIGHT, WIDTH, GAP, BESIDE = 32, 560, 8, 440  # pixels: a line's height and most width, the space around it, room for its caption


def sheet(title: str, pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> Image.Image:
    """Grey lines [h, w] brought to one height, a caption of two lines to the right of each; white around."""
    step = HEIGHT + GAP
    page = Image.new("RGB", (WIDTH + BESIDE + 3 * GAP, step * (len(pictures) + 1) + GAP), "white")
    draw = ImageDraw.Draw(page)
    draw.text((GAP, 2 * GAP), title, "black")
    for row, (picture, caption) in enumerate(zip(pictures, captions, strict=True), 1):
        page.paste(_brought(picture), (GAP, row * step + GAP))
        draw.multiline_text((WIDTH + 2 * GAP, row * step + GAP), caption, "black")
    return page


def _brought(picture: NDArray[np.uint8]) -> Image.Image:
    height, width = picture.shape
    return Image.fromarray(np.asarray(picture)).resize((min(WIDTH, max(1, round(width * HEIGHT / height))), HEIGHT))
