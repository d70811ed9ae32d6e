"""Pages as they are submitted: one picture, or a PDF's pages one after another."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.configs import Serving
from pipelines.families.signatures.examples import WORKING_SIDE
from serving import bodies, documents, pictures
from serving.bodies import Body

ALSO = ", or a PDF"
SHOWN_SIDE = 4096  # pixels: a larger page is shown reduced


class Page(NamedTuple):
    """One page: its number, the first being 1, its size in pixels as a person sees it, and [height, width] in grey, perhaps reduced."""

    number: int
    width: int
    height: int
    grey: NDArray[np.uint8]


class Shown(NamedTuple):
    """A page to look at: [height, width, 3], and how wide that is for each pixel of the page as submitted."""

    colour: NDArray[np.uint8]
    scale: float


async def submitted(body: Body, limits: Serving, only: int | None = None) -> AsyncGenerator[Page, None]:
    """The pages, or `only` one of them. Raises Refusal. Close it where it is not read to its end."""
    if not documents.is_pdf(body.content):
        yield await bodies.understood(_picture, body, limits, only)
        return
    async with aclosing(documents.pages(body.content, limits, only)) as rendered:
        async for number, grey in rendered:
            yield Page(number, grey.shape[1], grey.shape[0], grey)


def _picture(body: Body, limits: Serving, only: int | None) -> Page:
    """A picture is its own only page, decoded as ingest decodes."""
    picture = _opened(body, limits, only)
    size, grey = picture.size, pictures.grey(picture, WORKING_SIDE)
    return Page(1, *pictures.upright(size, grey), grey)


def _opened(body: Body, limits: Serving, only: int | None) -> Image.Image:
    picture = pictures.opened(body.content, limits.limit_megapixels, ALSO)
    if only not in (None, 1):
        raise documents.no_page(only, 1)
    return picture


async def shown(body: Body, limits: Serving, number: int) -> Shown:
    """One page to look at. Raises Refusal."""
    if not documents.is_pdf(body.content):
        return await bodies.aside(_coloured, body, limits, number)
    async with aclosing(documents.pages(body.content, limits, number)) as rendered:
        return await asyncio.to_thread(_reduced, (await anext(rendered)).grey)


def _coloured(body: Body, limits: Serving, number: int) -> Shown:
    picture = _opened(body, limits, number)
    size, colour = picture.size, pictures.colour(picture, SHOWN_SIDE)
    return Shown(colour, colour.shape[1] / pictures.upright(size, colour)[0])


def _reduced(grey: NDArray[np.uint8]) -> Shown:
    picture = Image.fromarray(grey)
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), reducing_gap=2.0)
    return Shown(np.asarray(picture.convert("RGB")), picture.width / grey.shape[1])
