"""Decoding images of any mode: upright, 8 bits a channel, without transparency, no larger than asked."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow's others may start programs


def opened(content: bytes) -> Image.Image:
    """A file of one of FORMATS, its header read. Raises as decoded() does."""
    return Image.open(io.BytesIO(content), formats=FORMATS)


def fault(error: Exception) -> str:
    """Why a file could not be decoded, for a message."""
    return "no picture" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__


def decoded(picture: Image.Image, mode: str, side: int) -> NDArray[np.uint8]:
    """Decode an opened image to [height, width] (mode "L") or [height, width, 3] ("RGB").

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
    """From 16 bits; a scanner may have used only the lower ones, so the brightest pixel decides the scale, 255 or more."""
    return Image.fromarray((deep.astype(np.uint32) * 255 // max(255, int(deep.max()))).astype(np.uint8))
