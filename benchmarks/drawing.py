"""An engraving drawn on the page in headless Chromium, and how long its answer takes: as a person sees it, painting included."""

import shutil
import tempfile
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.actions.pointer_input import PointerInput
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver

from benchmarks import example
from benchmarks.harness import Stopped

NAME = "Chromium, headless, drawn by software"
WORDS = "headless=new no-sandbox disable-gpu no-first-run disable-background-networking disable-component-update disable-sync"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WARM = 5  # drawings before the first that counts
ASK = """
const done = arguments[0], told = document.getElementById("told"), figures = {};
const painted = (then) => requestAnimationFrame(() => setTimeout(then));
told.replaceChildren();
new MutationObserver((_, watch) => {
  const cards = told.querySelectorAll(".match");
  if (!cards.length) return;
  watch.disconnect();
  const images = [...told.querySelectorAll(".match img[src]")];
  painted(() => {
    figures.grid = performance.now() - began;
    Promise.allSettled(images.map((image) => image.decode())).then(() => painted(() => {
      done({ ...figures, matches: cards.length, shown: images.length, pictures: performance.now() - began });
    }));
  });
}).observe(told, { childList: true });
const began = performance.now();
document.querySelector("[data-do=ask]").click();
"""


def milliseconds(address: str, times: int) -> list[dict[str, Any]]:
    """From pressing Search to the matches painted ("grid"), and to all their pictures painted ("pictures"), so many times."""
    with tempfile.TemporaryDirectory() as folder:
        browser = _chromium(folder)
        try:
            browser.set_script_timeout(60)
            browser.get(address)
            _draw(browser)
            return [browser.execute_async_script(ASK) for _ in range(times + WARM)][WARM:]
        finally:
            browser.quit()


def _draw(browser: WebDriver) -> None:
    """The example, stroke by stroke, by mouse."""
    canvas = browser.find_element(By.CSS_SELECTOR, "canvas")
    browser.execute_script("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    side = canvas.size["width"]
    actions = ActionBuilder(browser, mouse=PointerInput("mouse", "mouse"), duration=5)
    for stroke in example.STROKES:
        first, *rest = [(round((x - 0.5) * side), round((y - 0.5) * side)) for x, y in stroke]
        actions.pointer_action.move_to(canvas, *first).pointer_down()
        for point in rest:
            actions.pointer_action.move_to(canvas, *point)
        actions.pointer_action.pointer_up()
    actions.perform()


def _chromium(folder: str) -> WebDriver:
    """Raises Stopped where it is not installed."""
    program, driver = next(filter(None, map(shutil.which, PROGRAMS)), None), shutil.which("chromedriver")
    if not program or not driver:
        raise Stopped("Chromium, which draws, is not on PATH with its driver. Install both: `apt install chromium chromium-driver`.")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in [*WORDS.split(), f"user-data-dir={folder}", "window-size=1280,900"]:
        options.add_argument(f"--{word}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
