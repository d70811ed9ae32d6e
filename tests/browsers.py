"""Real browsers for the tests of pages: Chromium and Firefox, headless, each where it is installed; and a page without one."""

import asyncio
import json
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from serving.pages import routes as page_routes
from tests.services import Service

PATIENCE = 20  # seconds that a page may take
QUIET = "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
CAMERA = "use-fake-device-for-media-stream use-fake-ui-for-media-stream"  # a moving test picture, and no prompt


class Needs(NamedTuple):
    """What a browser is driven with: names of its program, its driver, and how both are had."""

    programs: tuple[str, ...]
    driver: str
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
    "chromium": Needs(("chromium", "chromium-browser", "google-chrome"), "chromedriver", "apt-get install chromium chromium-driver"),
    "firefox": Needs(("firefox-esr", "firefox"), "geckodriver", "apt-get install firefox-esr; cargo install geckodriver"),
}


@contextmanager
def opened(name: str, folder: Path) -> Iterator[Browser]:
    """A fresh browser with its profile in `folder`; skips the test, loudly, where it is not installed."""
    program, driver = found(name)
    os.environ |= {"SE_OFFLINE": "true", "SE_AVOID_STATS": "true"}  # Selenium would look for drivers in the network
    browser = {"chromium": chromium, "firefox": firefox}[name](program, driver, folder)
    try:
        yield browser
    finally:
        browser.driver.quit()


def found(name: str) -> tuple[str, str]:
    """The paths of a browser and its driver."""
    needs = BROWSERS[name]
    program = next(filter(None, map(shutil.which, needs.programs)), None)
    driver = shutil.which(needs.driver)
    if program and driver:
        return program, driver
    words = f"PAGES ARE NOT TRIED IN {name.upper()}: {needs.driver if program else needs.programs[0]} is not on PATH. {needs.remedy}"
    warnings.warn(words, stacklevel=2)
    pytest.skip(words)


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


def firefox(program: str, driver: str, folder: Path) -> Browser:
    options = webdriver.FirefoxOptions()
    options.binary_location = program
    options.enable_bidi = True
    options.add_argument("-headless")
    fox = webdriver.Firefox(options=options, service=webdriver.FirefoxService(executable_path=driver, log_output=str(folder / "log")))
    errors: list[str] = []
    fox.script.add_javascript_error_handler(lambda entry: errors.append(entry.text))
    fox.script.add_console_message_handler(lambda entry: errors.append(entry.text) if entry.level == "error" else None)

    def resize(width: int, height: int) -> None:
        fox.browsing_context.set_viewport(context=fox.current_window_handle, viewport={"width": width, "height": height})

    def complaints() -> list[str]:
        seen, errors[:] = errors[:], []
        return seen

    def requests() -> list[str]:
        return fox.execute_script("return performance.getEntries().map((entry) => entry.name).filter((name) => name.includes(':'))")

    return Browser(fox, resize, complaints, requests)


def got(family: str, pointer: dict[str, Any], path: str = "/") -> httpx.Response:
    """What the page of a pointer answers, without a model, a process or a browser."""
    app = FastAPI()
    app.state.champion = SimpleNamespace(served=SimpleNamespace(pointer=pointer), rejected=None)
    app.state.shadow = SimpleNamespace(status=lambda: None)
    page_routes.mount(app, family, "What is on this picture?")

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://atelier") as client:
            return await client.get(path)

    return asyncio.run(asked())


def fresh(browser: Browser, service: Service) -> Browser:
    """The page of a service, freshly opened at desktop size; earlier requests and errors are cleared."""
    browser.resize(1280, 900)
    browser.driver.get("about:blank")
    browser.requests(), browser.complaints()
    browser.driver.get(str(service.client.base_url))
    return browser


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
    return [f"{rank[label]} {rank['confidence'] * 100:.2f} %" for rank in answer[ranks]]


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
