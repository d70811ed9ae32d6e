"""Flag on the pages, in a real browser: what the answer should have been is kept with the picture, and said to be."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import pytest
from PIL import Image, ImageDraw
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from pipelines.datasets import labelled
from pipelines.families.signatures.examples import LABELS
from tests import browsers, papers
from tests.browsers import Browser, foreign, fresh, one, upload
from tests.forms import encoded, seven
from tests.pages import got
from tests.services import Service, running, stored

pytestmark = pytest.mark.slow

FAMILIES = ["digits", "gravures", "objects", "signatures"]  # ocr has a page of its own, in Gradio


@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_may_be_flagged(family: str) -> None:
    model = {"family": family, "version": 1, "digest": "a" * 64, "data": "d" * 64, "commit": None, "run_id": "run-1"}
    page = got(family, {"tag": f"{family}:v1-aaaaaaaaaaaa", "model": model}).text
    html5lib.HTMLParser(strict=True).parse(page)
    assert f'data-folder="data/feedback/{family}"' in page
    assert 'src="static/flag.js"' in page
    assert ("flag-box" in page) == (family == "signatures")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from started("digits", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def signatures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from started("signatures", tmp_path_factory.mktemp("signatures"))


def started(family: str, folder: Path) -> Iterator[Service]:
    with running(folder, {1: stored(folder, 1, family)}) as service:
        yield service


def sent(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def answered(browser: Browser) -> None:
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#result .flag"))


def said(browser: Browser, words: str) -> None:
    browser.until(lambda _: words in one(browser, "#result .flag [role=status]").text)


def flags(service: Service) -> list[dict[str, Any]]:
    lines = (service.folder / "data/feedback" / service.family / "flags.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver, duration=0).send_keys(*keys).perform()


def test_a_wrong_digit_is_flagged_and_kept(window: Browser, digits: Service, tmp_path: Path) -> None:
    fresh(window, digits)
    upload(window, sent(tmp_path, "seven.png", encoded(seven())))
    answered(window)
    shown = one(window, ".prediction").text
    one(window, ".flag summary").click()
    window.until(lambda _: len(Select(one(window, "#flag-really")).options) == 11)
    one(window, ".flag [type=submit]").click()  # nothing is chosen: the browser asks for it
    Select(one(window, "#flag-really")).select_by_visible_text("7")
    one(window, ".flag [type=submit]").click()
    said(window, "Stored in data/feedback/digits (1 flagged)")
    [flag] = flags(digits)
    assert (flag["correction"], flag["answer"]) == ("7", shown)
    assert flag["prediction_id"] in one(window, ".lineage").text
    assert flag["digest"] == digits.pointers[1]["model"]["digest"]
    assert (digits.folder / "data/feedback/digits" / flag["files"][0]).read_bytes() == encoded(seven())
    assert (window.complaints(), foreign(window, digits)) == ([], [])


def test_flagging_needs_no_mouse(window: Browser, digits: Service, tmp_path: Path) -> None:
    fresh(window, digits)
    upload(window, sent(tmp_path, "turned.png", encoded(seven().rotate(90, expand=True))))
    answered(window)
    window.driver.execute_script("document.querySelector('.flag summary').focus()")
    press(window, Keys.ENTER)
    window.until(lambda _: len(Select(one(window, "#flag-really")).options) == 11)
    press(window, Keys.TAB, "2", Keys.TAB, Keys.ENTER)
    said(window, "Stored in data/feedback/digits")
    assert flags(digits)[-1]["correction"] == "2"
    assert one(window, "#flag-really").accessible_name == "It is really"


def test_a_refused_flag_says_why(window: Browser, digits: Service, tmp_path: Path) -> None:
    fresh(window, digits)
    upload(window, sent(tmp_path, "seven.png", encoded(seven())))
    answered(window)
    one(window, ".flag summary").click()
    window.until(lambda _: len(Select(one(window, "#flag-really")).options) == 11)
    window.driver.execute_script("document.querySelector('#flag-really').add(new Option('eleven'))")
    Select(one(window, "#flag-really")).select_by_visible_text("eleven")
    one(window, ".flag [type=submit]").click()
    said(window, "'eleven' is not known. Send one of: 0, 1, 2")


def letter() -> Image.Image:
    paper = Image.new("L", (620, 877), 250)
    pen = ImageDraw.Draw(paper)
    for line in range(12):
        pen.rectangle([60, 60 + line * 25, 300 + (line * 37) % 200, 68 + line * 25], fill=20)
    return paper


def ticks(browser: Browser, count: int) -> list[Any]:
    browser.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, ".flag [type=checkbox]")) == count)
    return browser.driver.find_elements(By.CSS_SELECTOR, ".flag [type=checkbox]")


def drag(browser: Browser, shares: tuple[float, float, float, float]) -> list[float]:
    """From one place of the sheet to another, as shares of its width and height; x, y, w, h on the page."""
    sheet = one(browser, "#result .sheet svg")
    browser.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", sheet)
    width, height = sheet.rect["width"], sheet.rect["height"]
    x, y, w, h = (round((share - 0.5 * (at < 2)) * (width, height)[at % 2]) for at, share in enumerate(shares))
    ActionChains(browser.driver, duration=50).move_to_element_with_offset(sheet, x, y).click_and_hold().move_by_offset(
        w, h
    ).release().perform()
    scale = 620 / width
    return [(x + width / 2) * scale, (y + height / 2) * scale, w * scale, h * scale]


def test_wrong_boxes_are_unticked_and_missing_ones_drawn_or_typed(window: Browser, signatures: Service, tmp_path: Path) -> None:
    content = encoded(letter())
    found = signatures.predict(files={"image": content}).json()["prediction"]
    fresh(window, signatures)
    upload(window, sent(tmp_path, "letter.png", content))
    answered(window)
    one(window, ".flag summary").click()
    ticks(window, len(found))[0].click()
    drawn = drag(window, (0.2, 0.6, 0.3, 0.1))
    ticks(window, len(found) + 1)
    one(window, "#flag-box").send_keys("30, 200, 120, 4000", Keys.ENTER)
    said(window, "Type four numbers, of a box within 620")
    one(window, "#flag-box").clear()
    one(window, "#flag-box").send_keys("30, 200, 120, 40")
    one(window, "[data-do=add]").click()
    assert [tick.is_selected() for tick in ticks(window, len(found) + 2)] == [False] + [True] * (len(found) + 1)
    assert len(window.driver.find_elements(By.CSS_SELECTOR, "#result .sheet rect.wrong")) == 1
    one(window, ".flag [type=submit]").click()
    said(window, "Stored in data/feedback/signatures (1 flagged)")
    [page] = labelled.read(signatures.folder / "data/feedback/signatures", LABELS)
    assert page.content == content
    assert page.boxes.tolist() == [pytest.approx(box, abs=2) for box in [*found[1:], drawn, [30, 200, 120, 40]]]
    assert (window.complaints(), foreign(window, signatures)) == ([], [])


def test_a_page_of_a_document_is_kept_as_the_picture_that_was_shown(window: Browser, signatures: Service, tmp_path: Path) -> None:
    content = papers.paper([papers.ink([(100, 150 * number, 300, 90)]) for number in (1, 2)])
    found = signatures.predict(files={"image": content}).json()["pages"][1]
    fresh(window, signatures)
    upload(window, sent(tmp_path, "lease.pdf", content))
    answered(window)
    one(window, ".turn [data-turn='1']").click()
    one(window, ".flag summary").click()
    window.until(lambda _: one(window, "#result .sheet > img").get_attribute("alt").endswith("page 2 of lease.pdf"))
    ticks(window, found["count"])
    one(window, ".flag [type=submit]").click()
    said(window, "Stored in data/feedback/signatures")
    flag = flags(signatures)[-1]
    pages = {page.name.split("/")[0]: page for page in labelled.read(signatures.folder / "data/feedback/signatures", LABELS)}
    page = pages[flag["hash"]]
    assert page.content.startswith(b"\x89PNG")
    assert (page.width, page.height) == (found["width"], found["height"])
    assert page.boxes.tolist() == [pytest.approx(box, abs=1) for box in found["prediction"]]


def test_on_a_phone_nothing_scrolls_sideways(window: Browser, digits: Service, signatures: Service, tmp_path: Path) -> None:
    for service, content in ((digits, encoded(seven())), (signatures, encoded(letter()))):
        fresh(window, service)
        window.resize(390, 844)
        upload(window, sent(tmp_path, "picture.png", content))
        answered(window)
        one(window, ".flag summary").click()
        browsers.assert_fits_a_phone(window)
