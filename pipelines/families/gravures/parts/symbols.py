"""Symbols as makers of lenses might engrave them, made up out of strokes, and drawn as by hand: NumPy and Pillow alone.

A symbol is a shape, a letter, a word or a scribble, or several of them: one in another, beside, above, under bars or among rays. Each
call of `symbol` makes up another, so that a generator's seed names a kind of engraving; each call of `drawn` is another person's hand.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FINE = 3  # drawn so many times as fine, then reduced
PIECES = 8  # points of a straight line, or of a curve between two of its points
PAPER = 255
GLANCE, ALIKE = 16, 0.85  # pixels a side, and the least cosine between two symbols that are taken for one
Curve = NDArray[np.float64]  # [k, 2] of x, y; y downwards
Strokes = list[Curve]
Random = np.random.Generator

# x and y on a grid of 5 x 7, strokes parted by a bar; ~ runs smoothly through its points
GLYPHS = {
    "A": "06 20 46|14 34",
    "B": "00 06|~00 30 41 23 03|~03 33 45 26 06",
    "C": "~41 20 03 26 45",
    "D": "00 06|~00 20 43 26 06",
    "E": "40 00 06 46|03 33",
    "F": "40 00 06|03 33",
    "G": "~41 20 03 26 45|23 43 46",
    "H": "00 06|40 46|03 43",
    "I": "20 26",
    "J": "~40 44 26 05",
    "K": "00 06|40 03 46",
    "L": "00 06 46",
    "M": "06 00 23 40 46",
    "N": "06 00 46 40",
    "O": "~20 03 26 43 20",
    "P": "06 00|~00 30 42 24 04",
    "Q": "~20 03 26 43 20|34 46",
    "R": "06 00|~00 30 41 23 03|13 46",
    "S": "~41 20 01 23 45 26 05",
    "T": "00 40|20 26",
    "U": "~00 04 26 44 40",
    "V": "00 26 40",
    "W": "00 16 22 36 40",
    "X": "00 46|40 06",
    "Y": "00 23 40|23 26",
    "Z": "00 40 06 46",
    "a": "~42 22 04 26 44|42 46",
    "b": "00 06|~03 22 44 26 05",
    "d": "40 46|~43 22 04 26 45",
    "e": "~04 34 43 22 04 26 45",
    "e slanted": "~15 32 21 03 05 26 45",
    "e round": "~23 13 24 33 31 11 04 16 36 45",
    "g": "~42 22 04 25 43|~42 45 36 16",
    "h": "00 06|~04 22 43 46",
    "k": "00 06|32 04 36",
    "m": "02 06|~04 12 23 26|~24 32 43 46",
    "m script": "~05 11 15 21 25 31 35 45",
    "n": "02 06|~04 22 43 46",
    "q": "~42 22 04 25 43|42 46",
    "r": "02 06|~04 22 42",
    "s": "~42 22 13 34 26 05",
    "t": "20 25 36|02 42",
    "u": "~02 05 26 44|42 46",
    "y": "02 24|42 06",
    "1": "12 20 26",
    "2": "~01 20 41 24 06|06 46",
    "3": "~00 30 41 23|~23 44 26 05",
    "4": "30 04 44|30 36",
    "5": "40 00 02|~02 32 44 26 05",
    "6": "~30 03 05 26 44 23 04",
    "7": "00 40 16",
    "8": "~23 01 20 41 23 05 26 45 23",
    "9": "~42 20 02 24 42 26",
    "alpha": "~42 24 16 04 12 24 46",
    "lambda": "00 46|23 06",
    "omega": "06 16|~16 03 20 43 36|36 46",
    "phi": "~21 03 25 43 21|20 26",
    "pi": "01 41|11 16|31 36",
    "pi curved": "~01 11 31 41|~11 14 06|~31 34 46",
    "psi": "~00 03 24 43 40|20 26",
    "sigma": "40 00 23 06 46",
    "theta": "~20 03 26 43 20|03 43",
    "epsilon": "~41 20 02 23|~23 04 26 45",
    "L script": "~41 20 12 24 16 05 24 46",
    "f long": "~40 31 23 15 06",
    "integral": "40 30 16 06",
}


class Symbol(NamedTuple):
    """What is to be drawn: the strokes of a pen [k, 2], x and y, the larger side from -1 to 1, y downwards."""

    strokes: Strokes


def symbol(random: Random) -> Symbol:
    """Make up a symbol."""
    return Symbol(_turned(_chosen(random, COMPOSITIONS)(random), random))


def composed(shape: str, word: str, place: str, random: Random) -> Symbol:
    """A shape by its name in NAMED with a word of GLYPHS: `inside`, `beside` or `above` it; a shape alone where there is no word."""
    strokes = _fitted(NAMED[shape](random))
    if word and place == "inside":
        return Symbol(_fitted(strokes + _fitted(written(word), half=0.45)))
    parts = [_boxed(part, -1, -0.7, 1, 0.7) for part in ([written(word), strokes] if word else [strokes])]
    return Symbol(_fitted(_row(parts[::-1], 0.4) if place == "beside" else _column([_fitted_x(part) for part in parts], 0.4)))


def beside(one: Symbol, word: str) -> Symbol:
    """A symbol with a word of GLYPHS at its right."""
    return Symbol(_row([_fitted(one.strokes), _boxed(written(word), -1, -0.5, 1, 0.5)], 0.5))


def written(word: Sequence[str]) -> Strokes:
    """Characters of GLYPHS in a row."""
    return _row([_glyph(GLYPHS[character]) for character in word], 0.4)


def distinct(count: int, random: Random) -> list[Symbol]:
    """So many symbols of which no two look alike, whatever small part of the page their lines are moved by."""
    found, seen = list[Symbol](), np.zeros((count, GLANCE * GLANCE), np.float32)
    while len(found) < count:
        one = symbol(random)
        look = _glance(one)
        if (seen[: len(found)] @ look).max(initial=0) < ALIKE:
            seen[len(found)] = look
            found.append(one)
    return found


def _glance(one: Symbol) -> NDArray[np.float32]:
    """What remains of it from afar [256], of length 1."""
    page = Image.new("L", (GLANCE * 4, GLANCE * 4))
    for stroke in _fitted(one.strokes):
        ImageDraw.Draw(page).line(((stroke * 0.8 + 1) * GLANCE * 2).ravel().tolist(), 255, 4)
    blurred = page.resize((GLANCE, GLANCE), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.7))
    look = np.asarray(blurred, np.float32).ravel()
    return look / np.linalg.norm(look)


def _chosen(random: Random, choices: dict[Callable[[Random], Strokes], float]) -> Callable[[Random], Strokes]:
    """One of the functions, as likely as its weight."""
    weights = np.array(list(choices.values()))
    return list(choices)[int(random.choice(len(choices), p=weights / weights.sum()))]


def _turned(strokes: Strokes, random: Random) -> Strokes:
    """Now and then stretched, mirrored or turned: another engraving, where the engraving is not symmetric."""
    x, y = random.choice([1, 1, 1, 0.75], 2) * random.choice([1, 1, 1, 1, -1], 2)
    angle = random.choice([0] * 8 + [np.pi / 2, -np.pi / 2, np.pi, random.uniform(0, 2 * np.pi)])
    return _fitted([stroke * (x, y) @ _rotation(angle) for stroke in strokes])


# strokes


def _line(*corners: tuple[float, float]) -> Curve:
    """Straight from corner to corner."""
    ends = np.array(corners, float)
    places = np.linspace(0, len(ends) - 1, PIECES * (len(ends) - 1) + 1)
    return np.stack([np.interp(places, np.arange(len(ends)), ends[:, axis]) for axis in (0, 1)], 1)


def _smooth(points: Curve) -> Curve:
    """Through all points, as a Catmull-Rom spline; closed where the last is the first."""
    points = np.asarray(points, float)
    closed = np.allclose(points[0], points[-1])
    before, after = (points[-2], points[1]) if closed else (2 * points[0] - points[1], 2 * points[-1] - points[-2])
    all_ = np.vstack([before, points, after])
    t = np.linspace(0, 1, PIECES, endpoint=False)[:, None, None]
    p0, p1, p2, p3 = (all_[shift : len(all_) - 3 + shift] for shift in range(4))
    pieces = p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.vstack([pieces.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def _arc(start: float, end: float, x: float = 1, y: float = 1) -> Curve:
    """Part of an ellipse, in degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, end, max(5, round(abs(end - start) / 10))))
    return np.stack([x * np.cos(angles), y * np.sin(angles)], 1)


def _corners(count: int, x: float = 1, y: float = 1, first: float = -90) -> Curve:
    angles = np.radians(first + 360 * np.arange(count) / count)
    return np.stack([x * np.cos(angles), y * np.sin(angles)], 1)


def _closed(corners: Curve) -> Curve:
    return _line(*map(tuple, corners), tuple(corners[0]))


def _moved(stroke: Curve, x: float, y: float) -> Curve:
    return stroke + np.array([x, y])


def _rotation(angle: float) -> Curve:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _glyph(text: str) -> Strokes:
    """A glyph's strokes, x 0 to 4 and y 0 to 6 on its grid."""
    strokes = []
    for part in text.split("|"):
        points = np.array([[int(place[0]), int(place[1])] for place in part.lstrip("~").split()], np.float64)
        strokes.append(_smooth(points) if part.startswith("~") else _line(*map(tuple, points)))
    return [stroke / 3 - (2 / 3, 1) for stroke in strokes]


# placing


def _extent(strokes: Strokes) -> tuple[Curve, Curve]:
    points = np.vstack(strokes)
    return points.min(0), points.max(0)


def _fitted(strokes: Strokes, x: float = 0, y: float = 0, half: float = 1) -> Strokes:
    """Moved and scaled so that the larger side reaches `half` from x, y either way."""
    low, high = _extent(strokes)
    scale = 2 * half / max(*(high - low), 0.2)
    return [(stroke - (low + high) / 2) * scale + (x, y) for stroke in strokes]


def _boxed(strokes: Strokes, left: float, top: float, right: float, bottom: float) -> Strokes:
    """As large as fits into a box, in its middle."""
    low, high = _extent(strokes)
    scale = min((right - left) / max(high[0] - low[0], 0.1), (bottom - top) / max(high[1] - low[1], 0.1))
    return [(stroke - (low + high) / 2) * scale + ((left + right) / 2, (top + bottom) / 2) for stroke in strokes]


def _row(parts: list[Strokes], gap: float) -> Strokes:
    """One beside the other, at the sizes they have."""
    placed, edge = list[Curve](), 0.0
    for part in parts:
        low, high = _extent(part)
        placed += [_moved(stroke, edge - low[0], 0) for stroke in part]
        edge += high[0] - low[0] + gap
    return placed


def _column(parts: list[Strokes], gap: float) -> Strokes:
    """One below the other."""
    return [stroke[:, ::-1] for stroke in _row([[stroke[:, ::-1] for stroke in part] for part in parts], gap)]


# shapes: each fits about -1 to 1


def _circle(random: Random) -> Strokes:
    return [_arc(0, 360, 1, random.choice([1, 1, 0.6]))]


def _polygon(random: Random) -> Strokes:
    return [_closed(_corners(int(random.integers(3, 9)), 1, random.choice([1, 1, 0.65]), random.choice([-90, 90, 0, -67.5])))]


def _rectangle(random: Random) -> Strokes:
    y = random.choice([1, 0.6, 0.4])
    return [_closed(np.array([(-1, -y), (1, -y), (1, y), (-1, y)]))]


def _rounded(random: Random) -> Strokes:
    y, r = random.choice([1, 0.65]), random.uniform(0.25, 0.45)
    corners = [(1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270)]
    arcs = [_moved(_arc(start, start + 90, r, r), sx * (1 - r), sy * (y - r)) for sx, sy, start in corners]
    return [np.vstack([*arcs, arcs[0][:1]])]


def _triangle(random: Random) -> Strokes:
    return [_closed(np.array([(random.choice([-0.8, 0, 0, 0.8]), -1), (0.8, 0.8), (-0.8, 0.8)]))]


def _diamond(random: Random) -> Strokes:
    return [_closed(_corners(4, random.choice([1, 0.6]), random.choice([1, 0.6])))]


def _star(random: Random) -> Strokes:
    count, inner = int(random.integers(3, 12)), random.uniform(0.35, 0.7)
    corners = np.stack([_corners(count), inner * _corners(count, first=-90 + 180 / count)], 1).reshape(-1, 2)
    return [_closed(corners * (1, random.choice([1, 1, 0.6])))]


def _asterisk(random: Random) -> Strokes:
    ends = _corners(2 * int(random.integers(2, 5)), first=random.choice([0, -90, -67.5]))
    half = len(ends) // 2
    return [_line(tuple(ends[index]), tuple(ends[index + half])) for index in range(half)]


def _eye(random: Random) -> Strokes:
    y = random.uniform(0.4, 0.8)
    lids = [_smooth(np.array([(-1, 0), (0, sign * y), (1, 0)])) for sign in (-1, 1)]
    return lids[: random.choice([1, 2, 2, 2])] + ([_arc(0, 360, 0.25, 0.25)] if random.random() < 0.4 else [])


def _smile(random: Random) -> Strokes:
    depth = random.uniform(0.25, 0.9)
    return [_arc(10, 170, 1, depth)] if random.random() < 0.7 else [_arc(190, 350, 1, depth)]


def _parenthesis(random: Random) -> Strokes:
    return [_arc(-75, 75, random.uniform(0.3, 0.6), 1)]


def _open_ring(random: Random) -> Strokes:
    """A circle of which a part, or two, are missing."""
    count, gap, first = int(random.integers(1, 4)), random.uniform(30, 100), random.uniform(0, 360)
    each = 360 / count
    return [_arc(first + each * index, first + each * (index + 1) - min(gap, each * 0.6)) for index in range(count)]


def _chevrons(random: Random) -> Strokes:
    count, rise, gap = int(random.integers(1, 4)), random.uniform(0.4, 0.9), random.uniform(0.3, 0.5)
    return [_line((-1, gap * index), (0, gap * index - rise), (1, gap * index)) for index in range(count)]


def _wave(random: Random) -> Strokes:
    count, height = int(random.integers(3, 7)), random.uniform(0.2, 0.6)
    points = np.stack([np.linspace(-1, 1, count), height * (-1.0) ** np.arange(count)], 1)
    wave = _smooth(points) if random.random() < 0.6 else _line(*map(tuple, points))
    return [_moved(wave, 0, 0.45 * index) for index in range(random.choice([1, 1, 2, 3]))]


def _spiral(random: Random) -> Strokes:
    turns = random.uniform(1.3, 3)
    angles = np.linspace(0, 2 * np.pi * turns, round(20 * turns)) + random.uniform(0, 6)
    return [np.stack([np.cos(angles), np.sin(angles)], 1) * np.linspace(0.08, 1, len(angles))[:, None]]


def _arrow(random: Random) -> Strokes:
    size, shaft = random.uniform(0.25, 0.5), [_line((-1, 0), (1, 0)), _moved(_arc(200, 340, 1, 0.7), 0, 0.24)]
    heads = [_line((1 - size, -size), (1, 0), (1 - size, size))]
    heads += [heads[0] * (-1, 1)] if random.random() < 0.3 else []
    return [shaft[int(random.random() < 0.2)], *heads]


def _bars(random: Random) -> Strokes:
    count, gap = int(random.integers(1, 5)), random.uniform(0.3, 0.6)
    lengths = random.choice([1, 1, 0.6, 0.3], count)
    return [_line((-length, gap * index), (length, gap * index)) for index, length in enumerate(lengths)]


def _cross(random: Random) -> Strokes:
    high, low = random.choice([1, 1, 0.6]), random.choice([0, 0, -0.4])
    return [_line((0, -high), (0, high)), _line((-1, low), (1, low))]


def _target(random: Random) -> Strokes:
    """Rings in each other, whole or half."""
    sweep = random.choice([360, 360, 180, 90])
    return [_arc(-sweep / 2, sweep / 2, radius, radius) for radius in np.linspace(0.3, 1, int(random.integers(2, 5)))]


def _crescent(random: Random) -> Strokes:
    inner = random.uniform(0.3, 0.75)
    outer = _arc(60, 300)
    return [np.vstack([outer, _arc(-90, 90, -inner, 0.86)[1:] * (1, 1) + (0.5, 0), outer[:1]])]


def _heart(_: Random) -> Strokes:
    half = _smooth(np.array([(0, -0.5), (-0.5, -0.9), (-1, -0.4), (-0.6, 0.3), (0, 1)]))
    return [half, half * (-1, 1)]


def _drop(random: Random) -> Strokes:
    lean = random.choice([0, 0.4, 0.8])
    return [np.vstack([_line((lean, -1.3), (0.6, -0.2)), _arc(-15, 195, 0.65, 0.65), _line((-0.6, -0.2), (lean, -1.3))])]


def _leaf(random: Random) -> Strokes:
    """A stem with twigs on one side or both."""
    count, sides = int(random.integers(2, 5)), random.choice([1, 2])
    twigs = [_line((0, y), (sign * 0.6, y - 0.5)) for y in np.linspace(-0.4, 0.9, count) for sign in (1, -1)[:sides]]
    return [_line((0, -1), (0, 1)), *twigs]


def _bell(random: Random) -> Strokes:
    hood = _smooth(np.array([(-0.9, 0.7), (-0.6, 0.3), (-0.5, -0.5), (0, -1), (0.5, -0.5), (0.6, 0.3), (0.9, 0.7)]))
    return [hood, _line((-0.9, 0.7), (0.9, 0.7)), _moved(_arc(0, 180, 0.2, 0.25), 0, 0.7)][: int(random.integers(2, 4))]


def _umbrella(random: Random) -> Strokes:
    hook = _smooth(np.array([(0, -0.2), (0, 0.8), (0.2, 1), (0.4, 0.8)]))
    return [_arc(180, 360, 1, 0.8), _line((-1, 0), (1, 0)), hook][: int(random.integers(2, 4))]


def _fish(random: Random) -> Strokes:
    body = _smooth(np.array([(0.6, -0.4), (-0.1, 0.45), (-1, 0), (-0.1, -0.45), (0.6, 0.4)]))
    return [body, _line((0.6, -0.4), (0.6, 0.4)), _moved(_arc(0, 360, 0.08, 0.08), -0.6, -0.1)][: int(random.integers(1, 4))]


def _key(random: Random) -> Strokes:
    teeth = [_line((x, 0), (x, random.uniform(0.2, 0.45))) for x in np.linspace(0.4, 0.9, int(random.integers(1, 4)))]
    return [_moved(_arc(0, 360, 0.4, 0.4), -0.6, 0), _line((-0.2, 0), (0.9, 0)), *teeth]


def _flag(random: Random) -> Strokes:
    cloth = [_line((-0.5, -1), (0.6, -0.6), (-0.5, -0.2)), _line((-0.5, -1), (0.7, -1), (0.7, -0.3), (-0.5, -0.3))]
    return [_line((-0.5, -1), (-0.5, 1)), cloth[int(random.integers(2))]]


def _boat(random: Random) -> Strokes:
    sail = [_closed(np.array([(0, -1), (0.6, 0.1), (0, 0.1)])), _closed(np.array([(0, -0.9), (-0.5, 0.1), (0, 0.1)]))]
    return [_closed(np.array([(-1, 0.3), (1, 0.3), (0.6, 0.8), (-0.6, 0.8)])), *sail[: int(random.integers(1, 3))]]


def _anchor(random: Random) -> Strokes:
    bar = [_line((-0.4, -0.3), (0.4, -0.3))] if random.random() < 0.6 else []
    return [_moved(_arc(0, 360, 0.2, 0.2), 0, -0.8), _line((0, -0.6), (0, 0.9)), _moved(_arc(0, 180, 0.8, 0.7), 0, 0.2), *bar]


def _ladder(random: Random) -> Strokes:
    rungs = [_line((-0.4, y), (0.4, y)) for y in np.linspace(-0.7, 0.7, int(random.integers(2, 5)))]
    return [_line((-0.4, -1), (-0.4, 1)), _line((0.4, -1), (0.4, 1)), *rungs]


def _glasses(random: Random) -> Strokes:
    x, size = random.uniform(0.5, 0.7), random.uniform(0.3, 0.45)
    ring = _arc(0, 360, size, size) if random.random() < 0.6 else _closed(size * np.array([(-1, -0.7), (1, -0.7), (0.8, 0.8), (-0.8, 0.8)]))
    return [ring - (x, 0), _moved(ring, x, 0), _arc(200, 340, x - size, 0.15)]


def _fruit(random: Random) -> Strokes:
    """One or two rings that hang from a stem, perhaps with a leaf."""
    places = [(0, 0.5)] if random.random() < 0.5 else [(-0.5, 0.5), (0.5, 0.5)]
    stems = [_smooth(np.array([(x, y - 0.4), (x * 0.4, -0.4), (0.3, -1)])) for x, y in places]
    leaf = [_smooth(np.array([(0.3, -1), (0.7, -1.1), (1, -0.7), (0.6, -0.7), (0.3, -1)]))] if random.random() < 0.5 else []
    return [_arc(0, 360, 0.4, 0.4) + place for place in places] + stems + leaf


def _tree(random: Random) -> Strokes:
    crown = [_closed(np.array([(0, -1), (0.7, 0.3), (-0.7, 0.3)])), _moved(_arc(0, 360, 0.65, 0.6), 0, -0.4)][int(random.integers(2))]
    return [crown, _line((0, 0.25), (0, 1)), _line((-0.5, 1), (0.5, 1))][: int(random.integers(2, 4))]


def _face(random: Random) -> Strokes:
    marks = [_arc(20, 160, 0.45, 0.4), _moved(_arc(0, 360, 0.08, 0.08), -0.35, -0.3), _moved(_arc(0, 360, 0.08, 0.08), 0.35, -0.3)]
    return [_arc(0, 360)] + [mark * (1, random.choice([1, -1])) for mark in marks]


def _half_moon(random: Random) -> Strokes:
    return [_line((0, -1), (0, 1)), _arc(-90, 90, random.uniform(0.7, 1.2), 1)]


def _hourglass(random: Random) -> Strokes:
    return [_closed(np.array([(-0.7, -1), (0.7, -1), (-0.7, 1), (0.7, 1)]) * (random.choice([1, -1]), 1))]


def _bolt(random: Random) -> Strokes:
    x = random.uniform(0.2, 0.5)
    return [_line((x, -1), (-x, 0.1), (x, -0.1), (-x, 1))]


def _endless(random: Random) -> Strokes:
    t = np.linspace(0, 2 * np.pi, 40)
    return [np.stack([np.sin(t), random.uniform(0.4, 0.7) * np.sin(2 * t)], 1)]


def _house(random: Random) -> Strokes:
    walls = _line((-0.8, -0.1), (-0.8, 1), (0.8, 1), (0.8, -0.1))
    return [walls, _line((-1, 0), (0, -1), (1, 0))] + (
        [_line((-0.2, 1), (-0.2, 0.4), (0.2, 0.4), (0.2, 1))] if random.random() < 0.4 else []
    )


def _petals(random: Random) -> Strokes:
    """Open or closed loops around the middle."""
    count, sweep = int(random.integers(2, 6)), random.choice([360, 240, 200])
    first = random.choice([-90, 0, 45])
    each = [_moved(_arc(-sweep / 2, sweep / 2, 0.42, 0.38), 0.58, 0) for _ in range(count)]
    return [petal @ _rotation(np.radians(first + 360 * index / count)) for index, petal in enumerate(each)]


def _rails(random: Random) -> Strokes:
    """Two or three parallel lines that bend alike."""
    bend = _smooth(np.stack([random.uniform(-0.5, 0.5, 4), np.linspace(-1, 1, 4)], 1))
    return [_moved(bend, gap, 0) for gap in np.linspace(-0.4, 0.4, int(random.integers(2, 4)))]


def _bracket(random: Random) -> Strokes:
    depth, kind = random.uniform(0.3, 0.6), random.integers(3)
    if kind == 0:
        return [_line((depth, -1), (0, -1), (0, 1), (depth, 1))]
    middle = [(depth, -1), (0, 0), (depth, 1)]
    return [_line(*middle)] if kind == 1 else [_line((depth, -1), (0, -0.6), (0, 0.6), (depth, 1))]


def _fork(random: Random) -> Strokes:
    count = int(random.integers(2, 5))
    prongs = [_line((x, -1), (x, 0)) for x in np.linspace(-0.7, 0.7, count)]
    return [*prongs, _line((-0.7, 0), (0.7, 0)), _line((0, 0), (0, 1))]


def _stairs(random: Random) -> Strokes:
    count = int(random.integers(2, 5))
    corners = [(float((index + 1) // 2), -float(index // 2)) for index in range(2 * count)]
    return [_line(*corners)]


def _grid(random: Random) -> Strokes:
    count, open_ = int(random.integers(2, 4)), random.random() < 0.5
    places = np.linspace(-1, 1, count + 2)[1:-1] if open_ else np.linspace(-1, 1, count + 1)
    return [_line((-1, at), (1, at)) for at in places] + [_line((at, -1), (at, 1)) for at in places]


def _dots(random: Random) -> Strokes:
    """Small rings in a row, on a circle, or as the corners of a shape."""
    count, size = int(random.integers(2, 6)), random.uniform(0.12, 0.28)
    places = _corners(count) if random.random() < 0.6 else np.stack([np.linspace(-1, 1, count), np.zeros(count)], 1)
    return [_arc(0, 360, size, size) + place for place in places]


def _figure(_: Random) -> Strokes:
    """A person of lines."""
    limbs = [_line((-0.5, -0.1), (0, -0.3), (0.5, -0.1)), _line((-0.4, 1), (0, 0.3), (0.4, 1))]
    return [_moved(_arc(0, 360, 0.25, 0.25), 0, -0.75), _line((0, -0.5), (0, 0.3)), *limbs]


def _blob(random: Random) -> Strokes:
    """A closed curve of no name, such as the outline of an animal."""
    count = int(random.integers(5, 10))
    corners = _corners(count) * random.uniform(0.45, 1, (count, 1))
    closed = np.vstack([corners, corners[:1]])
    return [_smooth(closed) if random.random() < 0.7 else _line(*map(tuple, closed))]


def _scribble(random: Random) -> Strokes:
    """Strokes through a few points of a grid: a character of no alphabet."""
    strokes = list[Curve]()
    for _ in range(int(random.integers(1, 4))):
        points = random.integers(0, 4, (int(random.integers(2, 6)), 2)).astype(float)
        points = points[np.r_[True, (np.diff(points, axis=0) != 0).any(1)]]
        if len(points) > 1:
            strokes.append(_smooth(points) if random.random() < 0.6 else _line(*map(tuple, points)))
    return strokes or [_line((0, 0), (1, 1))]


def _letter(random: Random) -> Strokes:
    return _glyph(GLYPHS[str(random.choice(list(GLYPHS)))])


CLOSED = [_circle, _polygon, _rectangle, _rounded, _triangle, _diamond, _star, _eye, _blob, _open_ring, _heart, _house]
OPEN = [
    *(_anchor, _arrow, _asterisk, _bars, _bell, _boat, _bolt, _bracket, _chevrons, _crescent, _cross, _dots, _drop, _endless, _face),
    *(_figure, _fish, _flag, _fork, _fruit, _glasses, _grid, _half_moon, _hourglass, _key, _ladder, _leaf, _parenthesis, _petals, _rails),
    *(_smile, _spiral, _stairs, _target, _tree, _umbrella, _wave),
]
SHAPES = [*CLOSED, *OPEN]
NAMED = {shape.__name__.strip("_"): shape for shape in SHAPES}


# compositions


def _shape(random: Random) -> Strokes:
    return _fitted(_any(random, SHAPES))


def _any(random: Random, makers: list[Callable[[Random], Strokes]]) -> Strokes:
    return makers[int(random.integers(len(makers)))](random)


def _part(random: Random) -> Strokes:
    """What a composition is made of: a letter, a shape, or a scribble."""
    kind = random.random()
    return _fitted(_letter(random) if kind < 0.45 else _any(random, SHAPES) if kind < 0.9 else _scribble(random))


def _word(random: Random) -> Strokes:
    """Two to four letters in a row."""
    return _row([_letter(random) for _ in range(int(random.choice([2, 2, 3, 3, 4])))], random.uniform(0.15, 0.4))


def _inside(random: Random) -> Strokes:
    """Something in a closed shape."""
    outer, half = _fitted(_any(random, CLOSED)), random.uniform(0.35, 0.55)
    inner = _word(random) if random.random() < 0.15 else _part(random)
    return outer + _fitted(inner, y=random.choice([0, 0, 0.1]), half=half)


def _between(random: Random) -> Strokes:
    """Something in parentheses or brackets, or with one on one side alone."""
    left = _any(random, [_parenthesis, _bracket])
    left = [stroke * (-1, 1) if left[0][0, 0] < left[0][len(left[0]) // 2, 0] else stroke for stroke in left]
    right = [stroke * (-1, 1) for stroke in left]
    inner = _boxed(_part(random), -0.7, -0.7, 0.7, 0.7)
    parts = [[left, inner], [inner, right], [left, inner, right], [left, inner, right]]
    return _row(parts[int(random.integers(4))], random.uniform(0.1, 0.35))


def _beside(random: Random) -> Strokes:
    """Two to four things in a row, of equal height or not, perhaps joined by dashes."""
    count, dash = int(random.choice([2, 2, 3, 4])), random.random() < 0.3
    parts = [_boxed(_part(random), -1, -1, 1, 1) for _ in range(count)]
    parts = [[stroke * random.choice([1, 1, 0.6]) for stroke in part] if random.random() < 0.3 else part for part in parts]
    joined = [parts[0]] + [one for part in parts[1:] for one in ([[_line((-0.25, 0), (0.25, 0))], part] if dash else [part])]
    return _row(joined, random.uniform(0.2, 0.6))


def _above(random: Random) -> Strokes:
    """Something over an arc, bars, a chevron or another thing, or below it."""
    base = _any(random, [_smile, _smile, _bars, _chevrons, _wave]) if random.random() < 0.7 else _part(random)
    parts = [_boxed(_part(random), -0.8, -0.8, 0.8, 0.8), _boxed(base, -1.2, -0.5, 1.2, 0.5)]
    parts += [_boxed(_any(random, [_smile, _bars]), -1, -0.3, 1, 0.3)] if random.random() < 0.2 else []
    middle = [_fitted_x(part) for part in parts]
    return _column(middle[:: random.choice([1, -1])], random.uniform(0.15, 0.4))


def _fitted_x(strokes: Strokes) -> Strokes:
    low, high = _extent(strokes)
    return [stroke - ((low[0] + high[0]) / 2, 0) for stroke in strokes]


def _barred(random: Random) -> Strokes:
    """A word or a thing with a bar above, below, or both."""
    inner = _word(random) if random.random() < 0.5 else _part(random)
    low, high = _extent(inner)
    bar, gap = _line((low[0] - 0.2, 0), (high[0] + 0.2, 0)), random.uniform(0.15, 0.4)
    bars = [
        [_moved(bar, 0, low[1] - gap)],
        [_moved(bar, 0, high[1] + gap)],
        [_moved(bar, 0, high[1] + gap), _moved(bar, 0, high[1] + 2 * gap)],
    ]
    return inner + [bars[0] + bars[1], bars[0], bars[1], bars[2]][int(random.integers(4))]


def _rayed(random: Random) -> Strokes:
    """Something among rays: all around, or on a side."""
    inner, count = _fitted(_part(random) if random.random() < 0.6 else _circle(random), half=0.55), int(random.integers(3, 11))
    start, sweep = random.choice([0, 90, 180, 270]), random.choice([360, 360, 180, 120])
    angles = np.radians(start + sweep * np.arange(count) / (count if sweep == 360 else count - 1))
    near, far = random.uniform(0.7, 0.85), random.uniform(1.0, 1.4)
    return inner + [_line((near * x, near * y), (far * x, far * y)) for x, y in zip(np.cos(angles), np.sin(angles), strict=True)]


def _struck(random: Random) -> Strokes:
    """Something with a line through it."""
    inner = _part(random)
    lines = [_line((-1.2, 0), (1.2, 0)), _line((0, -1.2), (0, 1.2)), _line((-1, 1), (1, -1)), *_wave(random)[:1]]
    return [*inner, lines[int(random.integers(len(lines)))]]


def _mirrored(random: Random) -> Strokes:
    """A thing and its mirror image, apart, touching or across each other."""
    one = _any(random, SHAPES) if random.random() < 0.7 else _scribble(random)
    one, apart = _fitted(one), random.choice([0.9, 1.1, 1.3])
    both = [stroke - (apart, 0) for stroke in one] + [stroke * (-1, 1) + (apart, 0) for stroke in one]
    return both if random.random() < 0.7 else [stroke[:, ::-1] for stroke in both]


def _nested(random: Random) -> Strokes:
    """A shape in itself, or two of one kind that overlap."""
    one, scale = _shape(random), random.uniform(0.4, 0.75)
    shift = random.choice([0, 0, 0.3, 0.8], 2)
    return one + [stroke * scale + shift for stroke in one]


def _corner_marked(random: Random) -> Strokes:
    """A thing with a small letter at its upper or lower right, or left."""
    sign = random.choice([1, -1, 1])
    return _part(random) + _fitted(_letter(random), x=1.35 * sign, y=random.choice([-0.7, 0.7]), half=random.uniform(0.3, 0.45))


def _reduced(random: Random) -> Strokes:
    """A composition of which a stroke is missing, or only partly there."""
    strokes = _chosen(random, {make: weight for make, weight in COMPOSITIONS.items() if make is not _reduced})(random)
    which = int(random.integers(len(strokes)))
    kept = strokes[which][int(len(strokes[which]) * random.uniform(0.2, 0.5)) :]
    others = strokes[:which] + strokes[which + 1 :]
    return others if others and random.random() < 0.4 else [*others, kept] if len(kept) > 2 else strokes


COMPOSITIONS: dict[Callable[[Random], Strokes], float] = {
    _shape: 1.5,
    _letter: 0.3,
    _scribble: 1.5,
    _word: 1.5,
    _inside: 3,
    _between: 1.5,
    _beside: 3,
    _above: 3,
    _barred: 1,
    _rayed: 1.5,
    _struck: 1,
    _mirrored: 1.5,
    _nested: 1,
    _corner_marked: 1,
    _reduced: 1.5,
}


# on paper


def printed(strokes: Strokes, height: int, width: int) -> NDArray[np.uint8]:
    """As a maker prints it, grey [height, width]: even lines, dark on white, as large as fits."""
    page = Image.new("L", (width * FINE, height * FINE), PAPER)
    for stroke in _boxed(strokes, *(FINE * edge for edge in (0.1 * width, 0.1 * height, 0.9 * width, 0.9 * height))):
        ImageDraw.Draw(page).line(stroke.ravel().tolist(), 0, FINE * 3, joint="curve")
    return np.asarray(page.reduce(FINE))


class Hand(NamedTuple):
    """How unsteady: of the symbol's half side unless said otherwise, standard deviations of what is drawn anew for each drawing."""

    place: float = 0.035  # of each stroke
    size: float = 0.07  # of each stroke, a factor
    turn: float = 0.06  # of each stroke, radians
    wobble: float = 0.018  # along a stroke
    drift: float = 0.05  # of a stroke's end
    bend: float = 0.05  # of the whole
    aspect: float = 0.13  # of the whole, a factor
    slant: float = 0.08  # of the whole
    lean: float = 0.06  # of the whole, radians


HAND = Hand()


def drawn(symbol: Symbol, random: Random, side: int = 64, hand: Hand = HAND) -> NDArray[np.uint8]:
    """One person's drawing of it on a canvas, grey [side, side]: dark lines of one or two pixels, antialiased, on white paper."""
    strokes = _by_hand(symbol.strokes, random, hand)
    size, fine = random.uniform(0.25, 0.42) * side * FINE, side * FINE
    room = fine / 2 - size * 1.1
    middle = fine / 2 + random.uniform(-0.5, 0.5, 2) * room
    page = Image.new("L", (fine, fine), PAPER)
    draw, ink = ImageDraw.Draw(page), int(random.choice([0, 0, 40, 80]))
    width = round(random.uniform(0.8, 1.9) * FINE * side / 64)
    for stroke in strokes:
        draw.line((stroke * size + middle).ravel().tolist(), ink, width, joint=None)
    return np.asarray(page.reduce(FINE))


def _by_hand(strokes: Strokes, random: Random, hand: Hand) -> Strokes:
    """The strokes as a hand draws them, the larger side from about -1 to 1."""
    lengths = [len(stroke) for stroke in strokes]
    points, of = np.vstack(strokes), np.repeat(np.arange(len(strokes)), lengths)
    along = np.concatenate([np.linspace(0, 1, length) for length in lengths])[:, None]
    points = _shaken(points, of, along, len(strokes), random, hand)
    points = points + hand.bend * _waves(points, random)
    stretch = np.exp(random.normal(0, hand.aspect))
    slant = np.array([[stretch, 0], [random.normal(0, hand.slant), 1 / stretch]])
    points = points @ slant @ _rotation(random.normal(0, hand.lean))
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (2 / (high - low).max())
    return np.split(points, np.cumsum(lengths)[:-1])


def _shaken(points: Curve, of: NDArray[np.int_], along: Curve, count: int, random: Random, hand: Hand) -> Curve:
    """Each stroke moved, sized and turned a little about its middle, wobbling, and ending elsewhere than it should."""
    middles = np.stack([np.bincount(of, points[:, axis]) for axis in (0, 1)], 1) / np.bincount(of)[:, None]
    place, drift = random.normal(0, 1, (2, count, 2)) * np.array([hand.place, hand.drift])[:, None, None]
    size, turn = np.exp(random.normal(0, hand.size, (count, 1))), random.normal(0, hand.turn, (count, 1))
    offset = (points - middles[of]) * size[of]
    turned = offset + turn[of] * offset[:, ::-1] * (-1, 1)
    phase, speed = random.uniform(0, 2 * np.pi, (count, 2)), random.uniform(1, 4, (count, 2))
    wobble = hand.wobble * np.sin(phase[of] + 2 * np.pi * speed[of] * along)
    return middles[of] + place[of] + turned + wobble + drift[of] * (along - 0.5)


def _waves(points: Curve, random: Random) -> Curve:
    """A smooth field over the page, about -1 to 1."""
    direction, phase = random.normal(0, 2, (2, 2)), random.uniform(0, 2 * np.pi, 2)
    return np.sin(points @ direction + phase)
