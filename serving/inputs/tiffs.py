"""Untrusted TIFF files: their directories are checked before Pillow reads them or a page is decoded.

Pillow reads the whole value of every entry: a few megabytes whose entries all claim the same bytes would be read for hours.
"""

import io
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from PIL import Image

from serving.inputs import pictures
from serving.problems import Refusal

if TYPE_CHECKING:  # as in pictures.py
    import numpy as np
    from numpy.typing import NDArray

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
COUNTED = 1000  # directories: more are not counted
ENTRIES = 500  # of a directory; a scanner writes about twenty
VALUES = 1_000_000  # bytes that the entries of a directory may claim in all
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes of a type's value
NESTED = {34665, 34853, 40965}  # entries that point to another directory, which Pillow reads too: EXIF, GPS, interoperability
JPEG, STRIPS = {6, 7}, 7  # compressions; the second makes a JPEG of each strip


class Limits(Protocol):
    """How many pages, and pixels of a page, are read."""

    @property
    def limit_pages(self) -> int: ...

    @property
    def limit_megapixels(self) -> float: ...


class _Format(NamedTuple):
    """Formats of struct for a count, an entry and an offset, 32 bits in TIFF and 64 in BigTIFF, and where the first offset is."""

    number: str
    entry: str
    offset: str
    first: int


def is_tiff(content: bytes) -> bool:
    """Does it begin as a TIFF?"""
    return content.startswith(MARKS)


def count(content: bytes, limits: Limits) -> int:
    """How many pages a TIFF has, without decoding one. Raises Refusal: 413 for too many pages, 422 for a broken or inflated file."""
    try:
        pages = sum(1 for _ in _directories(content))
    except (struct.error, IndexError, OverflowError) as error:
        raise _broken("its directories end too early") from error
    if not pages:
        raise Refusal(422, "no pages", "The TIFF has no pages. Send one that has.")
    if pages > limits.limit_pages:
        words = f"The TIFF has {pages:,} pages{' or more' * (pages >= COUNTED)}; at most {limits.limit_pages} are read. Send it in parts."
        raise Refusal(413, "too many pages", words)
    return pages


def opened(content: bytes, number: int, limits: Limits) -> Image.Image:
    """One page, from 0, of a TIFF that count() has checked, its header read. Raises Refusal: 413 for too many pixels, 422."""
    try:
        picture = Image.open(io.BytesIO(content), formats=("TIFF",))
        picture.seek(number)
        picture.getexif()  # Pillow turns a page as this says, and pictures.decoded() puts another in its place
    except Exception as error:  # decoders raise anything: KeyError of a compression, struct.error, ...
        raise _broken(str(error)) from error
    width, height = picture.size
    if width * height > limits.limit_megapixels * 1e6:
        allowed = f"at most {limits.limit_megapixels:g} megapixels are allowed. Send a smaller one."
        raise Refusal(413, "too many pixels", f"Page {number + 1} of the TIFF has {width} x {height} pixels; {allowed}")
    if picture.tag_v2.get(259) in JPEG:  # type: ignore[attr-defined]
        _check_scans(picture, content)
    return picture


def _check_scans(picture: Any, content: bytes) -> None:
    """Each strip or tile is a JPEG of its own, with its own scans: all together are as many passes over the page as one. Raises Refusal."""
    tags = picture.tag_v2
    offsets, sizes = (tags.get(strips) or tags.get(tiles) or () for strips, tiles in ((273, 324), (279, 325)))
    stated = len(offsets) == len(sizes) and all(isinstance(value, int) and value > 0 for value in (*offsets, *sizes))
    if tags.get(259) != STRIPS or not stated:  # libtiff guesses a size of 0
        return pictures.few_scans(picture, content)
    if sum(sizes) > len(content):
        raise _broken("its strips lie over each other")
    for offset, size in zip(offsets, sizes, strict=True):
        pictures.few_scans(picture, content[offset : offset + size])


def grey(picture: Image.Image, side: int) -> "NDArray[np.uint8]":
    """Decode to [height, width], as pictures.grey does, but black and white without a step through colours. Raises Refusal 422."""
    try:
        flat = picture.convert("L") if picture.mode == "1" else picture
    except Exception as error:
        raise _broken(str(error)) from error
    return pictures.grey(flat, side)


def _format(content: bytes) -> _Format:
    order, big = "<" if content.startswith(b"II") else ">", content[2:4] in {b"+\0", b"\0+"}
    if big:
        return _Format(order + "Q", order + "HHQ8s", order + "Q", 8)
    return _Format(order + "H", order + "HHL4s", order + "L", 4)


def _directories(content: bytes) -> Iterator[int]:
    """Where the directory of each page is, until they end or one comes again. Raises Refusal or struct.error."""
    form, seen = _format(content), set[int]()
    (at,) = struct.unpack_from(form.offset, content, form.first)
    while at and at not in seen and len(seen) < COUNTED:
        yield at
        (at,) = struct.unpack_from(form.offset, content, _end(content, form, at, seen))


def _end(content: bytes, form: _Format, at: int, seen: set[int]) -> int:
    """Where a directory ends; it and those that it points to are checked."""
    seen.add(at)
    (entries,) = struct.unpack_from(form.number, content, at)
    begins, size = at + struct.calcsize(form.number), struct.calcsize(form.entry)
    if entries > ENTRIES:
        raise _broken(f"a directory has {entries:,} entries; at most {ENTRIES} are read")
    read = [struct.unpack_from(form.entry, content, begins + number * size) for number in range(entries)]
    if (claimed := sum(SIZES.get(type_, 0) * values for _, type_, values, _ in read)) > VALUES:
        raise _broken(f"a directory claims {claimed:,} bytes; at most {VALUES:,} are read")
    for tag, _, _, value in read:
        other = struct.unpack_from(form.offset, value)[0]
        if tag in NESTED and other not in seen and len(seen) < COUNTED:
            _end(content, form, other, seen)
    return begins + entries * size


def _broken(why: str) -> Refusal:
    return Refusal(422, "broken picture", f"The TIFF is truncated or broken ({why[:200]}). Save it again, or send its pages as PNG.")
