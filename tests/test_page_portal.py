"""All products and the portal as `make up` starts them, walked through by a person in Chromium; and their end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipelines import discovery
from serving.portal.products import PRODUCTS
from tests.browsers import Browser, one, opened
from tests.conftest import ROOT, embedded_data
from tests.forms import encoded, seven
from tests.people import RIGHT, WRONG
from tests.services import environment, free_port, until

pytestmark = pytest.mark.slow

LAST = "localStorage.setItem(Object.keys(localStorage)[0], Date.now() - arguments[0] * 1000)"  # so many seconds ago
EMAIL = "ada@example.org"


class Up(NamedTuple):
    """`make up`: its folder, the portal's address, and the first process."""

    folder: Path
    address: str
    process: subprocess.Popen[bytes]

    def said(self) -> str:
        return (self.folder / "said").read_text()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """All released products and the portal, each of which answers."""
    folder, port = tmp_path_factory.mktemp("project"), free_port()
    for name in ("registry", "released"):
        shutil.copytree(ROOT / name, folder / name)
    with (folder / "said").open("wb") as said:
        words = [sys.executable, "-m", "atelier", "up", "--port", str(port)]
        process = subprocess.Popen(words, cwd=folder, env=environment(folder), stdout=said, stderr=said, start_new_session=True)
    up = Up(folder, f"http://127.0.0.1:{port}", process)
    try:
        assert until(lambda: "Ctrl-C ends all" in up.said() or process.poll() is not None, tries=3000), up.said()
        assert process.poll() is None, up.said()
        yield up
    finally:
        process.kill()  # the others notice


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with opened("chromium", tmp_path_factory.mktemp("chromium")) as browser:
        browser.resize(1280, 900)
        yield browser


@pytest.fixture(scope="module")
def page_with_signatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn letter with two signatures."""
    folder = tmp_path_factory.mktemp("letters")
    before = Path.cwd()
    os.chdir(folder)
    try:
        embedded_data("signatures")
        split = discovery.part("signatures", "examples").load(Path("data", "signatures"), "test")
    finally:
        os.chdir(before)
    path = folder / "lease <b>.png"
    path.write_bytes(next(page.content for page in split.pages if len(page.boxes) == 2))
    return path


def filled(browser: Browser, **fields: str) -> None:
    """Fill in the form and send it."""
    for name, value in fields.items():
        one(browser, f"#{name}").clear()
        one(browser, f"#{name}").send_keys(value)
    one(browser, ".entry button").click()


def seen(browser: Browser, selector: str) -> str:
    """The text of an element, once it has one."""
    return str(browser.until(lambda driver: driver.find_element(By.CSS_SELECTOR, selector).text))


def arrived(browser: Browser, path: str) -> None:
    browser.until(lambda driver: httpx.URL(driver.current_url).path == path)


def test_a_person_signs_up_asks_looks_back_and_is_signed_out_by_idleness(up: Up, browser: Browser, page_with_signatures: Path) -> None:
    signs_up(up, browser)
    asks(up, browser, page_with_signatures)
    turns_pages_and_corrects(up, browser, page_with_signatures)
    draws_and_photographs(up, browser)
    looks_back(up, browser, page_with_signatures)
    is_idle(browser)
    another_reviews(up, browser)


def signs_up(up: Up, browser: Browser) -> None:
    driver = browser.driver
    driver.get(f"{up.address}/history")
    arrived(browser, "/sign-in")  # without an account only home and about
    for path in ("/", "/about"):
        driver.get(up.address + path)
        arrived(browser, path)
    assert len(driver.find_elements(By.CSS_SELECTOR, ".bar a")) == 4

    driver.get(f"{up.address}/sign-in")
    filled(browser, email=EMAIL, password=WRONG)
    assert seen(browser, "[role=alert]") == "This account does not exist, or the password is wrong."

    driver.get(f"{up.address}/sign-up")
    filled(browser, name="ada", email=EMAIL, password=RIGHT)
    arrived(browser, "/sign-in")  # a new account leads to signing in
    driver.get(f"{up.address}/sign-up")
    filled(browser, name="eve", email=EMAIL, password=RIGHT)
    assert "has an account already" in seen(browser, "[role=alert]")

    driver.get(f"{up.address}/sign-in")
    filled(browser, email=EMAIL, password=RIGHT)
    arrived(browser, "/products/signatures")  # an upload
    assert driver.execute_script("return document.cookie") == ""
    driver.get(f"{up.address}/history")
    for name in ("thumbnails", "review"):
        one(browser, f"[name={name}]").click()
    one(browser, ".kept button").click()
    browser.until(lambda driver: driver.find_element(By.NAME, "review").get_property("checked"))
    driver.get(f"{up.address}/products/signatures")


def asks(up: Up, browser: Browser, page_with_signatures: Path) -> None:
    driver = browser.driver
    one(browser, "#file").send_keys(str(page_with_signatures))
    assert browser.until(lambda driver: driver.find_element(By.CSS_SELECTOR, "#rows [data-picture]").get_property("naturalWidth"))
    assert seen(browser, "#rows .prediction") == "2 signatures"
    assert two_sides(browser, page_with_signatures) == [2]
    one(browser, "#again a").click()  # another one
    browser.until(lambda driver: driver.find_element(By.ID, "ask").is_displayed())

    driver.get(f"{up.address}/products/digits")
    (picture := page_with_signatures.with_name("seven.png")).write_bytes(encoded(seven()))
    one(browser, "#file").send_keys(f"{page_with_signatures}\n{picture}")  # several, a row each
    browser.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, "#rows .verdict")) == 2)
    assert driver.find_elements(By.CSS_SELECTOR, "#rows .prediction")[1].text == "7"


def turns_pages_and_corrects(up: Up, browser: Browser, page_with_signatures: Path) -> None:
    driver = browser.driver
    driver.get(f"{up.address}/products/signatures")
    picture = Image.open(page_with_signatures).convert("L")
    picture.save(document := page_with_signatures.with_name("two.pdf"), save_all=True, append_images=[picture])
    one(browser, "#file").send_keys(str(document))
    assert seen(browser, "#rows [data-pages] [role=status]") == "Page 1 of 2: 2 signatures"
    one(browser, "#rows [data-pages]").send_keys(Keys.ARROW_RIGHT)
    assert seen(browser, "#rows [data-pages] [role=status]") == "Page 2 of 2: 2 signatures"
    shown = "[...document.querySelectorAll('[data-page=\"2\"] img')].every((image) => image.naturalWidth)"
    browser.until(lambda driver: driver.execute_script(f"return {shown}"))
    one(browser, "#rows .flag summary").click()
    browser.until(lambda driver: len(driver.find_elements(By.CSS_SELECTOR, ".flag [type=checkbox]")) == 2)
    box = one(browser, "[data-page='2'] rect")
    before = float(box.get_attribute("x") or 0)
    ActionChains(driver, duration=0).move_to_element(box).click_and_hold().move_by_offset(-30, 0).release().perform()
    assert float(box.get_attribute("x") or 0) < before - 10
    one(browser, ".flag [type=submit]").click()
    assert browser.until(lambda driver: "Stored for training" in driver.find_element(By.CSS_SELECTOR, ".flag > [role=status]").text)
    (flag,) = (up.folder / "data/feedback/signatures/flags.jsonl").read_text().splitlines()
    boxes = json.loads(flag)["correction"]
    assert len(boxes) == 2 and json.loads(json.loads(flag)["answer"])[1][0] == pytest.approx(boxes[1][0], abs=1)


def draws_and_photographs(up: Up, browser: Browser) -> None:
    driver = browser.driver
    driver.get(f"{up.address}/products/digits")
    paper = one(browser, "#paper")
    ActionChains(driver, duration=0).move_to_element_with_offset(paper, 0, -120).click_and_hold().move_by_offset(0, 240).release().perform()
    one(browser, "[data-do=ask]").click()
    assert seen(browser, "#rows .prediction") == "1"
    driver.get(f"{up.address}/products/objects")
    one(browser, "[data-do=start]").click()
    browser.until(lambda driver: driver.find_element(By.CSS_SELECTOR, "[data-do=live]").is_displayed())
    one(browser, "[data-do=live]").click()
    assert seen(browser, "[data-is=live]")
    one(browser, "[data-do=take]").click()
    assert seen(browser, "#rows .prediction")


def looks_back(up: Up, browser: Browser, page_with_signatures: Path) -> None:
    driver = browser.driver
    driver.get(f"{up.address}/history")
    rows = [row.text for row in driver.find_elements(By.CSS_SELECTOR, ".history tbody tr")]
    assert len(rows) == 6  # a camera's pictures that were answered all the time are not among them
    width, height = Image.open(page_with_signatures).size
    assert re.match(rf"lease <b>.png signatures 2 signatures \S+ %? ?{width} × {height} (grey|colours) \d+ kB", " ".join(rows[5].split()))  # noqa: RUF001
    for width in (1280, 390):
        browser.resize(width, 844)
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    browser.resize(1280, 900)
    complaints = [words for words in browser.complaints() if not re.search(r"status of (400|409)", words)]
    assert complaints == []


def is_idle(browser: Browser) -> None:
    driver = browser.driver
    one(browser, "#title").send_keys("half typed")
    driver.execute_script(LAST, 4.5 * 60)
    browser.until(lambda driver: driver.find_element(By.ID, "idle").get_property("open"))  # the warning, and the form as it was
    assert one(browser, "#title").get_property("value") == "half typed"
    before = driver.execute_script("return Object.values(localStorage)[0]")
    one(browser, "[data-do=stay]").click()
    browser.until(lambda driver: driver.execute_script("return Object.values(localStorage)[0]") > before)
    assert not one(browser, "#idle").get_property("open")
    driver.execute_script(LAST, 5 * 60)
    arrived(browser, "/sign-in")
    assert "The session is over" in seen(browser, "[role=status]")
    assert driver.get_cookies() == []
    filled(browser, email=EMAIL, password=RIGHT)
    arrived(browser, "/history")
    assert one(browser, "#title").get_property("value") == "half typed"


def another_reviews(up: Up, browser: Browser) -> None:
    driver = browser.driver
    assert driver.find_elements(By.CSS_SELECTOR, ".history img.small")
    one(browser, ".who button").click()
    driver.get(f"{up.address}/sign-up")
    filled(browser, name="bob", email="bob@example.org", password=RIGHT)
    arrived(browser, "/sign-in")
    words = [sys.executable, "-m", "atelier", "user-role", "bob", "data scientist"]
    subprocess.run(words, cwd=up.folder, env=environment(up.folder), check=True, capture_output=True)
    filled(browser, email="bob@example.org", password=RIGHT)
    arrived(browser, "/products/signatures")
    driver.get(f"{up.address}/review")
    waiting = int(seen(browser, ".lede").split()[0])
    assert waiting >= 4
    assert browser.until(lambda driver: driver.find_element(By.CSS_SELECTOR, "#review [data-picture]").get_property("naturalWidth"))
    for key, left, done in (("1", waiting - 1, "1 is reviewed"), ("4", waiting - 1, "1 is reviewed"), ("2", waiting - 2, "2 are reviewed")):
        before = address_of_review(browser)
        ActionChains(driver).send_keys(key).perform()
        browser.until(lambda _, before=before: address_of_review(browser) != before)
        assert seen(browser, ".lede").startswith(f"{left} answer") and done in seen(browser, ".lede")


def address_of_review(browser: Browser) -> str:
    return str(one(browser, ".verdicts").get_attribute("action"))


def two_sides(browser: Browser, path: Path) -> list[int]:
    """Both images are the submitted one, beside each other; how many boxes are on the right one, and none on the left."""
    left, right = browser.driver.find_elements(By.CSS_SELECTOR, "#rows .pair figure")
    sizes = [figure.find_element(By.CSS_SELECTOR, "img").get_property("naturalWidth") for figure in (left, right)]
    assert sizes == [Image.open(path).size[0]] * 2
    assert left.location["x"] < right.location["x"] and left.location["y"] == right.location["y"]
    assert one(browser, "#rows .prediction").location["y"] < left.location["y"]
    assert not left.find_elements(By.TAG_NAME, "rect")
    return [len(right.find_elements(By.TAG_NAME, "rect"))]


def test_every_product_answers_and_a_dead_one_costs_its_card_alone(up: Up) -> None:
    with httpx.Client(
        base_url=up.address, headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}, follow_redirects=True
    ) as client:
        client.post("/sign-in", data={"email": EMAIL, "password": RIGHT})
        for name in PRODUCTS:
            response = client.post(
                f"/products/{name}/predict", files={"image": ("a.png", encoded(seven().convert("RGB").resize((240, 320))))}
            )
            assert 'class="prediction"' in response.text, response.text
        (dead,) = [child for child in psutil.Process(up.process.pid).children() if "objects" in child.cmdline()]
        dead.kill()
        assert until(lambda: "objects ended by SIGKILL" in up.said())
        assert until(lambda: client.get("/").text.count("Does not answer now") == 1)
        response = client.post("/products/objects/predict", files={"image": ("a.png", encoded(seven()))}, headers={"Accept": "*/*"})
        assert (response.status_code, response.json()["reason"]) == (502, "product down")
        assert 'class="prediction"' in client.post("/products/digits/predict", files={"image": ("a.png", encoded(seven()))}).text


def test_one_interrupt_ends_all(up: Up) -> None:
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) >= len(PRODUCTS)
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 130
    assert not psutil.wait_procs(children, timeout=20)[1]


def test_a_part_ends_with_a_first_process_that_was_killed(tmp_path: Path) -> None:
    words = f"import subprocess, sys; subprocess.Popen([sys.executable, '-m', 'serving.portal.part', 'portal', '{free_port()}']); input()"
    with (tmp_path / "log").open("wb") as log:
        first = subprocess.Popen([sys.executable, "-c", words], cwd=tmp_path, env=environment(tmp_path), stdin=subprocess.PIPE, stderr=log)
    assert until(lambda: "Uvicorn running" in (tmp_path / "log").read_text(), tries=900)
    children = psutil.Process(first.pid).children()
    first.kill()
    first.wait()
    assert not psutil.wait_procs(children, timeout=20)[1]
