"""TIFF files from strangers: their directories are walked, and refused where they swell, before Pillow reads them or a page is decoded.

Pillow reads the whole value of every entry, so that a few megabytes whose entries all claim the same bytes would be read for hours.
"""

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.configs import Serving
from serving.inputs import pictures
from serving.problems import Refusal

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
COUNTED = 1000  # directories: nobody needs to know how many more there are
ENTRIES = 500  # of a directory; a scanner writes about twenty
VALUES = 1_000_000  # bytes that the entries of a directory may claim together
SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}  # bytes of each type's value
BESIDE = {34665, 34853, 40965}  # entries that point to another directory, which Pillow reads as well: EXIF, GPS, interoperability
JPEG = {6, 7}  # compressions


class _Kind(NamedTuple):
    """How a file counts: TIFF in 32 bits, BigTIFF in 64; `many`, `entry` and `offset` are formats of struct."""

    many: str
    entry: str
    offset: str
    first: int


def is_tiff(content: bytes) -> bool:
    """Is this to be read as a TIFF?"""
    return content.startswith(MARKS)


def count(content: bytes, limits: Serving) -> int:
    """How many pages a TIFF has; none of them is decoded. Raises Refusal: 413 for too many pages, 422 for a broken or swollen file."""
    try:
        pages = sum(1 for _ in _directories(content, _kind(content)))
    except (struct.error, IndexError, OverflowError) as error:
        raise _broken("its directories end too early") from error
    if not pages:
        raise Refusal(422, "no pages", "The TIFF has no pages. Send one that has.")
    if pages > limits.limit_pages:
        words = f"The TIFF has {pages:,} pages{' or more' * (pages >= COUNTED)}; at most {limits.limit_pages} are read. Send it in parts."
        raise Refusal(413, "too many pages", words)
    return pages


def opened(content: bytes, number: int, limits: Serving) -> Image.Image:
    """One page of a TIFF that count() has passed, the first being 0, its header read. Raises Refusal: 413 for too many pixels, 422."""
    try:
        picture = Image.open(io.BytesIO(content), formats=("TIFF",))
        picture.seek(number)
        picture.getexif()  # Pillow turns a page as this says, and pictures.decoded() puts another in its place
    except Exception as error:  # as decoders do: KeyError of a compression, struct.error, ...
        raise _broken(str(error)) from error
    _small(picture, number, limits.limit_megapixels)
    if picture.tag_v2.get(259) in JPEG:  # type: ignore[attr-defined]
        pictures.few_scans(picture, content)
    return picture


def grey(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Decode to [height, width], as pictures.grey does; what is black and white is not brought to colours first. Raises Refusal 422."""
    try:
        flat = picture.convert("L") if picture.mode == "1" else picture
    except Exception as error:
        raise _broken(str(error)) from error
    return pictures.grey(flat, side)


def _small(picture: Image.Image, number: int, limit_megapixels: float) -> None:
    width, height = picture.size
    if width * height > limit_megapixels * 1e6:
        allowed = f"at most {limit_megapixels:g} megapixels are allowed. Send a smaller one."
        raise Refusal(413, "too many pixels", f"Page {number + 1} of the TIFF has {width} x {height} pixels; {allowed}")


def _kind(content: bytes) -> _Kind:
    order, big = "<" if content.startswith(b"II") else ">", content[2:4] in {b"+\0", b"\0+"}
    if big:
        return _Kind(order + "Q", order + "HHQ8s", order + "Q", 8)
    return _Kind(order + "H", order + "HHL4s", order + "L", 4)


def _directories(content: bytes, kind: _Kind) -> Iterator[int]:
    """Where the directory of each page is, until they end, or one comes again. Raises Refusal or struct.error."""
    seen: set[int] = set()
    (at,) = struct.unpack_from(kind.offset, content, kind.first)
    while at and at not in seen and len(seen) < COUNTED:
        yield at
        (at,) = struct.unpack_from(kind.offset, content, _end(content, kind, at, seen))


def _end(content: bytes, kind: _Kind, at: int, seen: set[int]) -> int:
    """Where a directory ends, which has few entries of few bytes, as those have that it points to."""
    seen.add(at)
    (entries,) = struct.unpack_from(kind.many, content, at)
    begins, size = at + struct.calcsize(kind.many), struct.calcsize(kind.entry)
    if entries > ENTRIES:
        raise _broken(f"a directory has {entries:,} entries; at most {ENTRIES} are read")
    read = [struct.unpack_from(kind.entry, content, begins + number * size) for number in range(entries)]
    if (claimed := sum(SIZES.get(type_, 0) * values for _, type_, values, _ in read)) > VALUES:
        raise _broken(f"a directory claims {claimed:,} bytes; at most {VALUES:,} are read")
    for tag, _, _, value in read:
        other = struct.unpack_from(kind.offset, value)[0]
        if tag in BESIDE and other not in seen and len(seen) < COUNTED:
            _end(content, kind, other, seen)
    return begins + entries * size


def _broken(why: str) -> Refusal:
    return Refusal(422, "broken picture", f"The TIFF is truncated or broken ({why[:200]}). Save it again, or send its pages as PNG.")
