"""Contact sheets: many small images with captions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

COLUMNS = 8
SHOWN = 64  # images on a sheet of mistakes
TILE, GAP, LINE = 96, 12, 12  # pixels: side of an image, gap, line of a caption


def sheet(title: str, pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str], tile: int = TILE) -> Image.Image:
    """Images [height, width] or [height, width, 3], scaled to `tile` pixels, each above a caption of up to two lines."""
    rows = -(-len(pictures) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (tile + GAP) + GAP, rows * (tile + 2 * LINE + GAP) + LINE + 2 * GAP), "white")
    draw = ImageDraw.Draw(page)
    draw.text((GAP, GAP), title, "black")
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(index, COLUMNS)
        left, top = GAP + column * (tile + GAP), LINE + 2 * GAP + row * (tile + 2 * LINE + GAP)
        page.paste(Image.fromarray(np.asarray(picture)).resize((tile, tile), Image.Resampling.NEAREST), (left, top))
        draw.multiline_text((left, top + tile), caption, "black", spacing=0)
    return page
