"""Submitted pages, one image or those of a TIFF one after another, and the lines on them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts import layout
from pipelines.families.ocr.parts.order import Box
from pipelines.families.ocr.picture import Convention
from pipelines.families.ocr.settings import Serving
from serving.inputs import bodies, pictures, tiffs
from serving.inputs.bodies import Body
from serving.inputs.sheets import Sheet

ALSO = ", or a TIFF"
SIDE, LONG = 4096, 2  # pixels: a larger page is reduced, A4 at 300 dpi has 3508; of a long one so many times the shorter side counts
Grey = NDArray[np.uint8]


class Page(NamedTuple):
    """One page: its number in a TIFF from 1, its (width, height) when upright, and its pixels [height, width], perhaps reduced."""

    number: int | None
    size: tuple[int, int]
    grey: Grey


class Line(NamedTuple):
    """One line: its box in pixels of the page as it was sent, and its preprocessed image [height, W]."""

    box: Box
    picture: Grey


async def submitted(body: Body, limits: Serving) -> AsyncGenerator[Page, None]:
    """The pages, each decoded when it is asked for. Raises Refusal."""
    if not tiffs.is_tiff(body.content):
        yield await bodies.process(_picture, body, limits)
        return
    for number in range(await bodies.in_thread(lambda body: tiffs.count(body.content, limits), body)):
        yield await bodies.in_thread(_tiff_page, body, limits, number)


def _picture(body: Body, limits: Serving) -> Page:
    picture = pictures.opened(body.content, limits.limit_megapixels, ALSO)
    size, grey = picture.size, pictures.grey(picture, _side(picture.size))
    return Page(None, pictures.upright(size, grey), grey)


def _tiff_page(body: Body, limits: Serving, number: int) -> Page:
    picture = tiffs.opened(body.content, number, limits)
    size, grey = picture.size, tiffs.grey(picture, _side(picture.size))
    return Page(number + 1, pictures.upright(size, grey), grey)


def _side(size: tuple[int, int]) -> int:
    """The longest side, in pixels, of a page of this size that is read."""
    return int(SIDE * max(1.0, max(size) / (LONG * min(size))))


async def lines(page: Page, sheet: Sheet, convention: Convention, most: int | None = None) -> list[Line]:
    """The lines of a page's sheet in reading order, or the longest ones, `most` of them."""
    return await asyncio.to_thread(_lines, page, sheet, convention, most)


def _lines(page: Page, sheet: Sheet, convention: Convention, most: int | None) -> list[Line]:
    starts = layout.parts(sheet.grey)
    found = [line for part in zip(starts, [*starts[1:], None], strict=True) for line in _part(page, sheet, convention, *part)]
    return found if most is None else sorted(found, key=lambda line: -line.picture.shape[1])[:most]


def _part(page: Page, sheet: Sheet, convention: Convention, top: int, bottom: int | None) -> list[Line]:
    """The lines of a page between two rows of its sheet."""
    found = layout.page(sheet.grey[top:bottom])
    images = [convention.from_grey(found.cut(line)) for line in found.lines]
    return [Line(_sent(box._replace(y=box.y + top), page, sheet), image) for box, image in zip(found.boxes, images, strict=True)]


def _sent(box: Box, page: Page, sheet: Sheet) -> Box:
    """A box of a sheet on the page of (width, height) as it was sent."""
    corners = sheet.sent(np.array([[box.x, box.y, box.right, box.bottom]], float))[0] * (page.size[0] / page.grey.shape[1])
    left, top = np.minimum(corners[:2].astype(int).clip(0), np.array(page.size) - 1).tolist()
    right, bottom = np.minimum(corners[2:].round().astype(int), page.size).tolist()
    return Box(left, top, max(1, right - left), max(1, bottom - top))
