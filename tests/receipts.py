"""Pages of text whose lines' places are known: receipts, columns, turned ones; the fonts are Matplotlib's."""

from typing import NamedTuple

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Corners = tuple[float, float, float, float]  # x, y, x, y
WORDS = ["TOTAL", "INCLUSIVE", "GST", "ADJ", "TEL:", "FAX,", "03-1234", "Date:", "12/03/2018", "10:33", "@", "6%", "(SR)"]
WORDS += ["Qty.", "2", "x", "1.90", "jalan", "'over'", "taman"]


class Page(NamedTuple):
    """A page [height, width], and where its lines are, in the order in which they are read."""

    grey: NDArray[np.uint8]
    lines: list[Corners]


def font(size: int, name: str = "DejaVuSans") -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}.ttf", size)


class Paper:
    """A page that is written on."""

    def __init__(self, size: tuple[int, int], paper: int = 255, ink: int = 20) -> None:
        self.picture, self.ink, self.lines = Image.new("L", size, paper), ink, list[Corners]()
        self.pen = ImageDraw.Draw(self.picture)

    def write(self, place: tuple[int, int], text: str, font: ImageFont.FreeTypeFont, anchor: str = "la") -> None:
        alone = Image.new("L", self.picture.size)
        ImageDraw.Draw(alone).text(place, text, 255, font, anchor)
        self.lines.append(alone.point(lambda value: 255 * (value > 64)).getbbox() or (0, 0, 0, 0))
        self.pen.text(place, text, self.ink, font, anchor)

    def page(self) -> Page:
        return Page(np.asarray(self.picture), self.lines)


def words(random: np.random.Generator, count: int) -> str:
    return " ".join(random.choice(WORDS) for _ in range(count))


def line(text: str, size: int = 24, paper: int = 255, ink: int = 20, margin: int = 3) -> NDArray[np.uint8]:
    """A picture that is one line, cut out as those of the data set are."""
    wide = Paper((40 + size * len(text), 3 * size), paper, ink)
    wide.write((20, size), text, font(size))
    left, top, right, bottom = wide.lines[0]
    return np.asarray(wide.picture.crop((int(left) - margin, int(top) - margin, int(right) + margin, int(bottom) + margin)))


def receipt(size: int = 18, name: str = "DejaVuSansMono", paper: int = 255, ink: int = 20, seed: int = 1) -> Page:
    """A title, an address, a rule, items with amounts on their right, a dashed rule, totals, a farewell."""
    random, width, step = np.random.default_rng(seed), 32 * size, int(1.35 * size)
    page, small, middle, y = Paper((width, 30 * step), paper, ink), font(size, name), 16 * size, size
    page.write((middle, y), "TAN WOON YANN", font(int(1.8 * size), name), "ma")
    y += 2 * step
    for _ in range(3):
        page.write((middle, y := y + step), words(random, 4)[:36], small, "ma")
    page.pen.rectangle([size, y := y + 2 * step, width - size, y + 2], ink)
    for row in range(11):
        page.write((size, y := y + step), words(random, 2)[:20] + " :" * (row > 7), small)
        page.write((width - size, y), f"{random.uniform(0, 99):.2f}", small, "ra")
    for x in range(size, width - size, 12):
        page.pen.rectangle([x, y + 2 * step, x + 6, y + 2 * step + 1], ink)
    page.write((middle, y + 3 * step), "THANK YOU. PLEASE COME AGAIN!", small, "ma")
    return page.page()


def columns(size: int = 18, rows: int = 12) -> Page:
    """A title over two columns of prose whose lines are not at one height."""
    random, page, written = np.random.default_rng(2), Paper((56 * size, (rows + 6) * 2 * size)), font(size, "DejaVuSerif")
    page.write((3 * size, size), "A title over both of the columns", font(2 * size, "DejaVuSerif"))
    for column in (0, 1):
        for row in range(rows):
            text = words(random, 9)
            while written.getlength(text) > 24 * size:
                text = text.rpartition(" ")[0]
            page.write((3 * size + column * 27 * size, 5 * size + column * size // 2 + int(row * 1.3 * size)), text, written)
    return page.page()


def turned(page: Page, degrees: float) -> Page:
    """The same page askew: its lines rise to the right by so many degrees."""
    picture = Image.fromarray(page.grey)
    angle, middle = np.deg2rad(degrees), np.array([picture.width / 2, picture.height / 2])
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    lines = []
    for left, top, right, bottom in page.lines:
        corners = np.array([[x, y] for x in (left, right) for y in (top, bottom)])
        moved = (corners - middle) @ matrix.T + middle
        lines.append((*moved.min(0), *moved.max(0)))
    grey = picture.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=int(page.grey[0, 0]))
    return Page(np.asarray(grey), lines)
