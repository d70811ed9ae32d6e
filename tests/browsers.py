"""Real browsers for the tests of pages: Chromium and Firefox, headless, each where it is installed."""

import base64
import importlib
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.services import Service

PATIENCE = 20  # seconds that a page may take
QUIET = "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
CAMERA = "use-fake-device-for-media-stream use-fake-ui-for-media-stream"  # a moving test picture, and no prompt


WATCH = """
const own = window.fetch;
window.fetch = (path, how) => ((window.sent = how?.body?.get("image") ?? window.sent), own(path, how));
"""
SENT = """
return new Promise((done) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result);
  reader.readAsDataURL(window.sent);
});
"""


class Needs(NamedTuple):
    """What a browser is driven with: each program by the names that it may have, and how they are had."""

    programs: list[tuple[str, ...]]
    remedy: str


class Browser(NamedTuple):
    """A browser, and what the drivers have no common word for."""

    driver: WebDriver
    resize: Callable[[int, int], None]
    complaints: Callable[[], list[str]]  # errors in the console since the last call
    requests: Callable[[], list[str]]  # addresses that the page has asked for

    def until(self, condition: Callable[[WebDriver], Any]) -> Any:
        """What the condition gives once it holds; where the page replaced an element while it was looked at, it is looked at again."""
        wait = WebDriverWait(self.driver, PATIENCE, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(condition)


BROWSERS = {
    "chromium": Needs([("chromium", "chromium-browser", "google-chrome"), ("chromedriver",)], "apt-get install chromium chromium-driver"),
    "firefox": Needs([("firefox-esr", "firefox")], "apt-get install firefox-esr"),
}


@contextmanager
def opened(name: str, folder: Path, settings: dict[str, Any] | None = None) -> Iterator[Browser]:
    """A fresh browser with its profile in `folder`, Firefox with settings; skips the test, loudly, where it is not installed."""
    programs = found(name)
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}  # Selenium would look for drivers in the network
    browser = firefox(*programs, folder, settings) if name == "firefox" else chromium(*programs, folder)
    try:
        yield browser
    finally:
        browser.driver.quit()


def found(name: str) -> list[str]:
    """The paths of a browser's programs."""
    needs = BROWSERS[name]
    paths = {names[0]: next(filter(None, map(shutil.which, names)), "") for names in needs.programs}
    if missing := [program for program, path in paths.items() if not path]:
        words = f"PAGES ARE NOT TRIED IN {name.upper()}: {missing[0]} is not on PATH. {needs.remedy}"
        warnings.warn(words, stacklevel=2)
        pytest.skip(words)
    return list(paths.values())


def chromium(program: str, driver: str, folder: Path) -> Browser:
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for word in [*QUIET.split(), *CAMERA.split(), f"user-data-dir={folder}", "window-size=1280,900"]:
        options.add_argument(f"--{word}")
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))

    def resize(width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def complaints() -> list[str]:
        return [line["message"] for line in chrome.get_log("browser") if line["level"] == "SEVERE"]

    def requests() -> list[str]:
        messages = [json.loads(line["message"])["message"] for line in chrome.get_log("performance")]
        return [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]

    return Browser(chrome, resize, complaints, requests)


def firefox(program: str, folder: Path, settings: dict[str, Any] | None) -> Browser:
    pytest.importorskip("marionette_driver", reason="its requirements exclude those of Atelier but on Linux")
    fox = importlib.import_module("tests.marionette").Firefox(program, folder, settings)

    def requests() -> list[str]:
        return fox.execute_script("return performance.getEntries().map((entry) => entry.name).filter((name) => name.includes(':'))")

    return Browser(fox, fox.resize, fox.complaints, requests)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests of a module."""
    with opened("chromium", tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(window: Browser, service: Service) -> Browser:
    """The page of the module's service, freshly opened."""
    return fresh(window, service)


def fresh(browser: Browser, service: Service) -> Browser:
    """The page of a service, freshly opened at desktop size; earlier requests and errors are cleared."""
    browser.resize(1280, 900)
    browser.driver.get("about:blank")
    browser.requests(), browser.complaints()
    browser.driver.get(str(service.client.base_url))
    browser.driver.execute_script(WATCH)
    return browser


def sent(browser: Browser) -> bytes:
    """The last picture that the page has sent."""
    content: str = browser.driver.execute_script(SENT)
    return base64.b64decode(content.partition(",")[2])


def one(browser: Browser, selector: str) -> WebElement:
    return browser.driver.find_element(By.CSS_SELECTOR, selector)


def upload(browser: Browser, path: Path) -> None:
    one(browser, "#file").send_keys(str(path))


def ranking(browser: Browser) -> list[str]:
    """The rows of the answer, once it is there."""
    browser.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, "#result .ranking li"))
    return [" ".join(row.text.split()) for row in browser.driver.find_elements(By.CSS_SELECTOR, "#result .ranking li")]


def expected(service: Service, content: bytes, ranks: str, label: str) -> list[str]:
    """The rows that the endpoint's own answer makes: its list `ranks`, each by its `label`."""
    answer = service.predict(files={"image": ("picture.png", content)}).json()
    return [f"{rank[label]} {rank['confidence']:.2%}" for rank in answer[ranks]]


def bars(browser: Browser) -> list[float]:
    """The widths of the ranking's bars, in pixels."""
    return [bar.size["width"] for bar in browser.driver.find_elements(By.CSS_SELECTOR, "#result .bar span")]


def foreign(browser: Browser, service: Service) -> list[str]:
    """Addresses that the page has asked for elsewhere."""
    own = (str(service.client.base_url), "blob:", "data:", "about:")
    return [address for address in browser.requests() if not address.startswith(own)]


def assert_fits_a_phone(browser: Browser) -> None:
    """390 pixels wide and with everything unfolded, nothing scrolls sideways, and the answer is in view."""
    browser.driver.execute_script("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    width, inner = browser.driver.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert (width, inner) == (width, 390)
    assert width <= inner
    top, bottom = browser.driver.execute_script(
        "const box = document.querySelector('.verdict').getBoundingClientRect(); return [box.top, box.bottom]"
    )
    assert 0 <= top < bottom <= 844
