"""PDFs: rendered aside, page after page, and refused by name; no process is left behind."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.families.signatures.settings import Serving
from serving.problems import Refusal
from serving.signatures import documents, rendering
from tests import corpus, papers
from tests.corpus import Body

pytestmark = pytest.mark.slow

LIMITS = Serving(limit_mb=25, limit_megapixels=40, limit_seconds=60, queue=64, batch=4, limit_pages=50, runtime="openvino")
MARK = (100, 600, 200, 60)  # points: where the ink is
THREE = papers.paper([papers.ink([(100, 100 * number, 200, 60)]) for number in (1, 2, 3)])


def read(content: bytes, only: int | None = None, **changes: Any) -> list[documents.Page]:
    """All pages at once."""

    async def collected() -> list[documents.Page]:
        async with aclosing(documents.pages(content, LIMITS.model_copy(update=changes), only)) as pages:
            return [page async for page in pages]

    try:
        return asyncio.run(collected())
    finally:
        assert left() == []


def left() -> list[psutil.Process]:
    """Renderers that this process has not ended."""
    return [child for child in psutil.Process().children() if _renders(child)]


def _renders(child: psutil.Process) -> bool:
    """One that ends meanwhile does not."""
    try:
        return "rendering.py" in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return False


def inked(grey: NDArray[np.uint8]) -> list[int]:
    """x, y, w, h of the dark part, in pixels."""
    rows, columns = (np.flatnonzero((grey < 128).any(axis)) for axis in (1, 0))
    return [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]


def scaled(*points: float) -> Any:
    return pytest.approx([point * documents.DPI / rendering.POINTS for point in points], abs=2)


def test_a_page_is_rendered_upright_at_its_size() -> None:
    [(number, grey)] = read(papers.letter([MARK]))
    assert (number, grey.shape) == (1, (1755, 1240))
    assert inked(grey) == scaled(*MARK)


def test_pages_come_in_order_and_one_alone_can_be_asked_for() -> None:
    assert [(page.number, inked(page.grey)) for page in read(THREE)] == [(n, scaled(100, 100 * n, 200, 60)) for n in (1, 2, 3)]
    assert [(page.number, inked(page.grey)) for page in read(THREE, only=2)] == [(2, scaled(100, 200, 200, 60))]


def test_a_turned_page_is_seen_as_a_person_sees_it() -> None:
    [(_, grey)] = read(papers.paper([papers.ink([MARK])], extra=b"/Rotate 90"))
    assert grey.shape == (1240, 1755)
    assert inked(grey) == scaled(papers.A4[1] - MARK[1] - MARK[3], MARK[0], MARK[3], MARK[2])


@pytest.mark.parametrize(("points", "megapixels"), [((3024, 4032), 40), ((14_400, 14_400), 40), (papers.A4, 2), ((100, 14_400), 5)])
def test_a_page_that_is_too_large_is_rendered_with_the_most_pixels_that_fit(points: tuple[int, int], megapixels: int) -> None:
    mark = [share * side for share, side in zip((0.2, 0.5, 0.4, 0.1), points * 2, strict=True)]
    [(_, grey)] = read(papers.letter([tuple(mark)], points), limit_megapixels=megapixels)
    assert 0.98 * megapixels * 1e6 < grey.size <= megapixels * 1e6
    scales = np.array(grey.shape[::-1] * 2) / (points * 2)
    assert inked(grey) == pytest.approx(mark * scales, abs=2)


def test_a_scan_and_a_filled_signature_field_are_seen() -> None:
    assert inked(read(papers.scanned(Image.new("L", (60, 80), 0)))[0].grey) == scaled(0, 0, *papers.A4)
    assert inked(read(papers.signed())[0].grey) == scaled(100, papers.A4[1] - 150, 100, 50)


REFUSED: dict[str, tuple[bytes, dict[str, Any], int, str, tuple[str, ...]]] = {
    "encrypted": (papers.encrypted(), {}, 422, "encrypted document", ("encrypted", "without a password")),
    "500-pages": (papers.paper([b""] * 500), {}, 413, "too many pages", ("500 pages", "at most 50", "in parts")),
    "no-pages": (papers.file([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"]), {}, 422, "no pages", ("no pages",)),
    "no-such-page": (THREE, {"only": 4}, 422, "no such page", ("page=4", "3 pages", "page=1 to 3")),
    "too-large": (papers.letter([MARK], (900_000, 900_000)), {}, 413, "too many pixels", ("page 1", "40 megapixels", "10 dpi")),
    "truncated": (papers.letter([MARK])[:200], {}, 422, "broken document", ("truncated or broken", "Print it to a new PDF")),
    "not-one": (b"%PDF-1.7 a letter, I believe", {}, 422, "broken document", ("truncated or broken", "as pictures")),
    "a-page-that-is-not-there": (
        papers.file([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 3/Kids[9 0 R]>>"]),
        {},
        422,
        "broken document",
        ("page 1 is broken",),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_document_that_cannot_be_read_is_refused_by_name(name: str) -> None:
    content, asked, status, reason, words = REFUSED[name]
    with pytest.raises(Refusal) as refused:
        read(content, **asked)
    assert (refused.value.status, refused.value.reason) == (status, reason)
    assert [word for word in words if word not in refused.value.detail] == []


@pytest.mark.parametrize("body", papers.bombs(), ids=lambda body: body.name)
def test_what_swells_is_read_or_refused(body: Body) -> None:
    with contextlib.suppress(Refusal):
        assert len(read(body.content)) == 1


def test_a_picture_that_would_be_left_out_for_want_of_memory_is_refused() -> None:
    (bomb,) = [body for body in papers.bombs() if "30,000 x 30,000" in body.name]
    with pytest.raises(Refusal, match="page 1 holds a picture of 30000 x 30000 pixels; at most 40 megapixels") as refused:
        read(bomb.content)
    assert (refused.value.status, refused.value.reason) == (413, "too many pixels")


def test_no_document_waits_for_one_that_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four endless ones, and one that is read while none of the others has come to its end."""
    monkeypatch.setattr(documents, "QUICK", asyncio.Semaphore(2))
    monkeypatch.setattr(documents, "LONG", asyncio.Semaphore(1))

    async def read_beside() -> tuple[int, int]:
        endless = [asyncio.create_task(given_up(600)) for _ in range(4)]
        await asyncio.sleep(0)
        async with aclosing(documents.pages(THREE, LIMITS)) as pages:
            found = len([page async for page in pages])
        over = sum(task.done() for task in endless)
        for task in endless:
            task.cancel()
        await asyncio.gather(*endless, return_exceptions=True)
        return found, over

    assert asyncio.run(read_beside()) == (3, 0)
    assert left() == []


def test_a_long_document_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "QUICK", asyncio.Semaphore(2))
    monkeypatch.setattr(documents, "LONG", asyncio.Semaphore(1))
    pages = read(papers.paper([papers.strokes(3000)] * 8), limit_pages=8)
    assert [page.number for page in pages] == [*range(1, 9)]
    np.testing.assert_array_equal(pages[-1].grey, pages[0].grey)


def test_what_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PAGE_SECONDS", 1)
    with pytest.raises(Refusal, match="more than 1 s to render at page 1") as refused:
        read(papers.slow())
    assert refused.value.reason == "endless document"


def test_the_time_of_a_page_begins_with_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "PAGE_SECONDS", 1)
    assert len(read(papers.paper([papers.strokes(3000)] * 8), limit_pages=8)) == 8


def test_a_renderer_that_is_killed_is_a_refusal() -> None:
    large = papers.paper([papers.ink([MARK])] * 3, (2000, 2000))  # more than a pipe holds: it waits while it is killed

    async def killed() -> None:
        async with aclosing(documents.pages(large, LIMITS)) as pages:
            async for page in pages:
                if page.number == 2:
                    os.kill(left()[0].pid, signal.SIGKILL)

    with pytest.raises(Refusal, match="page 3"):
        asyncio.run(killed())
    assert left() == []


SAID: dict[str, str] = {
    "nothing": "pass",
    "no-json": "print('a letter')",
    "a-list": "print([])",
    "half-a-line": "print('{', end='')",
    "a-long-line": "print('x' * 10**7)",
    "too-many-pages": "print('{\"pages\": 51}')",
    "words-for-pages": 'print(\'{"pages": "many"}\')',
    "another-page": 'print(\'{"pages": 1}\'); print(\'{"page": 2, "width": 1, "height": 1}\')',
    "too-many-pixels": 'print(\'{"pages": 1}\'); print(\'{"page": 1, "width": 40000000, "height": 2}\')',
    "too-few-pixels": 'print(\'{"pages": 1}\'); print(\'{"page": 1, "width": 9, "height": 9}\\nfew\', end=\'\')',
    "an-unknown-refusal": "print('{\"refused\": 7}')",
}


@pytest.mark.parametrize("name", SAID)
def test_a_renderer_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "rendering.py").write_text(SAID[name])
    monkeypatch.setattr(documents, "RENDERING", tmp_path / "rendering.py")
    with pytest.raises(Refusal) as refused:
        read(THREE)
    assert refused.value.reason == "broken document"


async def given_up(seconds: float) -> None:
    async with asyncio.timeout(seconds), aclosing(documents.pages(papers.slow(), LIMITS)) as pages:
        async for _ in pages:
            pass


async def broken_off(_: float) -> None:
    async with aclosing(documents.pages(papers.paper([papers.ink([MARK])] * 40), LIMITS)) as pages:
        async for _page in pages:
            break


@pytest.mark.parametrize("how", [given_up, broken_off])
def test_who_goes_leaves_no_renderer_and_the_next_is_read(how: Callable[[float], Any]) -> None:
    async def gone() -> int:
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await how(0.3)
            assert left() == []
        async with aclosing(documents.pages(THREE, LIMITS)) as pages:
            return len([page async for page in pages])

    assert asyncio.run(gone()) == 3


def test_only_so_many_are_rendered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "QUICK", asyncio.Semaphore(2))

    async def watched() -> tuple[list[int], int]:
        tasks, most = [asyncio.create_task(counted()) for _ in range(6)], 0
        while not all(task.done() for task in tasks):
            most = max(most, len(left()))
            await asyncio.sleep(0.01)
        return [task.result() for task in tasks], most

    async def counted() -> int:
        async with aclosing(documents.pages(THREE, LIMITS)) as pages:
            return len([page async for page in pages])

    assert asyncio.run(watched()) == ([3] * 6, 2)


def test_a_picture_that_names_the_mark_is_a_picture() -> None:
    assert documents.is_pdf(papers.letter([MARK]))
    assert documents.is_pdf(b"\xef\xbb\xbf\n" + papers.letter([MARK]))
    assert not documents.is_pdf(corpus.png(9, 9, corpus.chunk(b"tEXt", b"a\0%PDF-"), corpus.rows(9, 9)))
    assert not documents.is_pdf(bytes(2000) + papers.letter([MARK]))
