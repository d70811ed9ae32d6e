"""Ordinary images of a page are read like scans, by the released champions: signatures found, text read, whichever way up."""

import asyncio
import functools
import io
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from pipelines import configs
from pipelines.datasets import boxes
from pipelines.datasets import pictures as decoding
from pipelines.families.ocr.predict import Predictor as Ocr
from pipelines.families.signatures import embedded
from pipelines.families.signatures.predict import Predictor as Signatures
from serving.inputs import pictures, sheets
from serving.inputs.bodies import Body
from serving.live.batches import Batches
from serving.live.champion import Served
from serving.ocr import answers as ocr_answers
from serving.signatures import answers as signatures_answers
from tests import ordinary_pages
from tests.conftest import ROOT
from tests.forms import encoded
from tests.ordinary_pages import Grey, Random

TRIES = 4  # pages of each kind
MODEL = {"family": "x", "version": 1, "digest": "d" * 64, "data": "e" * 64, "commit": None, "run_id": "r"}
LEFT = [
    "CORNER BAKERY",
    "14 MILL LANE",
    "TEL 03-7728 1180",
    "2 X RYE BREAD",
    "1 X BUTTER 250G",
    "3 X APPLE JUICE",
    "TOTAL",
    "CASH",
    "CHANGE",
]


def letters() -> Iterator[tuple[Grey, Any]]:
    """Drawn letters that are signed once, and the boxes of their signatures."""
    for letter in embedded.drawn():
        if len(letter.boxes) == 1:
            yield np.asarray(Image.open(io.BytesIO(letter.content))), letter.boxes


@functools.cache
def pages() -> list[tuple[Grey, Any]]:
    return [*islice(letters(), 0, 4 * TRIES, 4)]


def receipt(random: Random, rows: int = 9, size: int = 28) -> tuple[Grey, str]:
    """A receipt with amounts, and its text."""
    paper = Image.new("L", (20 * size, int((rows + 2) * 1.5 * size)), 250)
    pen, font, lines = ImageDraw.Draw(paper), ImageFont.load_default(size), []
    for row in range(rows):
        left, right = LEFT[row % len(LEFT)], f"{random.uniform(1, 99):.2f}"
        pen.text((size, (row + 1) * 1.5 * size), left, 30, font)
        pen.text((19 * size, (row + 1) * 1.5 * size), right, 30, font, anchor="ra")
        lines += [left, right]
    return np.asarray(paper), "\n".join(lines)


@pytest.fixture(scope="module")
def found() -> Callable[[Image.Image], dict[str, Any]]:
    return asking(signatures_answers, Signatures(ROOT / "released/signatures", "onnxruntime"), "signatures")


@pytest.fixture(scope="module")
def read() -> Callable[[Image.Image], dict[str, Any]]:
    return asking(ocr_answers, Ocr(ROOT / "released/ocr"), "ocr")


def asking(answers: Any, predictor: Any, family: str) -> Callable[[Image.Image], dict[str, Any]]:
    """The answer of a released model to an image."""
    limits = configs.serving(family)
    served = Served(predictor, {"model": MODEL}, Batches(predictor.predict, limits.batch, family))

    def asked(image: Image.Image) -> dict[str, Any]:
        answer: dict[str, Any] = asyncio.run(answers.predict(Body(False, encoded(image)), served, limits))
        return answer

    return asked


def is_right(answer: dict[str, Any], wanted: Any) -> bool:
    """As many signatures as there are, each where one is."""
    overlaps = boxes.iou(np.array(answer["prediction"], np.float32).reshape(-1, 4), np.asarray(wanted, np.float32))
    return answer["count"] == len(wanted) and bool((overlaps.max(0) >= 0.4).all())


@pytest.mark.parametrize("kind", ordinary_pages.KINDS)
def test_signatures_are_found_on_any_paper(found: Callable[[Image.Image], dict[str, Any]], kind: str) -> None:
    random = np.random.default_rng(1)
    shots = [(ordinary_pages.KINDS[kind](grey, random), signatures) for grey, signatures in pages()]
    assert np.mean([is_right(found(shot.image), shot.boxes(signatures)) for shot, signatures in shots]) >= 0.75


@pytest.mark.parametrize("kind", ordinary_pages.KINDS)
def test_a_receipt_is_read_on_any_paper(read: Callable[[Image.Image], dict[str, Any]], kind: str) -> None:
    random = np.random.default_rng(2)
    for _ in range(2):
        grey, text = receipt(random)
        assert share(read(ordinary_pages.KINDS[kind](grey, random).image), text) >= 0.9


def share(answer: dict[str, Any], text: str) -> float:
    """Of a text's lines, how many were read, blanks aside."""
    said, wanted = (Counter(whole.upper().replace(" ", "").split()) for whole in (answer["text"], text))
    return (said & wanted).total() / wanted.total()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_receipt_names_its_turn_and_its_boxes_are_on_the_image_as_sent(
    read: Callable[[Image.Image], dict[str, Any]], quarters: int
) -> None:
    grey, _ = receipt(np.random.default_rng(3))
    shot = ordinary_pages.turned(quarters)(grey, np.random.default_rng(0))
    upright, turned = read(Image.fromarray(grey)), read(shot.image)
    assert {line["turned"] for line in turned["lines"]} == {360 - 90 * quarters}
    assert [line["text"] for line in turned["lines"]] == [line["text"] for line in upright["lines"]]
    wanted = shot.boxes([line["box"] for line in upright["lines"]])
    np.testing.assert_allclose([line["box"] for line in turned["lines"]], wanted, atol=3)


def test_a_long_receipt_is_read_to_its_end(read: Callable[[Image.Image], dict[str, Any]]) -> None:
    grey, text = receipt(np.random.default_rng(4), rows=100, size=20)
    assert len(grey) > 7 * grey.shape[1]
    assert share(read(Image.fromarray(grey)), text) >= 0.97


def test_a_bar_of_light_letters_is_read_with_the_rest(read: Callable[[Image.Image], dict[str, Any]]) -> None:
    grey, text = receipt(np.random.default_rng(5))
    grey = grey.copy()
    grey[5 * 42 - 8 : 6 * 42 - 8] = 255 - grey[5 * 42 - 8 : 6 * 42 - 8]
    answer = read(Image.fromarray(grey))
    assert share(answer, text) >= 0.95


def test_a_receipt_on_a_dark_table_is_read(read: Callable[[Image.Image], dict[str, Any]]) -> None:
    grey, text = receipt(np.random.default_rng(6))
    table = np.pad(grey, 200, constant_values=60)
    answer = read(Image.fromarray(table))
    assert share(answer, text) >= 0.95
    assert min(line["box"][0] for line in answer["lines"]) > 200


def test_light_letters_on_a_transparent_ground_are_read(read: Callable[[Image.Image], dict[str, Any]]) -> None:
    grey, text = receipt(np.random.default_rng(7))
    layers = Image.new("LA", grey.shape[::-1], (255, 0))
    layers.putalpha(Image.fromarray(250 - grey))
    assert share(read(layers), text) >= 0.95


@pytest.mark.parametrize("kind", ["plain", "grey", "tinted", "lamp"])
def test_a_page_whose_ink_is_seen_in_grey_stays_as_it_is_to_the_bit(kind: str) -> None:
    for page, _ in pages():
        image = ordinary_pages.KINDS[kind](page, np.random.default_rng(9)).image.convert("RGB")
        np.testing.assert_array_equal(pictures.grey(image.copy()), decoding.decoded(image, "L", pictures.WORKING_SIDE))


def test_paper_of_one_colour_stays_blank() -> None:
    assert np.ptp(pictures.grey(Image.new("RGB", (300, 200), (250, 40, 40)))) == 0


def test_a_clean_scan_is_passed_on_as_it_is() -> None:
    for grey, _ in pages():
        assert sheets.found(grey).grey is grey
        assert sheets.whitened(grey) is grey
        assert sheets.quarters(grey) == (0,)


@pytest.mark.parametrize("quarters", range(4))
def test_letters_tell_which_way_up_a_page_is(quarters: int) -> None:
    assert [sheets.quarters(np.ascontiguousarray(np.rot90(grey, quarters))) for grey, _ in pages()] == [(quarters,)] * TRIES


def test_capitals_and_brackets_do_not_turn_a_page() -> None:
    paper = Image.new("L", (900, 1200), 255)
    for row in range(40):
        ImageDraw.Draw(paper).text((60, 60 + row * 26), "OPERATING COST BASE (AUG 2011), (SIMPLIFIED)", 20, ImageFont.load_default(18))
    assert sheets.quarters(np.asarray(paper)) == (0,)


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (128, 128), (300, 200)])
@pytest.mark.parametrize("tone", [0, 128, 255])
def test_what_is_no_page_is_left_as_it_is(shape: tuple[int, int], tone: int) -> None:
    blank = np.full(shape, tone, np.uint8)
    assert sheets.found(blank).back is None
    assert sheets.quarters(blank) == (0,)
    assert sheets.whitened(blank).shape == shape


@pytest.mark.parametrize("quarters", range(4))
def test_a_turned_page_leads_back_to_the_image_as_sent(quarters: int) -> None:
    grey = np.zeros((40, 60), np.uint8)
    grey[10:15, 20:32] = 255
    turned = sheets.Sheet(grey).turned(quarters)
    x, y, width, height = cv2.boundingRect(turned.grey)
    corners = turned.sent(np.array([[x, y, x + width, y + height]], float))
    np.testing.assert_allclose(corners, [[20, 10, 32, 15]])


def test_a_sheet_on_a_desk_leads_back_to_the_image_as_sent() -> None:
    random = np.random.default_rng(8)
    for grey, _ in pages():
        shot = ordinary_pages.on_a_desk(grey, random)
        sheet = sheets.found(np.asarray(shot.image.convert("L")))
        assert sheet.back is not None
        corners = sheet.sent(np.array([[0, 0, *sheet.grey.shape[::-1]]], float))
        whole = shot.boxes([[0, 0, *grey.shape[::-1]]])
        np.testing.assert_allclose(corners[:, 2:] - corners[:, :2], whole[:, 2:], atol=0.05 * max(grey.shape))
