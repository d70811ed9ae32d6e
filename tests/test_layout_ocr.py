"""Lines are found where they are, whole, in the order in which a person reads them; and none where there are none."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.families.ocr.parts import layout, order
from pipelines.families.ocr.parts.order import Box
from tests import receipts
from tests.receipts import Corners, Page

Grey = NDArray[np.uint8]


def noisy(page: Page) -> Page:
    noise = np.random.default_rng(0).normal(0, 12, page.grey.shape)
    return page._replace(grey=np.clip(cv2.GaussianBlur(page.grey, (3, 3), 0) + noise, 0, 255).astype(np.uint8))


def ruled(page: Page) -> Page:
    """With lines beside the text and a frame around it, as of a form."""
    grey = page.grey.copy()
    height, width = grey.shape
    cv2.rectangle(grey, (4, 4), (width - 5, height - 5), 20, 2)
    return page._replace(grey=grey)


PAGES: dict[str, Callable[[], Page]] = {
    "receipt": receipts.receipt,
    "small": lambda: receipts.receipt(12),
    "large": lambda: receipts.receipt(36),
    "sans": lambda: receipts.receipt(20, "DejaVuSans"),
    "serif": lambda: receipts.receipt(18, "DejaVuSerif"),
    "dark paper": lambda: receipts.receipt(paper=120, ink=30),
    "white on black": lambda: receipts.receipt(paper=10, ink=240),
    "noise": lambda: noisy(receipts.receipt()),
    "frame": lambda: ruled(receipts.receipt()),
    "columns": receipts.columns,
    "columns, small": lambda: receipts.columns(14, 20),
}
TEXTS = [
    "TOTAL : 12.00",
    "'over' \"quoted\"",
    "-1.90",
    "12/03/2018 10:33:01",
    "i.e. Qty.,",
    "a",
    "1",
    "I",
    "Date :     19/07/2017",
    "RM 6.00 -",
]


def covered(line: Corners, boxes: list[Box]) -> list[int]:
    """The boxes that hold a whole line: of its ink all but a pixel at an edge, which smoothing makes of it."""
    left, top, right, bottom = line
    within = [box.x - 1 <= left and right <= box.right + 1 and box.y - 2 <= top and bottom <= box.bottom + 2 for box in boxes]
    return [number for number, inside in enumerate(within) if inside]


@pytest.mark.parametrize("name", PAGES)
def test_every_line_of_a_page_is_found_whole_and_in_order(name: str) -> None:
    page = PAGES[name]()
    found = layout.page(page.grey)
    places = [covered(line, found.boxes) for line in page.lines]
    assert places == [[number] for number in range(len(page.lines))]
    assert len(found.boxes) == len(page.lines)


@pytest.mark.parametrize("degrees", [-3, -1.5, 1.5, 3])
@pytest.mark.parametrize("name", ["receipt", "sans", "columns"])
def test_a_page_that_is_askew_is_read_level(name: str, degrees: float) -> None:
    straight = PAGES[name]()
    page = receipts.turned(straight, degrees)
    found = layout.page(page.grey)
    assert len(found.lines) == len(page.lines)
    for line, box, level, before in zip(page.lines, found.boxes, found.lines, straight.lines, strict=True):
        middle = (line[0] + line[2]) / 2, (line[1] + line[3]) / 2
        assert box.x < middle[0] < box.right
        assert box.y < middle[1] < box.bottom
        assert level.height < 1.6 * (before[3] - before[1]) + 6  # no neighbours in it


def test_a_level_page_is_left_as_it_is() -> None:
    page = receipts.receipt().grey
    assert layout.page(page).grey is page


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("colours", [(255, 20), (130, 40), (10, 240)], ids=["paper", "dark", "inverse"])
def test_a_picture_of_a_line_is_one_line_and_whole(text: str, colours: tuple[int, int]) -> None:
    for size in (14, 24, 48):
        line = receipts.line(text, size, *colours)
        assert layout.lines(line) == [Box(0, 0, line.shape[1], line.shape[0])], size


def test_slices_of_neighbours_and_a_rule_are_part_of_no_other_line() -> None:
    line = receipts.line("Company Reg. No. : 725186-V", 24, margin=8)
    above, below = (receipts.line("Some other words entirely", 24)[:, : line.shape[1]] for _ in range(2))
    picture = line.copy()
    picture[:4, : above.shape[1]] = above[-9:-5]
    picture[-5:, : below.shape[1]] = below[3:8]
    picture[-1:] = 30
    assert layout.lines(picture) == [Box(0, 0, *picture.shape[::-1])]


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 900), (900, 3), (32, 64), (700, 500), (1, 9000), (9000, 1)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_blank_page_has_no_lines(shape: tuple[int, int], grey: int) -> None:
    assert layout.page(np.full(shape, grey, np.uint8)).lines == []


def textured(seed: int, blur: int) -> Grey:
    noise = np.random.default_rng(seed).integers(0, 256, (800, 600), dtype=np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (blur, blur), 0), None, 0, 255, cv2.NORM_MINMAX), np.uint8)


NOTHING: dict[str, Callable[[], Grey]] = {
    "noise of a scanner": lambda: np.random.default_rng(0).normal(200, 12, (800, 600)).clip(0, 255).astype(np.uint8),
    "noise": lambda: np.random.default_rng(0).integers(0, 256, (800, 600), dtype=np.uint8),
    "a gradient": lambda: np.tile(np.linspace(0, 255, 600).astype(np.uint8), (800, 1)),
    "a checker board": lambda: ((np.indices((800, 600)).sum(0) // 8 % 2) * 255).astype(np.uint8),
    "one rule": lambda: np.concatenate([np.full((400, 600), 255), np.full((3, 600), 0), np.full((397, 600), 255)]).astype(np.uint8),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_no_text_has_no_lines(name: str) -> None:
    assert layout.page(NOTHING[name]()).lines == []


@pytest.mark.parametrize("blur", [5, 9, 25])
def test_texture_has_few_lines_and_all_of_them_on_the_page(blur: int) -> None:
    texture = textured(1, blur)
    found = layout.page(texture)
    assert len(found.lines) < 500
    for box in found.boxes:
        assert 0 <= box.x < box.right <= texture.shape[1]
        assert 0 <= box.y < box.bottom <= texture.shape[0]
    assert all(found.cut(box).shape == (box.height, box.width) for box in found.lines)


@pytest.mark.parametrize("degrees", [-3, 0, 3])
def test_lines_are_cut_out_as_large_as_their_boxes(degrees: float) -> None:
    found = layout.page(receipts.turned(receipts.receipt(), degrees).grey)
    assert all(found.cut(box).shape == (box.height, box.width) for box in found.lines)


def test_a_large_page_is_looked_at_reduced_and_answered_as_large_as_it_is() -> None:
    page = receipts.receipt(72)
    assert max(page.grey.shape) > layout.SIDE
    found = layout.page(page.grey)
    assert len(found.lines) == len(page.lines)
    for line, box in zip(page.lines, found.boxes, strict=True):
        assert [*box[:2], box.right, box.bottom] == pytest.approx(line, abs=0.25 * (line[3] - line[1]))


ORDERS: dict[str, list[Box]] = {  # as they are read
    "rows": [Box(0, 0, 50, 10), Box(80, 2, 20, 10), Box(0, 20, 50, 10), Box(80, 19, 20, 10)],
    "labels and amounts": [Box(x, y, width, 10) for y in range(0, 100, 14) for x, width in ((0, 60), (150, 30))],
    "two columns": [Box(x, y + x // 40, 120, 10) for x in (0, 160) for y in range(0, 100, 14)],
    "three columns": [Box(x, y, 90, 10) for x in (0, 120, 240) for y in range(0, 100, 14)],
    "a title over columns": [Box(0, -40, 280, 20), *(Box(x, y, 120, 10) for x in (0, 160) for y in range(0, 100, 14))],
    "a footer below columns": [*(Box(x, y, 120, 10) for x in (0, 160) for y in range(0, 100, 14)), Box(0, 130, 280, 10)],
    "one": [Box(3, 4, 5, 6)],
    "none": [],
}


@pytest.mark.parametrize("name", ORDERS)
def test_boxes_are_read_in_order_however_they_come(name: str) -> None:
    boxes = ORDERS[name]
    for seed in range(5):
        mixed = [boxes[place] for place in np.random.default_rng(seed).permutation(len(boxes))]
        assert order.reading(mixed) == boxes


@pytest.mark.parametrize("shape", [(65_500, 1), (65_500, 2), (1, 65_500), (300, 1), (1, 1)])
def test_a_page_of_any_shape_has_parts(shape: tuple[int, int]) -> None:
    starts = layout.parts(np.full(shape, 255, np.uint8))
    assert starts[0] == 0 and starts == sorted(set(starts)) and starts[-1] < shape[0]
