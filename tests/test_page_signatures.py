"""The page of signatures: a page or a PDF uploaded in real browsers, its count, and its boxes over the picture."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import pytest
from PIL import Image, ImageDraw
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests import papers
from tests.browsers import Browser, assert_fits_a_phone, foreign, one, upload
from tests.forms import encoded
from tests.pages import got
from tests.services import Service, running, stored

pytestmark = pytest.mark.slow

CARD = {
    "name": "signatures",
    "description": "Letters with loose boxes. Leases.",
    "sources": [
        {"source": name, "path": f"{name}.tar", "sha256": "c" * 64, "licence": "CC0", "citation": "Zhu"} for name in ("letters", "leases")
    ],
    "split": "documents by SHA-256 of their names: train 0.6, valid 0.3, test the rest",
    "counts": {"train": 340, "valid": 170, "test": 57},
    "classes": {split: {"signature": count} for split, count in {"train": 530, "valid": 260, "test": 96}.items()},
    "duplicates": {"train/valid": 0},
    "hash": "d" * 64,
}
PROMOTION = {
    "event": "promote",
    "candidate": "signatures-all",
    "time": "2026-11-21T18:00:00Z",
    "reasons": ["map50 0.7500 on validation, at least 0.5000 is asked"],
    "figures": {
        "examples": {"valid": 170, "test": 57},
        "valid": {"map50": 0.75, "map50_low": 0.70, "map50_high": 0.80, "map50_95": 0.4, "f1": 0.7},
        "test": {"map50": 0.72, "map50_low": 0.66, "map50_high": 0.78, "map50_95": 0.38, "f1": 0.69},
        "seconds": {"train": 1680.0},
        "hardware": {"cores": 2, "cpu": "AMD EPYC", "gpu": [], "memory_gb": 25},
    },
}
FACTS = {"promotion": PROMOTION, "decision": PROMOTION, "card": CARD, "released": False}
MODEL = {"family": "signatures", "version": 1, "digest": "a" * 64, "data": "d" * 64, "commit": None, "run_id": "run-1"}
BARE: dict[str, Any] = {"tag": "signatures:v1-aaaaaaaaaaaa", "model": MODEL}
POINTERS = {"whole": BARE | FACTS, "bare": BARE, "released": BARE | FACTS | {"released": True, "card": None}}
BOXES = """
const [image, svg] = [".sheet:has(svg) img", ".sheet svg"].map((name) => document.querySelector("#result " + name));
const on = image.getBoundingClientRect();
const scale = Math.min(on.width / image.naturalWidth, on.height / image.naturalHeight);
const left = on.left + (on.width - scale * image.naturalWidth) / 2, top = on.top + (on.height - scale * image.naturalHeight) / 2;
return [...svg.querySelectorAll("rect")].map((rect) => {
  const box = rect.getBBox(), to = rect.getScreenCTM(); // without the stroke, which Firefox counts and Chromium does not
  return [(box.x * to.a + to.e - left) / scale, (box.y * to.d + to.f - top) / scale, box.width * to.a / scale, box.height * to.d / scale];
});
"""


@pytest.mark.parametrize("name", POINTERS)
def test_the_page_is_valid_html_for_every_pointer(name: str) -> None:
    page = got("signatures", POINTERS[name]).text
    html5lib.HTMLParser(strict=True).parse(page)
    assert len(re.findall("<h1>", page)) == 1
    assert MODEL["digest"] in page
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page)


def test_the_page_asks_for_a_page_and_tells_its_figures() -> None:
    page = got("signatures", POINTERS["whole"]).text
    for words in (
        "Upload a page",
        "WebP, PDF or TIFF",
        "application/pdf",
        "static/boxes.js",
        "72.00%",
        "mAP at IoU 0.5",
    ):
        assert words in page
    assert "<canvas" not in page


@pytest.mark.parametrize("family", ["digits", "objects"])
def test_the_pages_of_others_take_no_pdf(family: str) -> None:
    page = got(family, BARE).text
    assert "PDF" not in page
    assert "application/pdf" not in page
    assert "boxes.js" not in page


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: {**stored(folder, 1, "signatures"), **FACTS}}) as service:
        yield service


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """A scanned page."""
    paper = Image.new("L", (620, 877), 250)
    pen = ImageDraw.Draw(paper)
    for line in range(12):
        pen.rectangle([60, 60 + line * 25, 300 + (line * 37) % 200, 68 + line * 25], fill=20)
    path = tmp_path / "letter.png"
    path.write_bytes(encoded(paper))
    return path


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A PDF of three pages."""
    path = tmp_path / "lease.pdf"
    path.write_bytes(papers.paper([papers.ink([(100, 150 * number, 300, 90)]) for number in (1, 2, 3)]))
    return path


def answered(service: Service, path: Path) -> dict[str, Any]:
    """What the endpoint itself says."""
    return dict(service.predict(files={"image": (path.name, path.read_bytes())}).json())


def counted(count: int) -> str:
    return f"{count} signature{'s' * (count != 1)}"


def boxes(browser: Browser, count: int) -> list[list[float]]:
    """The boxes over the picture, in its own pixels, once they are there."""
    browser.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, "#result .sheet rect")) == count)
    return list(browser.driver.execute_script(BOXES))


def near(found: dict[str, Any]) -> list[Any]:
    return [pytest.approx(box, abs=1.5) for box in found["prediction"]]


def test_an_uploaded_page_is_answered_with_its_count_and_boxes_beside_it(browser: Browser, service: Service, letter: Path) -> None:
    upload(browser, letter)
    found = answered(service, letter)
    assert found["count"] > 0
    assert boxes(browser, found["count"]) == near(found)
    assert one(browser, ".prediction").text == counted(found["count"])
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, ".found li")) == found["count"]
    assert not one(browser, ".turn").is_displayed()
    before, after = one(browser, "#submitted img"), one(browser, "#result .sheet img")
    assert before.is_displayed()
    assert before.rect["x"] + before.rect["width"] <= after.rect["x"]
    assert "letter.png" in before.get_attribute("alt")
    assert counted(found["count"]) in after.get_attribute("alt")
    assert "signatures, version 1" in one(browser, ".lineage").text
    assert (browser.complaints(), foreign(browser, service)) == ([], [])


def test_the_count_stands_above_the_page(browser: Browser, service: Service, letter: Path) -> None:
    upload(browser, letter)
    boxes(browser, answered(service, letter)["count"])
    word, picture = one(browser, ".prediction"), one(browser, "#result .sheet img")
    assert word.rect["y"] + word.rect["height"] <= picture.rect["y"]
    assert float(word.value_of_css_property("font-size").removesuffix("px")) > 28


def test_a_document_is_turned_page_by_page(browser: Browser, service: Service, document: Path) -> None:
    upload(browser, document)
    found = answered(service, document)
    assert boxes(browser, found["pages"][0]["count"]) == near(found["pages"][0])
    assert one(browser, ".prediction").text == counted(found["count"])
    for number in (2, 3, 2):
        step = "1" if number > int(one(browser, "[data-is=page]").text.split()[1]) else "-1"
        one(browser, f"[data-turn='{step}']").click()
        page = found["pages"][number - 1]
        browser.until(lambda _, number=number: f"page {number} of" in one(browser, "#result .sheet img").get_attribute("alt"))
        assert one(browser, "[data-is=page]").text == f"Page {number} of 3: {counted(page['count'])}"
        browser.until(lambda _, page=page: browser.driver.execute_script(BOXES) == near(page))
    assert browser.driver.execute_script("return document.querySelector('#submitted img').naturalWidth") == 1240
    assert browser.complaints() == []


def test_pages_are_turned_by_keyboard_and_not_beyond_the_ends(browser: Browser, service: Service, document: Path) -> None:
    upload(browser, document)
    boxes(browser, answered(service, document)["pages"][0]["count"])
    turn = one(browser, "[data-turn='1']")
    browser.driver.execute_script("arguments[0].focus()", one(browser, "[data-turn='-1']"))
    ActionChains(browser.driver, duration=0).send_keys(Keys.ENTER, Keys.TAB, Keys.ENTER, Keys.SPACE, Keys.ENTER, Keys.ENTER).perform()
    assert browser.driver.switch_to.active_element == turn
    browser.until(lambda _: one(browser, "[data-is=page]").text.startswith("Page 3 of 3"))
    assert turn.get_attribute("aria-disabled") == "true"
    assert turn.accessible_name == "Next page"


def test_another_upload_replaces_the_document(browser: Browser, service: Service, letter: Path, document: Path) -> None:
    upload(browser, document)
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#result .turn"))
    upload(browser, letter)
    browser.until(lambda _: not one(browser, ".turn").is_displayed())
    found = answered(service, letter)
    assert boxes(browser, found["count"]) == near(found)
    assert browser.driver.execute_script("return document.querySelector('#submitted img').naturalWidth") == 620
    assert browser.complaints() == []


@pytest.mark.parametrize(("content", "words"), [(b"a letter, I believe", "or a PDF"), (papers.encrypted(), "without a password")])
def test_what_cannot_be_read_is_explained(browser: Browser, tmp_path: Path, content: bytes, words: str) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(content)
    upload(browser, broken)
    browser.until(lambda _: words in one(browser, "[role=alert]").text)
    assert browser.driver.find_elements(By.CSS_SELECTOR, "#result *") == []


def test_the_data_card_names_both_sources(browser: Browser) -> None:
    text = one(browser, "#data").text
    for words in ("Source: letters", "Source: leases", "340 train", "documents by SHA-256"):
        assert words in text


def test_on_a_phone_nothing_scrolls_sideways_and_the_answer_comes_into_view(browser: Browser, service: Service, document: Path) -> None:
    browser.resize(390, 844)
    upload(browser, document)
    boxes(browser, answered(service, document)["pages"][0]["count"])
    assert_fits_a_phone(browser)
