"""Untrusted PDF documents: each is rendered in a process of its own, which may crash, swell or hang without harm to the service."""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.signatures.settings import Serving
from serving.problems import Refusal

RENDERING = Path(__file__).with_name("rendering.py")
DPI, LEAST_DPI = 150, 10  # pixels in an inch: A4 has 1241 x 1754; a page that is too large is rendered with fewer, at least so many
QUICK_SECONDS = 1  # of a processor, for a whole document: most take a few tenths
PAGE_SECONDS = 10  # of a processor that one page may take of a document that takes longer
GRACE = 0.2  # seconds that it has to end by itself
QUICK, LONG = asyncio.Semaphore(2), asyncio.Semaphore(1)  # documents being rendered, all requests together
MARK, WITHIN = b"%PDF-", 1024  # a PDF may have other bytes before its mark, so many
OTHERS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")  # what begins like this is a picture, whatever else it holds
REMEDY = "Print it to a new PDF, or send its pages as pictures."
EXHAUSTED = 24  # SIGXCPU, which Windows has not
LINE = 2**16  # bytes that the renderer may say of a page, and that are read ahead of its pixels


class Page(NamedTuple):
    """One page as it was rendered: its number, the first being 1, and [height, width] in grey."""

    number: int
    grey: NDArray[np.uint8]


class Broken(Exception):
    """The renderer ended, or its output is malformed."""


class Long(Exception):
    """The document takes more than QUICK_SECONDS."""


def is_pdf(content: bytes) -> bool:
    """Is this to be read as a PDF?"""
    return MARK in content[: WITHIN + len(MARK)] and not content.startswith(OTHERS)


async def pages(content: bytes, limits: Serving, only: int | None = None) -> AsyncGenerator[Page, None]:
    """The pages of a PDF one after another, or `only` one of them; as few as are asked for are in memory at once.

    A document that is not done in QUICK_SECONDS goes on from the page it was at in another queue, so that no other waits for it.
    Raises Refusal: 413 for too many or too large pages, 422 for a document that is encrypted, broken, endless, or has no such page.
    Close it (contextlib.aclosing) where it is not read to its end.
    """
    first = only or 1
    try:
        async with QUICK, aclosing(_rendered(content, limits, only, first, each=False)) as quick:
            async for page in quick:
                yield page
                first = page.number + 1
    except Long:
        async with LONG, aclosing(_rendered(content, limits, only, first, each=True)) as long:
            async for page in long:
                yield page


async def _rendered(content: bytes, limits: Serving, only: int | None, first: int, each: bool) -> AsyncGenerator[Page, None]:
    """The pages from `first`, in PAGE_SECONDS `each`, or all in QUICK_SECONDS. Raises Refusal or Long."""
    process = await _started(limits, only, first, each)
    at = "its first page"
    try:
        for number in wanted(await _counted(process, content, limits), only, first):
            at = f"page {number}"
            yield await _page(process, number, limits)
    except Broken as error:
        raise await _fault(process, at, each) from error
    finally:
        await _ended(process)


async def _started(limits: Serving, only: int | None, first: int, each: bool) -> Process:
    most, seconds = int(limits.limit_megapixels * 1e6), PAGE_SECONDS if each else QUICK_SECONDS
    asked = {
        "dpi": [LEAST_DPI, DPI],
        "pixels": most,
        "pages": limits.limit_pages,
        "seconds": seconds,
        "each": each,
        "page": only,
        "first": first,
    }
    command = [sys.executable, "-P", str(RENDERING), json.dumps(asked)]
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, limit=LINE)


async def _ended(process: Process) -> None:
    """Wait for one that has no more to say; kill one that has, or takes its time: the client has gone, or was refused."""
    assert process.stdout  # noqa: S101 PIPE
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            if not await process.stdout.read(1):
                await process.wait()
                return
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


async def _fault(process: Process, at: str, each: bool) -> Refusal | Long:
    """The refusal for a renderer that ended without a reply, or Long for one that was not done quickly."""
    await _ended(process)
    if process.returncode == -EXHAUSTED and not each:
        return Long()
    if process.returncode == -EXHAUSTED:
        words = f"The PDF takes more than {PAGE_SECONDS} s to render at {at}; no more are allowed. {REMEDY}"
        return Refusal(422, "endless document", words)
    return Refusal(422, "broken document", f"The PDF cannot be read at {at}: it is truncated or broken. {REMEDY}")


async def _counted(process: Process, content: bytes, limits: Serving) -> int:
    """Send the document, and read how many pages it has."""
    assert process.stdin  # noqa: S101 PIPE
    with suppress(ConnectionError):  # it ended early: its output says why
        process.stdin.write(content)
        await process.stdin.drain()
    process.stdin.close()
    return _int(await _reply(process, limits), "pages", limits.limit_pages)


async def _page(process: Process, number: int, limits: Serving) -> Page:
    reply, most = await _reply(process, limits), int(limits.limit_megapixels * 1e6)
    width, height = (_int(reply, side, most) for side in ("width", "height"))
    if reply.get("page") != number or width * height > most:
        raise Broken
    assert process.stdout  # noqa: S101 PIPE
    try:
        content = await process.stdout.readexactly(width * height)
    except asyncio.IncompleteReadError as error:
        raise Broken from error
    return Page(number, np.frombuffer(content, np.uint8).reshape(height, width))


async def _reply(process: Process, limits: Serving) -> dict[str, Any]:
    """One line of the renderer, which is not trusted either. Raises Refusal or Broken."""
    assert process.stdout  # noqa: S101 PIPE
    try:
        reply = json.loads(await process.stdout.readline())
    except ValueError as error:
        raise Broken from error
    if not isinstance(reply, dict):
        raise Broken
    if "refused" in reply:
        raise _refusal(reply, limits)
    return reply


def _int(reply: dict[str, Any], key: str, most: int) -> int:
    """A number from 1 to `most`. Raises Broken."""
    value = reply.get(key)
    if not isinstance(value, int) or not 1 <= value <= most:
        raise Broken
    return value


def wanted(count: int, only: int | None, first: int) -> list[int]:
    """The numbers of the pages to render. Raises Refusal for one that is not there."""
    if only is not None and only > count:
        raise no_page(only, count)
    return [only] if only else [*range(first, count + 1)]


def no_page(asked: int, count: int) -> Refusal:
    """The refusal of a page number beyond the last page."""
    have = f"1 to {count}" if count > 1 else "1"
    return Refusal(422, "no such page", f"page={asked} is not there: this has {count} page{'s' * (count > 1)}. Ask for page={have}.")


def _refusal(reply: dict[str, Any], limits: Serving) -> Refusal:
    """The renderer's refusals, in words."""
    figures = {key: int(reply.get(key) or 0) for key in ("pages", "page", "width", "height")}
    size = f"page {figures['page']} has {figures['width']} x {figures['height']} pixels at {LEAST_DPI} dpi"
    held = f"page {figures['page']} holds a picture of {figures['width']} x {figures['height']} pixels"
    refusals = {
        "pages": (413, "too many pages", f"has {figures['pages']} pages; at most {limits.limit_pages} are read. Send it in parts."),
        "large": (413, "too many pixels", f"is too large: {size}; at most {limits.limit_megapixels:g} megapixels are allowed. {REMEDY}"),
        "picture": (413, "too many pixels", f"is too large: {held}; at most {limits.limit_megapixels:g} megapixels are allowed. {REMEDY}"),
        "encrypted": (422, "encrypted document", "is encrypted. Save it without a password, and send it again."),
        "empty": (422, "no pages", "has no pages. Send one that has."),
        "page": (422, "broken document", f"cannot be read: page {figures['page']} is broken. {REMEDY}"),
    }
    status, reason, words = refusals.get(str(reply["refused"]), (422, "broken document", f"is truncated or broken. {REMEDY}"))
    return Refusal(status, reason, f"The PDF {words}")
