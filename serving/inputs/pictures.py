"""Untrusted images: format and size are read from the header before anything is decoded."""

import io
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

from serving.problems import Refusal

if TYPE_CHECKING:  # NumPy and OpenCV are a third of a process that reads headers alone: what decodes imports them
    import numpy as np
    from numpy.typing import NDArray

FORMATS = ("PNG", "JPEG", "WEBP")
GREYS = {"1", "L", "LA", "I;16", "I", "F"}  # modes without colours
SCANS = 100  # of a JPEG; progressive ones have about ten. Each is a pass over all pixels, in as few as 30 bytes
LIGHT_BYTES, LIGHT_PIXELS, LIGHT_SCANS = 32_000, 20_000, 12  # within all three a picture is decoded in a few milliseconds
INFLATED = (b"zTXt", b"iTXt", b"iCCP")  # chunks of a PNG that may hold a megabyte each, unpacked with its header
PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
EXIF, PARTS = b"Exif\0\0", 3  # of a JPEG: each may be 64 KB, of which Pillow 12 makes hundreds of megabytes while it opens them
Flattened = Callable[[Image.Image, int], Image.Image]
INKED_SIDE = 560  # pixels, as the page sends a drawing: a larger one is reduced to this side before its ink is looked for
WORKING_SIDE = 1024  # pixels: what is larger is reduced while it is decoded
PNG = {"description": "Successful Response", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}


def opened(content: bytes, limit_megapixels: float, also: str = "") -> Image.Image:
    """Read the header of a PNG, JPEG or WebP. Raises Refusal: 415 for another kind, 413 for too many pixels.

    `also` names what else the service reads.
    """
    if content[:2] == b"\xff\xd8" and (parts := content.count(EXIF)) > PARTS:
        detail = f"The JPEG picture has {parts} parts of EXIF; at most {PARTS} are read. Save it again, without its metadata."
        raise Refusal(422, "too much EXIF", detail)
    Image.MAX_IMAGE_PIXELS = None  # Pillow's own bomb check names neither size nor remedy; the one below is stricter
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        start = f"A body that begins with {content[:8]!r} ({len(content)} bytes)"
        raise Refusal(415, "not a picture", f"{start} is not a picture this service reads. Send PNG, JPEG or WebP{also}.") from error
    width, height = picture.size
    if width * height > limit_megapixels * 1e6:
        allowed = f"at most {limit_megapixels:g} megapixels are allowed. Send a smaller one."
        raise Refusal(413, "too many pixels", f"The picture has {width} x {height} pixels; {allowed}")
    few_scans(picture, content)
    return picture


def light(content: bytes) -> bool:
    """Is this decoded in a few milliseconds? A small file may hold millions of pixels, many scans or long text chunks."""
    if len(content) > LIGHT_BYTES or content.count(b"\xff\xda") > LIGHT_SCANS or any(name in content for name in INFLATED):
        return False
    try:
        width, height = _size(content)
    except Exception:  # opened() says what is wrong
        return True
    return width * height <= LIGHT_PIXELS


def _size(content: bytes) -> tuple[int, int]:
    """(width, height) by the header; of a PNG read here, in a fiftieth of the time. Of two headers the last one counts."""
    if content.startswith(PNG_HEAD) and content.count(b"IHDR") == 1:
        width, height = struct.unpack_from(">II", content, len(PNG_HEAD))
        return width, height
    return Image.open(io.BytesIO(content), formats=FORMATS).size


def upright(size: tuple[int, int], decoded: "NDArray[np.uint8]") -> tuple[int, int]:
    """The (width, height) of an opened picture as a person sees it: turned where decoding it to [height, width, ...] has turned it."""
    height, width = decoded.shape[:2]
    return size[::-1] if (size[0] - size[1]) * (width - height) < 0 else size


def few_scans(picture: Image.Image, content: bytes) -> None:
    """Count scans by their marker FF DA, which pixels do not contain. Raises Refusal 422."""
    if picture.format in {"JPEG", "MPO", "TIFF"} and (scans := content.count(b"\xff\xda")) > SCANS:
        detail = f"The JPEG picture has {scans} scans; at most {SCANS} are read. Save it again, as a baseline JPEG."
        raise Refusal(422, "too many scans", detail)


def grey(picture: Image.Image, side: int = WORKING_SIDE) -> "NDArray[np.uint8]":
    """Decode to [height, width], what is transparent on a ground its ink stands out from; by colour where grey shows no ink.

    Raises Refusal 422 when truncated or broken.
    """
    from serving.inputs import hues, ink

    mode, stream = picture.mode, getattr(picture, "fp", None)
    found = _decoded(picture, "L", side, ink.grounded)
    if mode in GREYS or not hues.is_flat(found):
        return found
    again = Image.open(stream, formats=FORMATS) if picture.format == "JPEG" and stream else picture  # decoded to grey, it has no colours
    coloured = hues.separated(_decoded(again, "RGB", side, ink.grounded))
    return found if coloured is None else coloured


def inked(picture: Image.Image, side: int = INKED_SIDE) -> "NDArray[np.uint8]":
    """Decode a picture of one thing drawn to its ink on even paper [height, width], see ink.separated. Raises as grey()."""
    from serving.inputs import ink

    return ink.separated(_decoded(picture, "L" if picture.mode in {"1", "L", "LA"} else "RGB", side, ink.grounded))


def colour(picture: Image.Image, side: int = WORKING_SIDE) -> "NDArray[np.uint8]":
    """Decode to [height, width, 3], as pictures.decoded does. Raises Refusal 422 when the picture is truncated or broken."""
    return _decoded(picture, "RGB", side)


def _decoded(picture: Image.Image, mode: str, side: int, flattened: Flattened = lambda picture, side: picture) -> "NDArray[np.uint8]":
    import numpy as np

    from pipelines.datasets import pictures

    try:
        if picture.mode == mode and max(picture.size) <= side:
            picture.load()
            if not picture.info:  # neither turned nor transparent: nothing is left to do
                return np.asarray(picture)
        return pictures.decoded(flattened(picture, side), mode, side)
    except Exception as error:  # decoders raise what they like on broken bytes: AssertionError, struct.error, ...
        detail = f"The {picture.format} picture is truncated or broken ({error}). Send the complete file."
        raise Refusal(422, "broken picture", detail) from error
