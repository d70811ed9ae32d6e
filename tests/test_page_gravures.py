"""The page of gravures in real browsers: strokes drawn by mouse, touch and keyboard, the ten best, their lenses, and lenses by tag."""

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import html5lib
import numpy as np
import pytest
from PIL import Image, ImageDraw
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from pipelines import folders
from pipelines.families.gravures import examples
from serving.pages import routes as page_routes
from tests.browsers import Browser, assert_fits_a_phone, foreign, one, sent, upload
from tests.engravers import SHAPES
from tests.forms import encoded
from tests.pages import got
from tests.services import Service, running, stored

pytestmark = pytest.mark.slow

PROMOTION = {
    "event": "promote",
    "candidate": "gravures-similarity",
    "time": "2026-11-22T18:00:00Z",
    "reasons": ["top1 0.9500 on validation, at least 0.5000 is asked"],
    "figures": {
        "examples": {"valid": 100, "test": 157},
        "valid": {"top1": 0.95, "top1_low": 0.90, "top1_high": 0.98, "top10": 0.99},
        "test": {"top1": 0.96, "top1_low": 0.92, "top1_high": 0.99, "top10": 1.0},
        "seconds": {"train": 900.0},
        "hardware": {"cores": 2, "cpu": "AMD EPYC", "gpu": [], "memory_gb": 25},
    },
}
FACTS = {"promotion": PROMOTION, "decision": PROMOTION, "released": False}
MODEL = {"family": "gravures", "version": 1, "digest": "a" * 64, "data": "d" * 64, "commit": None, "run_id": "run-1"}
BARE: dict[str, Any] = {"tag": "gravures:v1-aaaaaaaaaaaa", "model": MODEL}
POINTERS = {"whole": BARE | FACTS, "bare": BARE, "released": BARE | FACTS | {"released": True, "card": None}}
MORE = 22  # lenses besides, all bearing a bar: more than a page has, and more than a match lists
RINGED = """
const at = document.activeElement;
return [at, at.parentElement].some((part) => getComputedStyle(part).outlineStyle !== "none");
"""
CONTROLS = "a[href], button, input, summary, [tabindex='0']"
TRIANGLE = [(-80, 70), (80, 70), (0, -80), (-80, 70)]


@pytest.mark.parametrize("name", POINTERS)
def test_the_page_is_valid_html_for_every_pointer(name: str) -> None:
    page = got("gravures", POINTERS[name]).text
    html5lib.HTMLParser(strict=True).parse(page)
    assert len(re.findall("<h1>", page)) == 1
    assert MODEL["digest"] in page
    assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", page)
    assert f"{MODEL['version']}" in page


def test_the_page_asks_to_match_and_others_ask_to_predict() -> None:
    assert 'data-path="match"' in got("gravures", BARE).text
    assert "http://atelier/match" in got("gravures", BARE).text
    for family in ("digits", "objects", "signatures"):
        page = got(family, BARE).text
        assert 'data-path="predict"' in page
        assert "http://atelier/predict" in page
        assert not re.search("data-brush|matches|lenses", page)


def many_lenses(model: Path) -> None:
    """A bar is borne by many lenses, of which the first has no picture."""
    path = model / "catalogue.json"
    catalogue = json.loads(path.read_text())
    bar = catalogue["pictures"][SHAPES.index("bar")]["picture"]
    catalogue["lenses"] += [{"verre_id": 500 + row, "name": f"bar {row}", "index_code": "167", "picture": bar} for row in range(MORE)]
    path.write_text(json.dumps(catalogue))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with folders.replacing(folder / "data/gravures") as out:
        examples.pack(out, [("catalogue/gravure_0004.png", encoded(Image.new("L", (200, 100), 200)))])  # a triangle's; of no other
    with running(folder, {1: {**stored(folder, 1, "gravures", many_lenses), **FACTS}}) as service:
        yield service


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    paper = Image.new("L", (300, 300), 255)
    ImageDraw.Draw(paper).line([(20, 280), (280, 280), (150, 20), (20, 280)], fill=0, width=6)
    path = tmp_path / "triangle.png"
    path.write_bytes(encoded(paper))
    return path


def draw(browser: Browser, points: list[tuple[int, int]], kind: str = "mouse") -> None:
    """One stroke through points, in pixels from the middle of the paper."""
    canvas = one(browser, "canvas")
    browser.driver.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    actions = ActionBuilder(browser.driver, mouse=PointerInput(kind, kind), duration=20)
    first, *rest = points
    actions.pointer_action.move_to(canvas, *first).pointer_down()
    for point in rest:
        actions.pointer_action.move_to(canvas, *point)
    actions.pointer_action.pointer_up()
    actions.perform()


def drawn(browser: Browser) -> bytes:
    """The PNG of the drawing field."""
    address = browser.driver.execute_script("return document.querySelector('canvas').toDataURL()")
    return base64.b64decode(address.partition(",")[2])


def ink(browser: Browser) -> float:
    """The share of the drawing field that is dark."""
    return float((np.asarray(Image.open(io.BytesIO(drawn(browser))).convert("L")) < 128).mean())


def cards(browser: Browser) -> list[WebElement]:
    """The matches, once they are there."""
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#result .match"))
    return browser.driver.find_elements(By.CSS_SELECTOR, "#result .match")


def read(card: WebElement) -> tuple[str, ...]:
    return tuple(card.find_element(By.CSS_SELECTOR, f".{part}").text for part in ("rank", "name", "score", "count"))


def expected(service: Service, content: bytes) -> list[tuple[str, ...]]:
    """What the endpoint's own answer makes of a picture."""
    matches = service.predict(files={"image": ("picture.png", content)}).json()["matches"]
    return [
        (str(match["rank"]), match["engraving"].removesuffix(".png"), f"{match['similarity']:.2f}", counted(match["lenses_total"]))
        for match in matches
    ]


def counted(count: int) -> str:
    return f"{count} lens{'es' * (count != 1)}"


def asked(browser: Browser) -> list[WebElement]:
    one(browser, "[data-do=ask]").click()
    return cards(browser)


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver, duration=0).send_keys(*keys).perform()


def active(browser: Browser) -> WebElement:
    return browser.driver.switch_to.active_element


def rows(browser: Browser, within: str) -> list[str]:
    """The lenses of a list, once they are there."""
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, f"{within} .lenses li"))
    return [row.text.split("\n")[0] for row in browser.driver.find_elements(By.CSS_SELECTOR, f"{within} .lenses .name")]


@pytest.mark.parametrize("kind", ["mouse", "touch"])
def test_a_drawing_is_answered_with_the_ten_best(browser: Browser, service: Service, kind: str) -> None:
    draw(browser, TRIANGLE, kind)
    found = asked(browser)
    assert [read(card) for card in found] == expected(service, sent(browser))
    assert len(found) == 10
    assert {read(found[0])[1], read(found[1])[1]} == {"triangle", "gravure_0004"}
    assert one(browser, "[data-is=best]").text == read(found[0])[1]
    assert re.fullmatch(r"\d+ ms", one(browser, "[data-is=latency]").text)
    assert "gravures, version 1" in one(browser, ".lineage").text
    assert one(browser, "#answer").get_attribute("aria-busy") == "false"
    assert (browser.complaints(), foreign(browser, service)) == ([], [])


def test_a_match_shows_its_picture_or_its_name(browser: Browser) -> None:
    draw(browser, TRIANGLE)
    shown = {read(card)[1]: card for card in asked(browser)}
    image = shown["gravure_0004"].find_element(By.CSS_SELECTOR, "img")
    browser.until(lambda driver: driver.execute_script("return arguments[0].naturalWidth", image) == 200)
    assert image.is_displayed()
    bare = shown["triangle"]
    assert not bare.find_elements(By.CSS_SELECTOR, "img") and not bare.find_element(By.CSS_SELECTOR, ".shown").is_displayed()
    assert bare.text.split("\n")[:2] in (["1", "triangle"], ["2", "triangle"])


def test_strokes_are_as_wide_as_the_brush_and_are_taken_back_one_by_one(browser: Browser) -> None:
    brush = one(browser, "#brush")
    assert (brush.accessible_name, brush.get_attribute("min"), brush.get_attribute("max")) == ("Brush", "4", "40")
    draw(browser, [(-80, -40), (80, -40)])
    thin = ink(browser)
    browser.driver.execute_script("arguments[0].focus()", brush)
    press(browser, Keys.END)
    assert brush.get_attribute("aria-valuetext") == "40 of 560 pixels"
    draw(browser, [(-80, 60), (80, 60)])
    both = ink(browser)
    assert both - thin == pytest.approx(thin * 40 / 14, rel=0.25)
    one(browser, "[data-do=undo]").click()
    assert ink(browser) == thin > 0
    draw(browser, [(0, 0), (30, 30)])
    one(browser, "[data-do=clear]").click()
    assert ink(browser) == 0
    assert browser.complaints() == []


def test_everything_is_done_by_keyboard_alone(browser: Browser, service: Service) -> None:
    while active(browser).tag_name != "canvas":
        press(browser, Keys.TAB)
    press(browser, *[Keys.ARROW_LEFT] * 4, Keys.SPACE, *[Keys.ARROW_RIGHT] * 8, Keys.ENTER)
    assert ink(browser) > 0.005
    press(browser, Keys.TAB)
    assert active(browser).accessible_name == "Brush"
    press(browser, Keys.TAB)
    assert active(browser).text == "Search"
    press(browser, Keys.ENTER)
    found = cards(browser)
    assert [read(card) for card in found] == expected(service, sent(browser))
    while active(browser) != found[0]:
        press(browser, Keys.TAB)
    assert found[0].accessible_name.startswith(f"1: {read(found[0])[1]}, similarity")
    press(browser, Keys.ENTER)
    assert one(browser, "#bearing").is_displayed()
    assert active(browser).text == "Close"
    press(browser, Keys.TAB)
    press(browser, Keys.SPACE)
    browser.until(lambda _: "Tags" in one(browser, "#bearing .lens").text)
    press(browser, Keys.ESCAPE)
    browser.until(lambda _: not one(browser, "#bearing").is_displayed())
    assert active(browser) == found[0]


def opened(browser: Browser, name: str) -> WebElement:
    """The dialog of a match."""
    next(card for card in cards(browser) if read(card)[1] == name).click()
    browser.until(lambda _: one(browser, "#bearing").is_displayed())
    return one(browser, "#bearing")


def test_a_match_opens_its_lenses_and_a_lens_what_is_known_of_it(browser: Browser, service: Service) -> None:
    draw(browser, TRIANGLE)
    asked(browser)
    dialog = opened(browser, "triangle")
    assert dialog.accessible_name == "triangle"
    assert counted(2) in dialog.text
    assert rows(browser, "#bearing") == ["lens 4", "lens 10"]
    dialog.find_element(By.CSS_SELECTOR, "summary").click()
    browser.until(lambda _: "Tags" in one(browser, "#bearing .lens").text)
    text = " ".join(one(browser, "#bearing .lens").text.split())
    assert "Lens 191" in text
    assert "Index 1.50" in text
    assert "Tags triangle" in text
    image = one(browser, "#bearing .lens img")
    browser.until(lambda driver: driver.execute_script("return arguments[0].naturalWidth", image) == 200)
    assert "lens 4" in image.get_attribute("alt")
    one(browser, "[data-do=close]").click()
    assert not dialog.is_displayed()
    assert browser.complaints() == []


def test_where_many_lenses_bear_it_the_answer_says_how_many_and_why_there_is_no_picture(browser: Browser) -> None:
    draw(browser, [(-90, 0), (90, 0)])
    asked(browser)
    dialog = opened(browser, "bar")
    assert f"{counted(MORE + 2)} bear it. The first 20 are shown." in dialog.text
    assert len(rows(browser, "#bearing")) == 20
    dialog.find_element(By.CSS_SELECTOR, "summary").click()
    browser.until(lambda _: "not on this machine" in one(browser, "#bearing .lens").text)


def test_an_uploaded_picture_is_answered(browser: Browser, service: Service, picture: Path) -> None:
    upload(browser, picture)
    assert [read(card) for card in cards(browser)] == expected(service, picture.read_bytes())


def test_an_empty_canvas_is_explained_and_the_next_drawing_answered(browser: Browser) -> None:
    one(browser, "[data-do=ask]").click()
    browser.until(lambda _: "Draw the engraving" in one(browser, "#problem").text)
    assert browser.driver.find_elements(By.CSS_SELECTOR, "#result *") == []
    draw(browser, TRIANGLE)
    assert len(asked(browser)) == 10
    assert one(browser, "#problem").text == ""


def search(browser: Browser, words: str) -> None:
    field = one(browser, "#tags")
    field.clear()
    field.send_keys(words, Keys.ENTER)


def test_lenses_are_found_by_tag_page_by_page(browser: Browser) -> None:
    search(browser, "bar")
    assert len(rows(browser, "#found")) == 12
    assert one(browser, "#found [data-is=count]").text == f"{counted(MORE + 2)} with bar, page 1 of 2"
    one(browser, "#found [data-turn='-1']").click()
    one(browser, "#found [data-turn='1']").click()
    browser.until(lambda _: "page 2 of 2" in one(browser, "#found [data-is=count]").text)
    assert rows(browser, "#found") == [f"bar {row}" for row in range(10, 22)]
    assert one(browser, "#found [data-turn='1']").get_attribute("aria-disabled") == "true"
    search(browser, "circle")
    browser.until(lambda _: one(browser, "#found [data-is=count]").text == f"{counted(2)} with circle")
    assert not one(browser, "#found .turn").is_displayed()
    one(browser, "#found summary").click()
    browser.until(lambda _: "circle" in one(browser, "#found .lens").text)


def suggested(browser: Browser) -> list[str]:
    return [option.get_attribute("value") for option in browser.driver.find_elements(By.CSS_SELECTOR, "#known-tags option")]


def test_known_tags_are_suggested_and_pressed(browser: Browser) -> None:
    browser.until(lambda _: len(suggested(browser)) == len(SHAPES))
    assert suggested(browser)[0] == "bar"
    button = one(browser, ".often [data-tag=circle]")
    button.click()
    assert rows(browser, "#found") == ["lens 1", "lens 7"]
    assert (button.get_attribute("aria-pressed"), one(browser, "#tags").get_attribute("value")) == ("true", "circle")
    one(browser, "#tags").send_keys(", ")
    assert "circle, square" in suggested(browser)
    one(browser, ".often [data-tag=square]").click()
    browser.until(lambda _: one(browser, "#found [data-is=count]").text == f"{counted(0)} with circle and square")
    button.click()
    browser.until(lambda _: one(browser, "#found [data-is=count]").text == f"{counted(2)} with square")
    assert button.get_attribute("aria-pressed") == "false"


@pytest.mark.parametrize(
    ("words", "said"), [("sqare", "No engraving shows \u201csqare\u201d. Most like it:"), ("x' OR 1=1 --", "No engraving")]
)
def test_an_unknown_tag_is_said_and_those_like_it_are_offered(browser: Browser, words: str, said: str) -> None:
    search(browser, words)
    browser.until(lambda _: one(browser, "#found [data-is=count]").text.startswith(said))
    if words == "sqare":
        one(browser, "#found [data-tag=square]").click()
        browser.until(lambda _: one(browser, "#found [data-is=count]").text == f"{counted(2)} with square")
        assert one(browser, "#tags").get_attribute("value") == "square"


def test_what_is_no_search_is_explained(browser: Browser) -> None:
    search(browser, "x" * 50)
    browser.until(lambda _: "30 are allowed" in one(browser, "#by-tag [role=alert]").text)
    search(browser, "circle")
    assert len(rows(browser, "#found")) == 2
    assert one(browser, "#by-tag [role=alert]").text == ""


def test_on_a_phone_nothing_scrolls_sideways_and_the_answer_comes_into_view(browser: Browser, picture: Path) -> None:
    browser.resize(390, 844)
    upload(browser, picture)
    cards(browser)
    assert_fits_a_phone(browser)
    opened(browser, "triangle")
    left, right = browser.driver.execute_script(
        "const box = document.querySelector('dialog').getBoundingClientRect(); return [box.left, box.right]"
    )
    assert 0 <= left < right <= 390


def test_every_control_is_reached_by_tab_named_and_seen_to_have_the_focus(browser: Browser, picture: Path) -> None:
    upload(browser, picture)
    cards(browser)
    search(browser, "circle")
    rows(browser, "#found")
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


def test_the_figures_of_the_version_are_told(browser: Browser) -> None:
    text = one(browser, "#served").text
    for words in ("96.00%", "top-1 on the test split", "gravures-similarity", "15 min 0 s"):
        assert words in text


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("top1", "top-1"),
        ("map", "mean average precision"),
        ("five_top10", "top-10, five drawings a class"),
        ("unseen_five_map", "mean average precision, classes never seen, five drawings each"),
        ("one_shot", "one shot"),
        ("map50", "mAP at IoU 0.5"),
        ("best_top1", "best top1"),
    ],
)
def test_a_metric_has_a_name_that_says_what_was_looked_among(metric: str, words: str) -> None:
    assert page_routes.metric_name(metric) == words
