"""Pictures from strangers: kind and size are read from the header before anything is decoded."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from serving.problems import Refusal

FORMATS = ("PNG", "JPEG", "WEBP")
SCANS = 100  # of a JPEG; progressive ones have about ten. Each is a walk over all pixels, and need not hold more than 30 bytes
LIGHT_BYTES, LIGHT_PIXELS, LIGHT_SCANS = 32_000, 500_000, 12  # within all three a picture is decoded in a few milliseconds
INFLATED = (b"zTXt", b"iTXt", b"iCCP")  # chunks of a PNG that may hold a megabyte each, unpacked with its header
WORKING_SIDE = 1024  # pixels: what is larger is reduced while it is decoded


def opened(content: bytes, limit_megapixels: float) -> Image.Image:
    """Read the header of a PNG, JPEG or WebP. Raises Refusal: 415 for another kind, 413 for too many pixels."""
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own bomb check names neither size nor remedy; the one below is stricter
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Refusal(415, "not a picture", f"{_named(content)} is not a picture this service reads. Send PNG, JPEG or WebP.") from error
    width, height = picture.size
    if width * height > limit_megapixels * 1e6:
        raise Refusal(413, "too many pixels", f"The picture has {width} x {height} pixels; {_allowed(limit_megapixels)}")
    _few_scans(picture, content)
    return picture


def light(content: bytes) -> bool:
    """Is this decoded in a few milliseconds? A small file may hold millions of pixels, many scans or long texts."""
    if len(content) > LIGHT_BYTES or content.count(b"\xff\xda") > LIGHT_SCANS or any(name in content for name in INFLATED):
        return False
    try:
        width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
    except Exception:  # opened() says what is wrong
        return True
    return width * height <= LIGHT_PIXELS


def _few_scans(picture: Image.Image, content: bytes) -> None:
    """Pixels hold no FF DA, the marker of a scan: counting it needs no decoding. Raises Refusal 422."""
    if picture.format in {"JPEG", "MPO"} and (scans := content.count(b"\xff\xda")) > SCANS:
        words = f"The JPEG picture has {scans} scans; at most {SCANS} are read. Save it again, as a baseline JPEG."
        raise Refusal(422, "too many scans", words)


def _allowed(limit_megapixels: float) -> str:
    return f"at most {limit_megapixels:g} megapixels are allowed. Send a smaller one."


def _named(content: bytes) -> str:
    return f"A body that begins with {content[:8]!r} ({len(content)} bytes)"


def grey(picture: Image.Image) -> NDArray[np.uint8]:
    """Decode to grey [height, width]: upright by EXIF, transparency on white, the first frame of many.

    Sides over WORKING_SIDE are reduced. Raises Refusal 422 when the picture is truncated or broken.
    """
    try:
        picture.draft("L", (WORKING_SIDE, WORKING_SIDE))
        flat = _flat(picture)
        flat.info["exif"] = picture.info.get("exif", b"")
        return np.asarray(ImageOps.exif_transpose(flat).convert("L"))
    except Exception as error:  # decoders raise what they like on broken bytes: AssertionError, struct.error, ...
        words = f"The {picture.format} picture is truncated or broken ({error}). Send the whole file."
        raise Refusal(422, "broken picture", words) from error


def _flat(picture: Image.Image) -> Image.Image:
    """Small, without transparency, 8 bits a channel."""
    if picture.mode.startswith("I"):
        return _small(_eight_bits(np.asarray(picture)))
    if not picture.has_transparency_data:
        return _small(picture if picture.mode in {"L", "RGB"} else picture.convert("RGB"))
    layers = _small(picture.convert("RGBA"))
    return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")


def _small(picture: Image.Image) -> Image.Image:
    picture.thumbnail((WORKING_SIDE, WORKING_SIDE), reducing_gap=2.0)
    return picture


def _eight_bits(deep: NDArray[np.integer]) -> Image.Image:
    """16 bits, of which a scanner may have used only the lower ones: the brightest pixel decides the scale, 255 or more."""
    return Image.fromarray((deep.astype(np.uint32) * 255 // max(255, int(deep.max()))).astype(np.uint8))
