"""`python -P serving/signatures/rendering.py '<request>'`: a PDF on standard input, its pages in grey on standard output.

PDFium is a large C++ library that gets untrusted input, so documents.py starts a process with limited memory and time for each document,
and its crash is only a document that cannot be read. The request is a JSON object, {"dpi", "pixels", "pages", "seconds", "each", "page",
"first"}: `dpi` is the least and the most; `seconds` for each page, or where `each` is false for the document; one `page`, or all from
the `first`. The answer is lines of JSON: {"pages": n}, then for each page {"page", "width", "height"}, followed by its bytes, row by row;
or {"refused": why}.
"""

import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

POINTS = 72  # in an inch
MEMORY = 300_000_000  # bytes of addresses: a page of 40 megapixels, a picture of as many in colour on it, and the program itself
SECONDS = 60  # of a processor, for all pages together
FAULTS = {0: "empty", 4: "encrypted", 5: "encrypted"}  # FPDF_ERR_SUCCESS with nothing in it, _PASSWORD and _SECURITY of fpdfview.h


class Refused(Exception):
    """A document that is not rendered: a short reason, and figures for it."""


def main() -> None:
    """Render what is asked for. An error in PDFium ends the process."""
    asked = json.loads(sys.argv[1])
    confine(seconds := asked.pop("seconds"))
    each = asked.pop("each")
    out, content = sys.stdout.buffer, sys.stdin.buffer.read()
    try:
        for record, rows in rendered(content, **asked):
            write(out, record, rows)
            if each:
                limit_time(seconds)
    except Refused as refused:
        write(out, {"refused": refused.args[0], **refused.args[1]}, [])


def confine(seconds: int) -> None:
    """Limit memory, time, core dumps and files. Windows has no such limits."""
    if sys.platform == "win32":
        return
    import resource as of

    for limit, most in ((of.RLIMIT_AS, MEMORY), (of.RLIMIT_CPU, SECONDS), (of.RLIMIT_CORE, 0), (of.RLIMIT_FSIZE, 0)):
        of.setrlimit(limit, (most, most))
    limit_time(seconds)


def limit_time(seconds: int) -> None:
    """Allow so many seconds of processor time from now on, after which SIGXCPU ends the process."""
    if sys.platform == "win32":
        return
    import resource as of

    of.setrlimit(of.RLIMIT_CPU, (min(SECONDS, math.ceil(time.process_time()) + seconds), SECONDS))


def rendered(
    content: bytes, dpi: list[int], pixels: int, pages: int, page: int | None, first: int
) -> Iterator[tuple[dict[str, int], list[memoryview]]]:
    """The number of pages, then each page from the first, or the one that is asked for, with its rows. Raises Refused."""
    document = open_document(content)
    if (count := len(document)) > pages:
        raise Refused("pages", {"pages": count})
    yield {"pages": count}, []
    for number in range(first, count + 1) if page is None else [page] if page <= count else []:
        yield render_page(document, number, [each / POINTS for each in dpi], pixels)


def open_document(content: bytes) -> Any:
    """A document that has pages, its form's fields to be drawn as they are filled. Raises Refused."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
        document.init_forms()
    except pypdfium2.PdfiumError as error:
        raise Refused(FAULTS.get(error.err_code, "broken"), {}) from error
    return document


def render_page(document: Any, number: int, scales: list[float], pixels: int) -> tuple[dict[str, int], list[memoryview]]:
    """One page, upright, annotations and filled fields included. Raises Refused for one that is too large or cannot be read."""
    import pypdfium2

    try:
        page = document[number - 1]
        scale = fitting(page.get_size(), scales, pixels)
        size = page_size(number, page.get_size(), scale, pixels)
        check_pictures(number, page, pixels)
        bitmap = page.render(scale=scale, grayscale=True)
        rows = lines(bitmap)
        page.close()
    except pypdfium2.PdfiumError as error:
        raise Refused("page", {"page": number}) from error
    if (bitmap.width, bitmap.height) != size:
        raise Refused("page", {"page": number})
    return {"page": number, "width": bitmap.width, "height": bitmap.height}, rows


def fitting(points: tuple[float, float], scales: list[float], pixels: int) -> float:
    """The larger of two scales, or where that makes too many pixels the largest that does not, down to the smaller."""
    (least, most), (width, height) = scales, points
    area, around = width * height, width + height
    if not math.isfinite(area) or area <= 0:
        return most
    fits = (math.sqrt(around**2 + 4 * area * (pixels - 1)) - around) / (2 * area)  # of (width * fits + 1) * (height * fits + 1) pixels
    return max(least, min(most, fits))


def page_size(number: int, points: tuple[float, float], scale: float, pixels: int) -> tuple[int, int]:
    """Width and height in pixels, from points. Raises Refused."""
    width, height = (max(1, math.ceil(side * scale)) if math.isfinite(side) else pixels + 1 for side in points)
    if width * height > pixels:
        raise Refused("large", {"page": number, "width": width, "height": height})
    return width, height


def check_pictures(number: int, page: Any, pixels: int) -> None:
    """Raise Refused for a picture that would not fit into memory: PDFium leaves it out without a word."""
    from pypdfium2 import raw

    for picture in page.get_objects(filter=(raw.FPDF_PAGEOBJ_IMAGE,)):
        width, height = picture.get_px_size()
        if width * height > pixels:
            raise Refused("picture", {"page": number, "width": width, "height": height})


def lines(bitmap: Any) -> list[memoryview]:
    """The rows of a grey bitmap, without padding."""
    content = memoryview(bitmap.buffer).cast("B")
    return [content[row * bitmap.stride : row * bitmap.stride + bitmap.width] for row in range(bitmap.height)]


def write(out: BinaryIO, record: dict[str, Any], rows: list[memoryview]) -> None:
    """Write one record, and flush it."""
    out.write(json.dumps(record).encode() + b"\n")
    out.writelines(rows)
    out.flush()


if __name__ == "__main__":
    main()
