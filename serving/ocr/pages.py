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
from serving.inputs import bodies, pictures
from serving.inputs.bodies import Body
from serving.ocr import tiffs

ALSO = ", or a TIFF"
SIDE = 4096  # pixels: a larger page is reduced; A4 at 300 dpi has 3508
Grey = NDArray[np.uint8]


class Page(NamedTuple):
    """One page: its number in a TIFF from 1, its (width, height) when upright, and its pixels [height, width], perhaps reduced."""

    number: int | None
    size: tuple[int, int]
    grey: Grey


class Line(NamedTuple):
    """One line: its box in pixels of its upright page, and its preprocessed image [height, W]."""

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
    size, grey = picture.size, pictures.grey(picture, SIDE)
    return Page(None, pictures.upright(size, grey), grey)


def _tiff_page(body: Body, limits: Serving, number: int) -> Page:
    picture = tiffs.opened(body.content, number, limits)
    size, grey = picture.size, tiffs.grey(picture, SIDE)
    return Page(number + 1, pictures.upright(size, grey), grey)


async def lines(page: Page, convention: Convention) -> list[Line]:
    """The lines of a page in reading order."""
    return await asyncio.to_thread(_lines, page, convention)


def _lines(page: Page, convention: Convention) -> list[Line]:
    found, scale = layout.page(page.grey), page.size[0] / page.grey.shape[1]
    images = [convention.from_grey(found.cut(line)) for line in found.lines]
    return [Line(_scaled(box, scale, page.size), image) for box, image in zip(found.boxes, images, strict=True)]


def _scaled(box: Box, scale: float, size: tuple[int, int]) -> Box:
    """A box of a reduced page on the page of (width, height) itself."""
    left, top = int(box.x * scale), int(box.y * scale)
    right, bottom = min(size[0], round(box.right * scale)), min(size[1], round(box.bottom * scale))
    return Box(left, top, right - left, bottom - top)
