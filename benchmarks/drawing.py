"""An engraving drawn on the page in headless Chromium, and how long its answer takes: as a person sees it, painting included."""

import shutil
import tempfile
from typing import Any

from selenium import webdriver
from selenium.webdriver.remote.webdriver import WebDriver

from benchmarks import example
from benchmarks.harness import Absent

NAME = "Chromium, headless, drawn by software"
WORDS = "headless=new no-sandbox disable-gpu no-first-run disable-background-networking disable-component-update disable-sync"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WARM = 5  # drawings before the first that counts
PLACE = """
const canvas = document.querySelector("canvas");
canvas.scrollIntoView({ block: "center" });
const { left, top, width } = canvas.getBoundingClientRect();
return [left, top, width];
"""
ASK = """
const done = arguments[0], result = document.getElementById("result"), figures = {};
const painted = (then) => requestAnimationFrame(() => setTimeout(then));
result.replaceChildren();
new MutationObserver((_, watch) => {
  const cards = result.querySelectorAll(".match");
  if (!cards.length) return;
  watch.disconnect();
  const images = [...result.querySelectorAll(".match img[src]")];
  painted(() => {
    figures.grid = performance.now() - began;
    Promise.allSettled(images.map((image) => image.decode())).then(() => painted(() => {
      done({ ...figures, matches: cards.length, shown: images.length, pictures: performance.now() - began });
    }));
  });
}).observe(result, { childList: true });
const began = performance.now();
document.querySelector("[data-do=ask]").click();
"""


def milliseconds(address: str, times: int) -> list[dict[str, Any]]:
    """From pressing Search to the matches painted ("grid"), and to all their images painted ("pictures"), so many times."""
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
    left, top, side = browser.execute_script(PLACE)
    for stroke in example.STROKES:
        points = [(left + x * side, top + y * side) for x, y in stroke]
        for kind, (x, y) in [("mousePressed", points[0]), *[("mouseMoved", point) for point in points], ("mouseReleased", points[-1])]:
            browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1})


def _chromium(folder: str) -> WebDriver:
    """Raises Absent where it is not installed."""
    program, driver = next(filter(None, map(shutil.which, PROGRAMS)), None), shutil.which("chromedriver")
    if not program or not driver:
        raise Absent("Chromium, which draws, is not on PATH with its driver. Install both: `apt install chromium chromium-driver`.")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for word in [*WORDS.split(), f"user-data-dir={folder}", "window-size=1280,900"]:
        options.add_argument(f"--{word}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
