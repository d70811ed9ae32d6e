"""Pictures from strangers: kind and size are read from the header before anything is decoded."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from serving.problems import Refusal

FORMATS = ("PNG", "JPEG", "WEBP")
WORKING_SIDE = 1024  # pixels: what is larger is reduced while it is decoded


def opened(content: bytes, limit_megapixels: float) -> Image.Image:
    """Read the header of a PNG, JPEG or WebP. Raises Refusal: 415 for another kind, 413 for too many pixels."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Refusal(413, f"{error}. At most {limit_megapixels:g} megapixels are allowed: send a smaller picture.") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Refusal(415, f"{_named(content)} is not a picture this service reads. Send PNG, JPEG or WebP.") from error
    width, height = picture.size
    if width * height > limit_megapixels * 1e6:
        raise Refusal(
            413, f"The picture has {width} x {height} pixels; at most {limit_megapixels:g} megapixels are allowed. Send a smaller one."
        )
    return picture


def _named(content: bytes) -> str:
    return f"A body that begins with {content[:8]!r} ({len(content)} bytes)"


def grey(picture: Image.Image) -> NDArray[np.uint8]:
    """Decode to grey [height, width]: upright by EXIF, transparency on white, the first frame of many.

    Sides over WORKING_SIDE are reduced. Raises Refusal 422 when the picture is truncated or broken.
    """
    try:
        picture.draft("L", (WORKING_SIDE, WORKING_SIDE))
        flat = _flat(picture)
        flat.thumbnail((WORKING_SIDE, WORKING_SIDE), reducing_gap=2.0)
        return np.asarray(ImageOps.exif_transpose(flat).convert("L"))
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError) as error:
        raise Refusal(422, f"The {picture.format} picture is truncated or broken ({error}). Send the whole file.") from error


def _flat(picture: Image.Image) -> Image.Image:
    """Without transparency, 8 bits a channel."""
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture.convert("RGB") if picture.mode not in {"L", "RGB"} else picture
    layers = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
