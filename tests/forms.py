"""Valid pictures, in every form in which people send them."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

ORIENTATION = 0x0112  # the EXIF tag
STORED = {  # EXIF orientation: how the upright picture lies in such a file (CIPA DC-008, 4.6.4 A)
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def seven() -> Image.Image:
    picture = Image.new("L", (60, 80), 255)
    picture.paste(0, (15, 15, 45, 21))
    picture.paste(0, (39, 15, 45, 65))
    return picture


def drawing() -> Image.Image:
    """White, 48 wide and 32 high, with a black square towards the upper left: no turn or mirror of it looks the same."""
    picture = Image.new("L", (48, 32), 255)
    picture.paste(0, (8, 8, 24, 24))
    return picture


def transparent(picture: Image.Image, mode: str) -> Image.Image:
    """The ink of a picture alone, on transparent black."""
    layers = Image.new("LA", picture.size, (0, 0))
    layers.putalpha(picture.point(lambda value: 255 - value))
    return layers.convert(mode)


def turned(picture: Image.Image, orientation: int, kind: str) -> bytes:
    """A file whose EXIF says how to turn it upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(picture.transpose(STORED[orientation]), kind, exif=exif)


def deep(picture: Image.Image) -> Image.Image:
    """With 16 bits a pixel."""
    return Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)


def black(mode: str) -> Image.Image:
    """A second frame, which must not be read."""
    return Image.new(mode, (48, 32), 0)


FORMS: dict[str, Callable[[Image.Image], bytes]] = {
    "png": lambda picture: encoded(picture, "PNG"),
    "png-rgb": lambda picture: encoded(picture.convert("RGB"), "PNG"),
    "png-palette": lambda picture: encoded(picture.convert("P"), "PNG"),
    "png-palette-transparent": lambda picture: encoded(picture.convert("P"), "PNG", transparency=255),
    "png-1-bit": lambda picture: encoded(picture.convert("1"), "PNG"),
    "png-16-bit": lambda picture: encoded(deep(picture), "PNG"),
    "png-rgba": lambda picture: encoded(transparent(picture, "RGBA"), "PNG"),
    "png-grey-alpha": lambda picture: encoded(transparent(picture, "LA"), "PNG"),
    "png-animated": lambda picture: encoded(picture, "PNG", save_all=True, append_images=[black("L")]),
    "jpeg": lambda picture: encoded(picture, "JPEG"),
    "jpeg-rgb": lambda picture: encoded(picture.convert("RGB"), "JPEG"),
    "jpeg-cmyk": lambda picture: encoded(picture.convert("CMYK"), "JPEG"),
    "jpeg-progressive": lambda picture: encoded(picture, "JPEG", progressive=True),
    "webp": lambda picture: encoded(picture.convert("RGB"), "WEBP"),
    "webp-lossless": lambda picture: encoded(picture.convert("RGB"), "WEBP", lossless=True),
    "webp-rgba": lambda picture: encoded(transparent(picture, "RGBA"), "WEBP", lossless=True),
    "webp-animated": lambda picture: encoded(picture.convert("RGB"), "WEBP", save_all=True, append_images=[black("RGB")]),
}
