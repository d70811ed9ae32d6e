"""Decoding pictures of any mode: upright, 8 bits a channel, without transparency, no larger than asked."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow's others may start programs


def decoded(picture: Image.Image, mode: str, side: int) -> NDArray[np.uint8]:
    """Decode an opened picture to [height, width] (mode "L") or [height, width, 3] ("RGB").

    Upright by EXIF, transparency on white, the first frame of many; sides over `side` pixels are reduced. Raises whatever the
    decoder raises on broken bytes: OSError, ValueError, SyntaxError, AssertionError, struct.error ...
    """
    picture.draft(mode, (side, side))
    flat = _flat(picture, side)
    flat.info["exif"] = picture.info.get("exif", b"")
    return np.asarray(ImageOps.exif_transpose(flat).convert(mode))


def _flat(picture: Image.Image, side: int) -> Image.Image:
    """Small, without transparency, 8 bits a channel."""
    if picture.mode.startswith("I"):
        return _small(_eight_bits(np.asarray(picture)), side)
    if not picture.has_transparency_data:
        return _small(picture if picture.mode in {"L", "RGB"} else picture.convert("RGB"), side)
    layers = _small(picture.convert("RGBA"), side)
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")


def _small(picture: Image.Image, side: int) -> Image.Image:
    picture.thumbnail((side, side), reducing_gap=2.0)
    return picture


def _eight_bits(deep: NDArray[np.integer]) -> Image.Image:
    """16 bits, of which a scanner may have used only the lower ones: the brightest pixel decides the scale, 255 or more."""
    return Image.fromarray((deep.astype(np.uint32) * 255 // max(255, int(deep.max()))).astype(np.uint8))
