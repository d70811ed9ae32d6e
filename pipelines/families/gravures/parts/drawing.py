"""Symbols on paper: printed evenly, or drawn by an unsteady hand."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.gravures.parts.strokes import Curve, Random, Strokes, boxed, rotation

FINE = 3  # drawn so many times as fine, then reduced
PAPER = 255
# Standard deviations of what is drawn anew for each drawing, in half sides of the symbol unless said otherwise.
PLACE, SIZE, TURN = 0.035, 0.07, 0.06  # of each stroke; SIZE is a factor, TURN radians
WOBBLE, DRIFT = 0.018, 0.05  # along a stroke, of its end
BEND, ASPECT, SLANT, LEAN = 0.05, 0.13, 0.08, 0.06  # of the symbol; ASPECT is a factor, LEAN radians


def printed(strokes: Strokes, height: int, width: int) -> NDArray[np.uint8]:
    """As a maker prints it, grey [height, width]: even dark lines on white, as large as fits."""
    page = Image.new("L", (width * FINE, height * FINE), PAPER)
    for stroke in boxed(strokes, *(FINE * edge for edge in (0.1 * width, 0.1 * height, 0.9 * width, 0.9 * height))):
        ImageDraw.Draw(page).line(stroke.ravel().tolist(), 0, FINE * 3, joint="curve")
    return np.asarray(page.reduce(FINE))


def drawn(symbol: Strokes, random: Random, side: int = 64) -> NDArray[np.uint8]:
    """One person's drawing on a canvas, grey [side, side]: dark lines of one or two pixels, antialiased, on white paper."""
    strokes = _by_hand(symbol, random)
    size, fine = random.uniform(0.25, 0.42) * side * FINE, side * FINE
    middle = fine / 2 + random.uniform(-0.5, 0.5, 2) * (fine / 2 - size * 1.1)
    page = Image.new("L", (fine, fine), PAPER)
    draw, ink = ImageDraw.Draw(page), int(random.choice([0, 0, 40, 80]))
    width = round(random.uniform(0.8, 1.9) * FINE * side / 64)
    for stroke in strokes:
        draw.line((stroke * size + middle).ravel().tolist(), ink, width, joint=None)
    return np.asarray(page.reduce(FINE))


def _by_hand(strokes: Strokes, random: Random) -> Strokes:
    """The strokes as a hand draws them, the larger side from about -1 to 1."""
    lengths = [len(stroke) for stroke in strokes]
    points, of = np.vstack(strokes), np.repeat(np.arange(len(strokes)), lengths)
    along = np.concatenate([np.linspace(0, 1, length) for length in lengths])[:, None]
    points = _shaken(points, of, along, len(strokes), random)
    points = points + BEND * _waves(points, random)
    stretch = np.exp(random.normal(0, ASPECT))
    slant = np.array([[stretch, 0], [random.normal(0, SLANT), 1 / stretch]])
    points = points @ slant @ rotation(random.normal(0, LEAN))
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (2 / (high - low).max())
    return np.split(points, np.cumsum(lengths)[:-1])


def _shaken(points: Curve, of: NDArray[np.int_], along: Curve, count: int, random: Random) -> Curve:
    """Each stroke moved, sized and turned a little about its middle, wobbling, and ending elsewhere than it should."""
    middles = np.stack([np.bincount(of, points[:, axis]) for axis in (0, 1)], 1) / np.bincount(of)[:, None]
    place, drift = random.normal(0, 1, (2, count, 2)) * np.array([PLACE, DRIFT])[:, None, None]
    size, turn = np.exp(random.normal(0, SIZE, (count, 1))), random.normal(0, TURN, (count, 1))
    offset = (points - middles[of]) * size[of]
    turned = offset + turn[of] * offset[:, ::-1] * (-1, 1)
    phase, speed = random.uniform(0, 2 * np.pi, (count, 2)), random.uniform(1, 4, (count, 2))
    wobble = WOBBLE * np.sin(phase[of] + 2 * np.pi * speed[of] * along)
    return middles[of] + place[of] + turned + wobble + drift[of] * (along - 0.5)


def _waves(points: Curve, random: Random) -> Curve:
    """A smooth field over the page, about -1 to 1."""
    direction, phase = random.normal(0, 2, (2, 2)), random.uniform(0, 2 * np.pi, 2)
    return np.sin(points @ direction + phase)
