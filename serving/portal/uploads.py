"""Uploaded files by their headers: what an image is, and whether a product reads its kind. Nothing is decoded."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image as Pillow

from serving.inputs import pictures, tiffs
from serving.portal import history
from serving.portal.history import Image
from serving.portal.products import PDF, TIFF

LIMIT_MB, LIMIT_MEGAPIXELS = 25, 100  # of an upload; a product may allow less
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and those that exchange width and height
MOST_PAGES = 500  # of a document; a product allows fewer
PDF_MARK, OTHERS = 1029, (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")  # bytes in which the mark is looked for; what begins so is an image
GREY = ("1", "L", "LA", "I", "I;16", "F")


class TiffLimits(NamedTuple):
    """What tiffs.py asks for."""

    limit_pages: int
    limit_megapixels: float


def read(content: bytes, title: str, documents: Sequence[str] = ()) -> tuple[Image, str]:
    """The facts of an image or a document by its header, and its media type; nothing is decoded. A PDF has no size. Raises Refusal."""
    named = "".join(letter if letter.isprintable() else " " for letter in title).strip()[: history.TITLE] or "image"
    size, hashed = len(content), hashlib.sha256(content).hexdigest()
    if PDF in documents and content[:PDF_MARK].find(b"%PDF-") >= 0 and not content.startswith(OTHERS):
        return Image(named, 0, 0, False, size, hashed), PDF
    opened = _tiff(content) if TIFF in documents and tiffs.is_tiff(content) else pictures.opened(content, LIMIT_MEGAPIXELS)
    width, height = opened.size[::-1] if _lies(opened) else opened.size
    kind = {"PNG": "image/png", "WEBP": "image/webp", "TIFF": TIFF}.get(opened.format or "", "image/jpeg")
    return Image(named, width, height, opened.mode not in GREY, size, hashed), kind


def _tiff(content: bytes) -> Pillow.Image:
    limits = TiffLimits(MOST_PAGES, LIMIT_MEGAPIXELS)
    tiffs.count(content, limits)
    return tiffs.opened(content, 0, limits)


def _lies(opened: Pillow.Image) -> bool:
    """Does its EXIF say that it is to be turned by a quarter?"""
    try:
        return opened.getexif().get(ORIENTATION) in LYING
    except Exception:  # decoders raise what they like on broken bytes
        return False
