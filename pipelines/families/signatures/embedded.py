"""Drawn letters with scribbled signatures: data for tests and the demo, made here, the same every time."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.datasets import boxes
from pipelines.datasets.labelled import Labelled

LETTERS, PAGES = 40, 3  # pages of a letter
WIDTH, HEIGHT, MARGIN, LEADING = 600, 776, 60, 17  # pixels
TEXT = "the of and to we you for this lease shall term rent with by our letter enclosed please premises notice payment regards agreed"
SIGNED = {"first": (0.7, 0.2, 0.1, 0.0), "last": (0.1, 0.5, 0.25, 0.15)}  # how likely a page has 0, 1, 2, 3 signatures
PLACES = (60, 245, 430)  # left edges of signatures, pixels
INK = 2  # pixels

Curve = NDArray[np.float64]


def drawn() -> Iterator[Labelled]:
    """Three pages of each of forty letters; the last one is signed more often."""
    random = np.random.default_rng(0)
    for letter in range(LETTERS):
        for number in range(1, PAGES + 1):
            count = int(random.choice(4, p=SIGNED["last" if number == PAGES else "first"]))
            yield _page(f"reply{letter:02}", number, count, random)


def _page(letter: str, number: int, count: int, random: np.random.Generator) -> Labelled:
    paper = Image.new("L", (WIDTH, HEIGHT), int(random.integers(225, 256)))
    on, ink = ImageDraw.Draw(paper), int(random.integers(0, 70))
    below = _typed(on, random, ink)
    _ruled(on, random, ink)
    places = random.permutation(PLACES)[:count]
    found = [_signed(on, random, ink, float(place), below) for place in places]
    content = io.BytesIO()
    paper.save(content, "JPEG", quality=int(random.integers(60, 90)))
    return Labelled(f"{letter}-page{number}.jpg", letter, content.getvalue(), HEIGHT, WIDTH, False, boxes.rows(found))


def _typed(on: ImageDraw.ImageDraw, random: np.random.Generator, ink: int) -> float:
    """A head and paragraphs; returns where they end."""
    small, large = ImageFont.load_default(12), ImageFont.load_default(24)
    on.text((MARGIN + random.uniform(0, 250), 30), _words(random, 2).title(), ink, large)
    lines = int(random.integers(12, 28))
    for line in range(lines):
        if random.random() > 0.15:  # else a paragraph ends
            on.text((MARGIN, 90 + line * LEADING), _words(random, int(random.integers(8, 13))), ink, small)
    return 90.0 + lines * LEADING


def _words(random: np.random.Generator, count: int) -> str:
    return " ".join(random.choice(TEXT.split(), count))


def _ruled(on: ImageDraw.ImageDraw, random: np.random.Generator, ink: int) -> None:
    """A rule below the head on some pages, and a form's line at the foot."""
    for y in random.choice([66.0, 700.0, 720.0], int(random.integers(0, 3)), replace=False):
        on.line([(MARGIN, y), (WIDTH - MARGIN, y)], ink, int(random.integers(1, 3)))


def _signed(on: ImageDraw.ImageDraw, random: np.random.Generator, ink: int, left: float, below: float) -> boxes.Boxes:
    """A scribble over a typed name; returns its box."""
    width, height = random.uniform(80, 160), random.uniform(22, 52)
    top = below + random.uniform(10, 40)
    curve = _scribble(random) * (width, height) + (left, top)
    on.line([(x, y) for x, y in curve], ink, INK, joint="curve")
    on.text((left, top + height + 6), _words(random, 2).title(), ink, ImageFont.load_default(11))
    start, end = curve.min(0) - INK / 2, curve.max(0) + INK / 2
    return boxes.inside(np.concatenate([start, end - start]), HEIGHT, WIDTH)


def _scribble(random: np.random.Generator) -> Curve:
    """A smooth curve [n, 2] of loops that runs to the right, 0 to 1 both ways."""
    time = np.linspace(0, 1, 200)
    turns = random.uniform(3, 9, 3)
    phase, strength = random.uniform(0, 2 * np.pi, (2, 3)), random.uniform(0.2, 1, (2, 3))
    waves = np.sin(2 * np.pi * turns * time[:, None, None] + phase) * strength  # [n, 2, 3]
    curve = waves.sum(2) * (0.12, 1) + np.stack([time * 3, -0.8 * time * random.random()], 1)
    return (curve - curve.min(0)) / np.ptp(curve, axis=0)
