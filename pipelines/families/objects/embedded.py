"""Ten shapes in random colours, places and sizes: generated data for tests and the demo, reproducible."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE, FINE = 32, 4  # drawn four times as fine, then reduced
Draw = ImageDraw.ImageDraw
Box = tuple[float, float, float, float]
Colour = tuple[int, int, int]


def _polygon(*corners: tuple[float, float]) -> Callable[[Draw, Box, Colour], None]:
    """A shape by its corners, in fractions of its box."""

    def draw(on: Draw, box: Box, colour: Colour) -> None:
        left, top, right, bottom = box
        on.polygon([(left + x * (right - left), top + y * (bottom - top)) for x, y in corners], fill=colour)

    return draw


def _ring(on: Draw, box: Box, colour: Colour) -> None:
    on.ellipse(box, outline=colour, width=round((box[2] - box[0]) / 5))


def _frame(on: Draw, box: Box, colour: Colour) -> None:
    on.rectangle(box, outline=colour, width=round((box[2] - box[0]) / 5))


CROSS = [(1, 0), (2, 0), (2, 1), (3, 1), (3, 2), (2, 2), (2, 3), (1, 3), (1, 2), (0, 2), (0, 1), (1, 1)]
SHAPES: dict[str, Callable[[Draw, Box, Colour], None]] = {
    "arrow": _polygon((0, 0.3), (0.5, 0.3), (0.5, 0), (1, 0.5), (0.5, 1), (0.5, 0.7), (0, 0.7)),
    "circle": lambda on, box, colour: on.ellipse(box, fill=colour),
    "cross": _polygon(*[(x / 3, y / 3) for x, y in CROSS]),
    "diamond": _polygon((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)),
    "frame": _frame,
    "hourglass": _polygon((0, 0), (1, 0), (0, 1), (1, 1)),
    "ring": _ring,
    "square": lambda on, box, colour: on.rectangle(box, fill=colour),
    "triangle": _polygon((0.5, 0), (1, 1), (0, 1)),
    "wedge": _polygon((0, 0), (1, 0.5), (0, 1)),
}


def drawn(count: int, seed: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(class, image [32, 32, 3]), the classes in turn."""
    random = np.random.default_rng(seed)
    for index in range(count):
        name = list(SHAPES)[index % len(SHAPES)]
        yield name, _picture(name, random)


def _picture(name: str, random: np.random.Generator) -> NDArray[np.uint8]:
    paper, ink = random.integers(0, 110, 3), random.integers(145, 256, 3)
    if random.random() < 0.5:
        paper, ink = ink, paper
    size = random.uniform(12, 24) * FINE
    left, top = random.uniform(2 * FINE, SIDE * FINE - size - 2 * FINE, 2)
    page = Image.new("RGB", (SIDE * FINE, SIDE * FINE), tuple(paper.tolist()))
    SHAPES[name](ImageDraw.Draw(page), (left, top, left + size, top + size), tuple(ink.tolist()))
    small = np.asarray(page.resize((SIDE, SIDE), Image.Resampling.BOX)).astype(np.int16)
    return np.clip(small + random.normal(0, 8, small.shape), 0, 255).astype(np.uint8)
