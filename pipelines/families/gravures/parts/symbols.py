"""Symbols as makers of lenses might engrave them, generated: NumPy and Pillow alone.

A symbol is a shape, a letter, a word or a scribble, or several of them: one inside another, beside, above, under bars or among rays. The
seed of a generator names one; `drawing.drawn` draws it by a hand that is another each time.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipelines.families.gravures.parts import shapes
from pipelines.families.gravures.parts.glyphs import GLYPHS, glyph, written
from pipelines.families.gravures.parts.strokes import (
    Random,
    Strokes,
    bounds,
    boxed,
    centred,
    fitted,
    in_column,
    in_row,
    moved,
    polyline,
    rotation,
    spline,
)

GLANCE, ALIKE = 16, 0.85  # pixels a side, and the least cosine of two symbols that are taken for one


def symbol(random: Random) -> Strokes:
    """A new symbol, its longer side from -1 to 1."""
    return _turned(_chosen(random, COMPOSITIONS)(random), random)


def composed(shape: str, word: str, place: str, random: Random) -> Strokes:
    """A shape by its name in shapes.NAMED, with a word of glyphs `inside`, `beside` or `above` it unless that is empty."""
    strokes = fitted(shapes.NAMED[shape](random))
    if word and place == "inside":
        return fitted(strokes + fitted(written(word), half=0.45))
    parts = [boxed(part, -1, -0.7, 1, 0.7) for part in ([written(word), strokes] if word else [strokes])]
    return fitted(in_row(parts[::-1], 0.4) if place == "beside" else in_column([centred(part) for part in parts], 0.4))


def beside(one: Strokes, word: str) -> Strokes:
    """A symbol with a word of glyphs on its right."""
    return in_row([fitted(one), boxed(written(word), -1, -0.5, 1, 0.5)], 0.5)


def distinct(count: int, random: Random) -> list[Strokes]:
    """`count` symbols of which no two look alike."""
    found, seen = list[Strokes](), np.zeros((count, GLANCE * GLANCE), np.float32)
    while len(found) < count:
        one = symbol(random)
        look = _glance(one)
        if (seen[: len(found)] @ look).max(initial=0) < ALIKE:
            seen[len(found)] = look
            found.append(one)
    return found


def _glance(one: Strokes) -> NDArray[np.float32]:
    """The symbol at a low resolution, as a vector [GLANCE * GLANCE] of length 1."""
    page = Image.new("L", (GLANCE * 4, GLANCE * 4))
    for stroke in fitted(one):
        ImageDraw.Draw(page).line(((stroke * 0.8 + 1) * GLANCE * 2).ravel().tolist(), 255, 4)
    blurred = page.resize((GLANCE, GLANCE), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(0.7))
    look = np.asarray(blurred, np.float32).ravel()
    return look / np.linalg.norm(look)


def _chosen(random: Random, choices: dict[Callable[[Random], Strokes], float]) -> Callable[[Random], Strokes]:
    """One of the functions, as likely as its weight."""
    weights = np.array(list(choices.values()))
    return list(choices)[int(random.choice(len(choices), p=weights / weights.sum()))]


def _turned(strokes: Strokes, random: Random) -> Strokes:
    """Sometimes stretched, mirrored or turned."""
    x, y = random.choice([1, 1, 1, 0.75], 2) * random.choice([1, 1, 1, 1, -1], 2)
    angle = random.choice([0] * 8 + [np.pi / 2, -np.pi / 2, np.pi, random.uniform(0, 2 * np.pi)])
    return fitted([stroke * (x, y) @ rotation(angle) for stroke in strokes])


def _letter(random: Random) -> Strokes:
    return glyph(str(random.choice(list(GLYPHS))))


def _scribble(random: Random) -> Strokes:
    """Strokes through a few points of a grid, like a character of an unknown alphabet."""
    strokes = Strokes()
    for _ in range(int(random.integers(1, 4))):
        points = random.integers(0, 4, (int(random.integers(2, 6)), 2)).astype(float)
        points = points[np.r_[True, (np.diff(points, axis=0) != 0).any(1)]]
        if len(points) > 1:
            strokes.append((spline if random.random() < 0.6 else polyline)(*points))
    return strokes or [polyline((0, 0), (1, 1))]


def _shape(random: Random) -> Strokes:
    return fitted(_any(random, shapes.SHAPES))


def _any(random: Random, makers: list[Callable[[Random], Strokes]]) -> Strokes:
    return makers[int(random.integers(len(makers)))](random)


def _part(random: Random) -> Strokes:
    """An element of a composition: a letter, a shape, or a scribble."""
    kind = random.random()
    return fitted(_letter(random) if kind < 0.45 else _any(random, shapes.SHAPES) if kind < 0.9 else _scribble(random))


def _word(random: Random) -> Strokes:
    """Two to four letters in a row."""
    return in_row([_letter(random) for _ in range(int(random.choice([2, 2, 3, 3, 4])))], random.uniform(0.15, 0.4))


def _inside(random: Random) -> Strokes:
    """Something in a closed shape."""
    outer, half = fitted(_any(random, shapes.CLOSED)), random.uniform(0.35, 0.55)
    inner = _word(random) if random.random() < 0.15 else _part(random)
    return outer + fitted(inner, y=random.choice([0, 0, 0.1]), half=half)


def _between(random: Random) -> Strokes:
    """Something in parentheses or brackets, or with one on one side alone."""
    left = _any(random, [shapes.parenthesis, shapes.bracket])
    left = [stroke * (-1, 1) if left[0][0, 0] < left[0][len(left[0]) // 2, 0] else stroke for stroke in left]
    right = [stroke * (-1, 1) for stroke in left]
    inner = boxed(_part(random), -0.7, -0.7, 0.7, 0.7)
    parts = [[left, inner], [inner, right], [left, inner, right], [left, inner, right]]
    return in_row(parts[int(random.integers(4))], random.uniform(0.1, 0.35))


def _beside(random: Random) -> Strokes:
    """Two to four things in a row, of equal height or not, perhaps joined by dashes."""
    count, dash = int(random.choice([2, 2, 3, 4])), random.random() < 0.3
    parts = [boxed(_part(random), -1, -1, 1, 1) for _ in range(count)]
    parts = [[stroke * random.choice([1, 1, 0.6]) for stroke in part] if random.random() < 0.3 else part for part in parts]
    joined = [parts[0]] + [one for part in parts[1:] for one in ([[polyline((-0.25, 0), (0.25, 0))], part] if dash else [part])]
    return in_row(joined, random.uniform(0.2, 0.6))


def _above(random: Random) -> Strokes:
    """Something over an arc, bars, a chevron or another thing, or below it."""
    base = _any(random, [shapes.smile, shapes.smile, shapes.bars, shapes.chevrons, shapes.wave]) if random.random() < 0.7 else _part(random)
    parts = [boxed(_part(random), -0.8, -0.8, 0.8, 0.8), boxed(base, -1.2, -0.5, 1.2, 0.5)]
    parts += [boxed(_any(random, [shapes.smile, shapes.bars]), -1, -0.3, 1, 0.3)] if random.random() < 0.2 else []
    middle = [centred(part) for part in parts]
    return in_column(middle[:: random.choice([1, -1])], random.uniform(0.15, 0.4))


def _barred(random: Random) -> Strokes:
    """A word or a thing with a bar above, below, or both."""
    inner = _word(random) if random.random() < 0.5 else _part(random)
    low, high = bounds(inner)
    bar, gap = polyline((low[0] - 0.2, 0), (high[0] + 0.2, 0)), random.uniform(0.15, 0.4)
    bars = [
        [moved(bar, 0, low[1] - gap)],
        [moved(bar, 0, high[1] + gap)],
        [moved(bar, 0, high[1] + gap), moved(bar, 0, high[1] + 2 * gap)],
    ]
    return inner + [bars[0] + bars[1], bars[0], bars[1], bars[2]][int(random.integers(4))]


def _rayed(random: Random) -> Strokes:
    """Something among rays: all around, or on a side."""
    inner, count = fitted(_part(random) if random.random() < 0.6 else shapes.circle(random), half=0.55), int(random.integers(3, 11))
    start, sweep = random.choice([0, 90, 180, 270]), random.choice([360, 360, 180, 120])
    angles = np.radians(start + sweep * np.arange(count) / (count if sweep == 360 else count - 1))
    near, far = random.uniform(0.7, 0.85), random.uniform(1.0, 1.4)
    return inner + [polyline((near * x, near * y), (far * x, far * y)) for x, y in zip(np.cos(angles), np.sin(angles), strict=True)]


def _struck(random: Random) -> Strokes:
    """Something with a line through it."""
    inner = _part(random)
    lines = [polyline((-1.2, 0), (1.2, 0)), polyline((0, -1.2), (0, 1.2)), polyline((-1, 1), (1, -1)), *shapes.wave(random)[:1]]
    return [*inner, lines[int(random.integers(len(lines)))]]


def _mirrored(random: Random) -> Strokes:
    """A thing and its mirror image, apart, touching or across each other."""
    one = _any(random, shapes.SHAPES) if random.random() < 0.7 else _scribble(random)
    one, apart = fitted(one), random.choice([0.9, 1.1, 1.3])
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
    return _part(random) + fitted(_letter(random), x=1.35 * sign, y=random.choice([-0.7, 0.7]), half=random.uniform(0.3, 0.45))


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
