"""The page of digits: in real browsers by uploading and drawing, and its HTML for every kind of pointer."""

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from serving.pages import routes as page_routes
from tests import browsers
from tests.browsers import Browser, assert_fits_a_phone, bars, expected, foreign, fresh, one, ranking, sent, upload
from tests.forms import encoded, seven
from tests.pages import got
from tests.services import Service, running, stored, until

pytestmark = pytest.mark.slow

HOSTILE = '<script>alert(1)</script> & "0.98" is <b>asked</b>'
PROMOTION = {
    "event": "promote",
    "candidate": "digits-augmented",
    "time": "2026-11-20T22:49:53Z",
    "reasons": ["accuracy 0.9951 on validation, at least 0.9800 is asked", HOSTILE],
    "figures": {
        "examples": {"valid": 5054, "test": 10000},
        "valid": {"accuracy": 0.99505, "accuracy_low": 0.9927, "accuracy_high": 0.9966, "nll": 0.01756},
        "test": {"accuracy": 0.9968, "accuracy_low": 0.9955, "accuracy_high": 0.9977, "nll": 0.01176},
        "seconds": {"train": 543.56},
        "hardware": {"cores": 2, "cpu": "AMD EPYC", "gpu": [], "memory_gb": 25},
    },
}
ROLLBACK = {"event": "rollback", "time": "2026-11-21T08:05:00Z", "reasons": ["rolled back from version 2 by ada"]}
CARD = {
    "name": "digits",
    "description": "Handwritten digits, 28 x 28 grey, light on black, centred by mass; ten classes.",
    "sources": [
        {
            "source": "mnist",
            "url": f"https://example.org/{name}",
            "path": f"mnist/{name}",
            "sha256": name[0] * 64,
            "licence": "https://creativecommons.org/licenses/by-sa/3.0/",
            "citation": "LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998",
        }
        for name in ("train-images.gz", "labels.gz")
    ],
    "split": "test as published; valid: 0.0833 of the rest; by SHA-256 of the picture",
    "counts": {"train": 54946, "valid": 5054, "test": 10000},
    "classes": {split: {str(digit): 500 + digit for digit in range(10)} for split in ("train", "valid", "test")},
    "duplicates": {"train/valid": 0, "train/test": 0},
    "hash": "d" * 64,
}
FACTS = {"promotion": PROMOTION, "decision": PROMOTION, "card": CARD, "released": False}
MODEL = {"family": "digits", "version": 1, "digest": "a" * 64, "data": "d" * 64, "commit": None, "run_id": "run-1"}
BARE = {"tag": "digits:v1-aaaaaaaaaaaa", "model": MODEL}
POINTERS: dict[str, dict[str, Any]] = {
    "whole": BARE | FACTS,
    "bare": BARE,
    "released": BARE | FACTS | {"released": True, "card": None},
    "rolled-back": BARE | FACTS | {"decision": ROLLBACK},
    "without-figures": BARE | FACTS | {"promotion": {**PROMOTION, "figures": {}}},
    "other-links": BARE | FACTS | {"card": {**CARD, "sources": [{**CARD["sources"][0], "url": "javascript:alert(1)", "licence": "CC0"}]}},
}
RINGED = """
const at = document.activeElement;
return [at, at.parentElement].some((part) => getComputedStyle(part).outlineStyle !== "none");
"""
CONTROLS = "a[href], button, input, summary, [tabindex='0']"


def page(name: str) -> str:
    return got("digits", POINTERS[name]).text


@pytest.mark.parametrize("name", POINTERS)
def test_the_page_is_valid_html_for_every_pointer(name: str) -> None:
    html5lib.HTMLParser(strict=True).parse(page(name))
    assert len(re.findall("<h1>", page(name))) == 1
    assert MODEL["digest"] in page(name)


def test_the_page_says_what_is_served_and_why() -> None:
    text = page("whole")
    for words in ("99.68%", "99.55% to 99.77%", "20 November 2026, 22:49 UTC", "9 min 4 s", "54,946 train", "digits-augmented"):
        assert words in text
    assert "served again" not in text
    assert "released files" not in text


def test_a_pointer_without_facts_says_so() -> None:
    assert "does not record when and why" in page("bare")
    assert "data card is not on this machine" in page("bare")
    assert "promoted <time" not in page("bare")


def test_released_files_and_a_rollback_are_said() -> None:
    assert "only the released files" in page("released")
    assert "rolled back from version 2 by ada" in page("rolled-back")


def test_facts_are_text_and_never_markup() -> None:
    assert "<script>alert" not in page("whole")
    assert "&lt;script&gt;alert(1)" in page("whole")
    assert "javascript:" not in page("other-links")


def test_every_asset_has_the_headers_and_no_address_of_elsewhere() -> None:
    assert "default-src 'self'" in got("digits", POINTERS["whole"]).headers["content-security-policy"]
    for path in (path for path in Path("serving/page").iterdir() if path.suffix in page_routes.ASSETS):
        response = got("digits", POINTERS["whole"], f"/static/{path.name}")
        assert response.headers["content-security-policy"] == page_routes.HEADERS["Content-Security-Policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import", response.text), path
    assert got("digits", POINTERS["whole"], "/static/base.html").status_code == 404


def test_the_page_loads_nothing_and_runs_nothing_of_its_own_text() -> None:
    tags = re.findall(r"<(?:link|script|img|source|iframe)\b[^>]*>", page("whole"))
    assert tags
    assert not [tag for tag in tags if "//" in tag]
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page("whole"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Version 1 with all its facts, version 2 with none."""
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: {**stored(folder, 1), **FACTS}, 2: stored(folder, 2)}) as service:
        yield service


@pytest.fixture(scope="module", params=["chromium", pytest.param("firefox", marks=pytest.mark.system)])
def window(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """This page is tried in Firefox too."""
    with browsers.opened(request.param, tmp_path_factory.mktemp(request.param)) as browser:
        yield browser


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "seven.png"
    path.write_bytes(encoded(seven()))
    return path


def drawn(browser: Browser) -> bytes:
    """The PNG of the drawing field."""
    address = browser.driver.execute_script("return document.querySelector('canvas').toDataURL()")
    return base64.b64decode(address.partition(",")[2])


def ink(content: bytes) -> float:
    """The share of a picture that is dark."""
    return float((np.asarray(Image.open(io.BytesIO(content)).convert("L")) < 128).mean())


def active(browser: Browser) -> WebElement:
    return browser.driver.switch_to.active_element


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver, duration=0).send_keys(*keys).perform()


def test_an_uploaded_picture_is_answered_with_its_ranking_and_lineage(browser: Browser, service: Service, picture: Path) -> None:
    upload(browser, picture)
    assert ranking(browser) == expected(service, picture.read_bytes(), "ranking", "digit")
    assert ranking(browser)[0].startswith(f"{one(browser, '.prediction').text} ")
    assert len(bars(browser)) == 10
    assert bars(browser) == sorted(bars(browser), reverse=True)
    assert "digits, version 1" in one(browser, ".lineage").text
    assert one(browser, "#result .command code").text == "make lineage of=digits@v1"
    assert "seven.png" in one(browser, ".verdict img").get_attribute("alt")
    assert browser.driver.execute_script("return document.querySelector('.verdict img').naturalWidth") == 60
    assert one(browser, "#answer").get_attribute("aria-busy") == "false"
    one(browser, "#result .command button").click()
    browser.until(lambda _: one(browser, "#result .command button").text in {"Copied", "Selected"})
    assert (browser.complaints(), foreign(browser, service)) == ([], [])


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(browser: Browser, service: Service, picture: Path, way: str) -> None:
    browser.driver.execute_script(
        """
        const bytes = Uint8Array.from(atob(arguments[0]), (character) => character.charCodeAt(0));
        const held = new DataTransfer();
        held.items.add(new File([bytes], "seven.png", { type: "image/png" }));
        const event = new Event(arguments[1], { bubbles: true, cancelable: true });
        Object.assign(event, { dataTransfer: held, clipboardData: held });
        document.querySelector(".drop").dispatchEvent(event);
        """,
        base64.b64encode(picture.read_bytes()).decode(),
        way,
    )
    assert ranking(browser) == expected(service, picture.read_bytes(), "ranking", "digit")


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_drawing_is_answered(browser: Browser, service: Service, kind: str) -> None:
    canvas = one(browser, "canvas")
    browser.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    assert ink(drawn(browser)) == 0
    actions = ActionBuilder(browser.driver, mouse=PointerInput(kind, kind), duration=20)
    actions.pointer_action.move_to(canvas, -60, -80).pointer_down().move_to(canvas, 60, -80).move_to(canvas, 0, 90).pointer_up()
    actions.perform()
    assert 0.02 < ink(drawn(browser)) < 0.3
    one(browser, "[data-do=ask]").click()
    assert ranking(browser) == expected(service, sent(browser), "ranking", "digit")
    one(browser, "[data-do=undo]").click()
    assert ink(drawn(browser)) == 0
    assert browser.complaints() == []


@pytest.mark.system
def test_a_browser_that_resists_fingerprinting_sends_the_drawing_and_no_noise(service: Service, tmp_path: Path) -> None:
    with browsers.opened("firefox", tmp_path, {"privacy.resistFingerprinting": True}) as fox:
        fresh(fox, service)
        assert np.asarray(Image.open(io.BytesIO(drawn(fox))).convert("L")).min() < 255  # noise, of an empty canvas
        canvas = one(fox, "canvas")
        fox.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
        ActionChains(fox.driver).move_to_element_with_offset(canvas, 0, -80).click_and_hold().move_by_offset(0, 160).release().perform()
        one(fox, "[data-do=ask]").click()
        assert ranking(fox) == expected(service, sent(fox), "ranking", "digit")
        grey = np.asarray(Image.open(io.BytesIO(sent(fox))))
        assert grey[:60].min() == 255 == grey[:, :150].min() == grey[:, -150:].min()
        assert 0.02 < (grey == 24).mean() < 0.3


def test_what_is_sent_is_what_is_drawn(browser: Browser) -> None:
    """It is drawn twice: on the canvas for the eye, and as the picture that is sent."""
    canvas = one(browser, "canvas")
    browser.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    for x, y in ((-60, -80), (20, 0)):
        ActionChains(browser.driver).move_to_element_with_offset(canvas, x, y).click_and_hold().move_by_offset(50, 70).release().perform()
    one(browser, "[data-do=ask]").click()
    ranking(browser)
    eye, wire = (np.asarray(Image.open(io.BytesIO(content)).convert("L"), int) for content in (drawn(browser), sent(browser)))
    assert eye.shape == wire.shape == (560, 560)
    assert np.abs(eye - wire).mean() < 0.5 and (np.abs(eye - wire) > 100).mean() < 1e-4


def test_a_digit_is_drawn_and_asked_about_by_keyboard_alone(browser: Browser, service: Service) -> None:
    while active(browser).tag_name != "canvas":
        press(browser, Keys.TAB)
    press(browser, Keys.ARROW_UP, Keys.ARROW_UP, Keys.SPACE, *[Keys.ARROW_RIGHT] * 4, *[Keys.ARROW_DOWN] * 6)
    assert "down" in one(browser, "#draw-state").text
    press(browser, Keys.ENTER, Keys.ARROW_LEFT)
    assert "up" in one(browser, "#draw-state").text
    assert 0.02 < ink(drawn(browser)) < 0.3
    press(browser, Keys.TAB)
    assert active(browser).text == "Ask"
    press(browser, Keys.ENTER)
    assert ranking(browser) == expected(service, sent(browser), "ranking", "digit")


def test_a_broken_file_is_explained_and_the_next_is_answered(browser: Browser, picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"a seven, I believe")
    upload(browser, broken)
    browser.until(lambda _: "Send PNG, JPEG or WebP" in one(browser, "[role=alert]").text)
    upload(browser, picture)
    assert len(ranking(browser)) == 10
    assert one(browser, "[role=alert]").text == ""
    upload(browser, broken)
    browser.until(lambda _: "a seven," in one(browser, "[role=alert]").text)
    assert browser.driver.find_elements(By.CSS_SELECTOR, "#result *") == []


def test_an_empty_drawing_is_explained(browser: Browser) -> None:
    one(browser, "[data-do=ask]").click()
    browser.until(lambda _: "blank" in one(browser, "[role=alert]").text)


def test_on_a_phone_nothing_scrolls_sideways_and_the_answer_comes_into_view(browser: Browser, picture: Path) -> None:
    browser.resize(390, 844)
    upload(browser, picture)
    ranking(browser)
    assert_fits_a_phone(browser)


def test_every_control_is_reached_by_tab_named_and_seen_to_have_the_focus(browser: Browser, picture: Path) -> None:
    upload(browser, picture)
    ranking(browser)
    browser.driver.execute_script("document.activeElement.blur(); getSelection().setPosition(document.body, 0)")
    controls = {control for control in browser.driver.find_elements(By.CSS_SELECTOR, CONTROLS) if control.is_displayed()}
    controls |= {one(browser, "#file"), one(browser, ".skip")}
    seen = set()
    for _ in range(len(controls) + 2):
        press(browser, Keys.TAB)
        if browser.driver.execute_script(RINGED):
            seen.add(active(browser))
    assert [control.get_attribute("outerHTML") for control in controls - seen] == []
    assert [control.get_attribute("outerHTML") for control in controls if not control.accessible_name.strip()] == []


def test_a_hostile_fact_is_shown_as_text(browser: Browser) -> None:
    assert HOSTILE in one(browser, "#served").text
    assert browser.complaints() == []


def test_an_answer_of_a_newer_version_says_that_the_page_is_older(browser: Browser, service: Service, picture: Path) -> None:
    service.point(service.pointers[2])
    try:
        assert until(lambda: service.client.get("/health").json()["model"]["version"] == 2), service.log()
        upload(browser, picture)
        ranking(browser)
        assert "Version 2 is served now" in one(browser, ".stale").text
        browser.driver.refresh()
        assert "does not record when and why" in one(browser, "#served").text
    finally:
        service.point(service.pointers[1])
    assert until(lambda: service.client.get("/health").json()["model"]["version"] == 1), service.log()


def test_the_reference_is_rendered_with_nothing_from_elsewhere(browser: Browser, service: Service) -> None:
    browser.requests()
    browser.driver.get(f"{service.client.base_url}/docs")
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".opblock"))
    paths = {part.get_attribute("data-path") for part in browser.driver.find_elements(By.CSS_SELECTOR, ".opblock-summary-path")}
    assert {"/health", "/predict"} <= paths
    assert (browser.complaints(), foreign(browser, service)) == ([], [])


def test_the_footer_leads_to_what_the_service_has(browser: Browser, service: Service) -> None:
    links = [link.get_attribute("href") for link in browser.driver.find_elements(By.CSS_SELECTOR, "footer a")]
    assert {link.removeprefix(str(service.client.base_url)) for link in links} == {"/docs", "/openapi.json", "/health", "/metrics"}
    assert {service.client.get(link).status_code for link in links} == {200}
