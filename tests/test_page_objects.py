"""The page of objects: a picture uploaded in real browsers, its ranking of three, and the data card of a lossy copy."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from pipelines import configs
from pipelines.families.objects.embedded import SHAPES, drawn
from pipelines.models import manifests
from tests.browsers import Browser, assert_fits_a_phone, bars, expected, foreign, one, ranking, upload
from tests.conftest import ROOT
from tests.forms import encoded
from tests.pages import got
from tests.services import Service, running, stored

pytestmark = pytest.mark.slow

DATA = configs.compose(["family=objects"]).data
CLASSES = sorted(SHAPES)
LONGEST = max(manifests.read(ROOT / "released/objects")["output"]["labels"], key=len)
EACH = {"train": 4500, "valid": 490, "test": 1000}  # pictures of the first class; of every other, one more than of the one before
CARD = {
    "name": "objects",
    "description": DATA.description,
    "sources": [
        {
            "source": "folder",
            "kind": "folder",
            "path": DATA.folder,
            "url": DATA.folder,
            "sha256": "c" * 64,
            "licence": DATA.licence,
            "citation": DATA.citation,
        }
    ],
    "broken": [],
    "split": "test as found; valid: 0.1000 of the rest; by SHA-256 of the picture",
    "counts": {"train": 45018, "valid": 4982, "test": 10000},
    "classes": {split: {name: each + number for number, name in enumerate(CLASSES)} for split, each in EACH.items()},
    "duplicates": {"train/valid": 0, "train/test": 0, "valid/test": 0},
    "hash": "d" * 64,
}
PROMOTION = {
    "event": "promote",
    "candidate": "objects-fast",
    "time": "2026-11-21T04:00:00Z",
    "reasons": ["accuracy 0.9012 on validation, at least 0.7000 is asked"],
    "figures": {
        "examples": {"valid": 4982, "test": 10000},
        "valid": {"accuracy": 0.9012, "accuracy_low": 0.8926, "accuracy_high": 0.9092, "nll": 0.31},
        "test": {"accuracy": 0.8987, "accuracy_low": 0.8926, "accuracy_high": 0.9045, "nll": 0.32},
        "seconds": {"train": 1680.0},
        "hardware": {"cores": 2, "cpu": "AMD EPYC", "gpu": [], "memory_gb": 25},
    },
}
FACTS = {"promotion": PROMOTION, "decision": PROMOTION, "card": CARD, "released": False}
MODEL = {"family": "objects", "version": 1, "digest": "a" * 64, "data": "d" * 64, "commit": None, "run_id": "run-1"}
BARE: dict[str, Any] = {"tag": "objects:v1-aaaaaaaaaaaa", "model": MODEL}
POINTERS = {"whole": BARE | FACTS, "bare": BARE, "released": BARE | FACTS | {"released": True, "card": None}}


@pytest.mark.parametrize("name", POINTERS)
def test_the_page_is_valid_html_for_every_pointer(name: str) -> None:
    page = got("objects", POINTERS[name]).text
    html5lib.HTMLParser(strict=True).parse(page)
    assert len(re.findall("<h1>", page)) == 1
    assert MODEL["digest"] in page


def test_nobody_is_asked_to_draw() -> None:
    page = got("objects", POINTERS["whole"]).text
    assert "Upload an image" in page
    assert "<canvas" not in page


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: {**stored(folder, 1, "objects"), **FACTS}}) as service:
        yield service


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A drawn shape, as a person's photograph comes: large, and a JPEG."""
    path = tmp_path / "shape.jpg"
    path.write_bytes(encoded(Image.fromarray(next(drawn(1, seed=5))[1]).resize((1280, 960)), "JPEG"))
    return path


def test_an_uploaded_picture_is_answered_with_three_ranks_and_its_lineage(browser: Browser, service: Service, picture: Path) -> None:
    upload(browser, picture)
    assert ranking(browser) == expected(service, picture.read_bytes(), "top3_predictions", "class")
    assert len(ranking(browser)) == 3
    assert ranking(browser)[0].startswith(f"{one(browser, '.prediction').text} ")
    assert bars(browser) == sorted(bars(browser), reverse=True)
    assert bars(browser)[0] > bars(browser)[-1]
    assert "objects, version 1" in one(browser, ".lineage").text
    assert one(browser, "#result .command code").text == "make lineage of=objects@v1"
    assert "shape.jpg" in one(browser, ".verdict img").get_attribute("alt")
    assert (browser.complaints(), foreign(browser, service)) == ([], [])


def test_the_data_card_says_that_the_pictures_are_a_lossy_copy(browser: Browser) -> None:
    text = one(browser, "#data").text
    for words in ("a lossy copy", "45,018 train", "4,982 valid", "10,000 test", DATA.citation, DATA.licence):
        assert words in text
    assert browser.driver.find_elements(By.CSS_SELECTOR, "#data a") == []  # a file's name is no address


def test_the_data_card_counts_every_class(browser: Browser) -> None:
    browser.driver.execute_script("document.querySelectorAll('#data details').forEach((part) => (part.open = true))")
    rows = [row.text.split() for row in browser.driver.find_elements(By.CSS_SELECTOR, "#data tr")]
    assert rows[0] == ["Class", "Train", "Valid", "Test"]
    assert rows[1:] == [[name, f"{4500 + number:,}", str(490 + number), f"{1000 + number:,}"] for number, name in enumerate(CLASSES)]
    assert browser.complaints() == []


def test_what_is_no_picture_is_explained(browser: Browser, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"a cat, I believe")
    upload(browser, broken)
    browser.until(lambda _: "Send PNG, JPEG or WebP" in one(browser, "[role=alert]").text)


def test_on_a_phone_nothing_scrolls_sideways_and_the_answer_comes_into_view(browser: Browser, picture: Path) -> None:
    browser.resize(390, 844)
    upload(browser, picture)
    ranking(browser)
    assert_fits_a_phone(browser)


def test_so_does_the_longest_class_name_of_the_released_model(browser: Browser, picture: Path) -> None:
    answer_longest(browser, picture, 390)
    assert_fits_a_phone(browser)


@pytest.mark.parametrize("width", [832, 1280])
def test_beside_the_question_it_stands_on_one_line(browser: Browser, picture: Path, width: int) -> None:
    answer_longest(browser, picture, width)
    word = one(browser, ".prediction")
    assert word.size["height"] < 1.5 * float(word.value_of_css_property("font-size").removesuffix("px"))


def answer_longest(browser: Browser, picture: Path, width: int) -> None:
    """An answer in which every class has the longest name."""
    browser.resize(width, 844)
    upload(browser, picture)
    ranking(browser)
    for role in (".prediction", ".name"):
        script = "document.querySelectorAll(arguments[0]).forEach((name) => (name.textContent = arguments[1]))"
        browser.driver.execute_script(script, role, LONGEST)
