"""Submitted pages: one image, or those of a PDF or TIFF one after another; and pages drawn with their boxes."""

import asyncio
import io
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.signatures.examples import WORKING_SIDE
from pipelines.families.signatures.settings import Serving
from serving.inputs import bodies, pictures, sheets, tiffs
from serving.inputs.bodies import Body
from serving.inputs.sheets import Sheet
from serving.signatures import documents

ALSO = ", or a PDF or TIFF"
SHOWN_SIDE = 4096  # pixels: a larger page is drawn reduced
RED = (200, 30, 20)
THIN = 400  # a line is as wide as this part of the page
Boxes = Sequence[Sequence[float]]


class Page(NamedTuple):
    """One page: its number from 1, its size in pixels when upright, and its pixels [height, width] in grey, perhaps reduced."""

    number: int
    width: int
    height: int
    grey: NDArray[np.uint8]


async def submitted(body: Body, limits: Serving, only: int | None = None) -> AsyncGenerator[Page, None]:
    """The pages, or `only` one of them. Raises Refusal. Close it where it is not read to the end."""
    if documents.is_pdf(body.content):
        async with aclosing(documents.pages(body.content, limits, only)) as rendered:
            async for number, grey in rendered:
                yield Page(number, grey.shape[1], grey.shape[0], grey)
    elif tiffs.is_tiff(body.content):
        for number in await bodies.in_thread(_numbers, body, limits, only):
            yield await bodies.in_thread(_tiff_page, body, limits, number)
    else:
        yield await bodies.process(_picture, body, limits, only)


def is_document(content: bytes) -> bool:
    """Is this a file of pages, and no image of one?"""
    return documents.is_pdf(content) or tiffs.is_tiff(content)


def views(page: Page) -> list[Sheet]:
    """A page as it is read: its sheet dark on white, turned upright; turned both ways where its letters do not say which it is."""
    sheet = sheets.found(page.grey)
    white = sheet._replace(grey=sheets.whitened(sheets.dark_on_light(sheet.grey)))
    return [white.turned(quarters) for quarters in sheets.quarters(white.grey)]


def _numbers(body: Body, limits: Serving, only: int | None) -> list[int]:
    """The pages of a TIFF that are asked for. Raises Refusal."""
    return documents.wanted(tiffs.count(body.content, limits), only, 1)


def _tiff_page(body: Body, limits: Serving, number: int) -> Page:
    picture = tiffs.opened(body.content, number - 1, limits)
    size, grey = picture.size, tiffs.grey(picture, WORKING_SIDE)
    return Page(number, *pictures.upright(size, grey), grey)


def _picture(body: Body, limits: Serving, only: int | None) -> Page:
    """An image as a page, decoded as ingest decodes."""
    picture = _opened(body, limits, only)
    size, grey = picture.size, pictures.grey(picture, WORKING_SIDE)
    return Page(1, *pictures.upright(size, grey), grey)


def _opened(body: Body, limits: Serving, only: int | None) -> Image.Image:
    picture = pictures.opened(body.content, limits.limit_megapixels, ALSO)
    if only not in (None, 1):
        raise documents.no_page(only, 1)
    return picture


async def drawn(body: Body, limits: Serving, number: int, boxes: Boxes = ()) -> bytes:
    """One page as PNG with frames around boxes of x, y, w, h in its pixels, reduced where a side is over SHOWN_SIDE. Raises Refusal.

    The limits on documents and heavy bodies at once hold here too: a page takes a hundred megabytes.
    """
    if tiffs.is_tiff(body.content):
        return await bodies.in_thread(_drawn_tiff, body, limits, number, boxes)
    if not documents.is_pdf(body.content):
        return await bodies.in_thread(_drawn_picture, body, limits, number, boxes)
    async with aclosing(documents.pages(body.content, limits, number)) as rendered:
        return await asyncio.to_thread(_drawn_page, (await anext(rendered)).grey, boxes)


def _drawn_picture(body: Body, limits: Serving, number: int, boxes: Boxes) -> bytes:
    picture = _opened(body, limits, number)
    size, colour = picture.size, pictures.colour(picture, SHOWN_SIDE)
    return framed(Image.fromarray(colour), colour.shape[1] / pictures.upright(size, colour)[0], boxes)


def _drawn_tiff(body: Body, limits: Serving, number: int, boxes: Boxes) -> bytes:
    (number,) = _numbers(body, limits, number)
    picture = tiffs.opened(body.content, number - 1, limits)
    size, grey = picture.size, tiffs.grey(picture, SHOWN_SIDE)
    return framed(Image.fromarray(grey).convert("RGB"), grey.shape[1] / pictures.upright(size, grey)[0], boxes)


def _drawn_page(grey: NDArray[np.uint8], boxes: Boxes) -> bytes:
    picture = Image.fromarray(grey)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), reducing_gap=2.0)
    return framed(picture.convert("RGB"), picture.width / grey.shape[1], boxes)


def framed(picture: Image.Image, scale: float, boxes: Boxes) -> bytes:
    """An image as PNG with frames around boxes of x, y, w, h, times `scale`."""
    pen, line, stream = ImageDraw.Draw(picture), max(2, max(picture.size) // THIN), io.BytesIO()
    for x, y, w, h in (np.array(box) * scale for box in boxes):
        pen.rectangle([x, y, x + w, y + h], outline=RED, width=line)
    picture.save(stream, "PNG", compress_level=1)
    return stream.getvalue()
