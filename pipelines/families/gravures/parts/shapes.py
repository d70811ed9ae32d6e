"""Geometric shapes and simple drawings; each fits about -1 to 1."""

import numpy as np

from pipelines.families.gravures.parts.strokes import Random, Strokes, arc, moved, outline, polyline, rotation, spline, vertices


def circle(random: Random) -> Strokes:
    return [arc(0, 360, 1, random.choice([1, 1, 0.6]))]


def polygon(random: Random) -> Strokes:
    return [outline(*vertices(int(random.integers(3, 9)), 1, random.choice([1, 1, 0.65]), random.choice([-90, 90, 0, -67.5])))]


def rectangle(random: Random) -> Strokes:
    y = random.choice([1, 0.6, 0.4])
    return [outline((-1, -y), (1, -y), (1, y), (-1, y))]


def rounded(random: Random) -> Strokes:
    y, r = random.choice([1, 0.65]), random.uniform(0.25, 0.45)
    corners = [(1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270)]
    arcs = [moved(arc(start, start + 90, r, r), sx * (1 - r), sy * (y - r)) for sx, sy, start in corners]
    return [np.vstack([*arcs, arcs[0][:1]])]


def triangle(random: Random) -> Strokes:
    return [outline((random.choice([-0.8, 0, 0, 0.8]), -1), (0.8, 0.8), (-0.8, 0.8))]


def diamond(random: Random) -> Strokes:
    return [outline(*vertices(4, random.choice([1, 0.6]), random.choice([1, 0.6])))]


def star(random: Random) -> Strokes:
    count, inner = int(random.integers(3, 12)), random.uniform(0.35, 0.7)
    corners = np.stack([vertices(count), inner * vertices(count, first=-90 + 180 / count)], 1).reshape(-1, 2)
    return [outline(*(corners * (1, random.choice([1, 1, 0.6]))))]


def asterisk(random: Random) -> Strokes:
    ends = vertices(2 * int(random.integers(2, 5)), first=random.choice([0, -90, -67.5]))
    half = len(ends) // 2
    return [polyline(ends[index], ends[index + half]) for index in range(half)]


def eye(random: Random) -> Strokes:
    y = random.uniform(0.4, 0.8)
    lids = [spline((-1, 0), (0, sign * y), (1, 0)) for sign in (-1, 1)]
    return lids[: random.choice([1, 2, 2, 2])] + ([arc(0, 360, 0.25, 0.25)] if random.random() < 0.4 else [])


def smile(random: Random) -> Strokes:
    depth = random.uniform(0.25, 0.9)
    return [arc(10, 170, 1, depth)] if random.random() < 0.7 else [arc(190, 350, 1, depth)]


def parenthesis(random: Random) -> Strokes:
    return [arc(-75, 75, random.uniform(0.3, 0.6), 1)]


def open_ring(random: Random) -> Strokes:
    """A circle with one to three gaps."""
    count, gap, first = int(random.integers(1, 4)), random.uniform(30, 100), random.uniform(0, 360)
    each = 360 / count
    return [arc(first + each * index, first + each * (index + 1) - min(gap, each * 0.6)) for index in range(count)]


def chevrons(random: Random) -> Strokes:
    count, rise, gap = int(random.integers(1, 4)), random.uniform(0.4, 0.9), random.uniform(0.3, 0.5)
    return [polyline((-1, gap * index), (0, gap * index - rise), (1, gap * index)) for index in range(count)]


def wave(random: Random) -> Strokes:
    count, height = int(random.integers(3, 7)), random.uniform(0.2, 0.6)
    points = np.stack([np.linspace(-1, 1, count), height * (-1.0) ** np.arange(count)], 1)
    wave = (spline if random.random() < 0.6 else polyline)(*points)
    return [moved(wave, 0, 0.45 * index) for index in range(random.choice([1, 1, 2, 3]))]


def spiral(random: Random) -> Strokes:
    turns = random.uniform(1.3, 3)
    angles = np.linspace(0, 2 * np.pi * turns, round(20 * turns)) + random.uniform(0, 6)
    return [np.stack([np.cos(angles), np.sin(angles)], 1) * np.linspace(0.08, 1, len(angles))[:, None]]


def arrow(random: Random) -> Strokes:
    size, shaft = random.uniform(0.25, 0.5), [polyline((-1, 0), (1, 0)), moved(arc(200, 340, 1, 0.7), 0, 0.24)]
    heads = [polyline((1 - size, -size), (1, 0), (1 - size, size))]
    heads += [heads[0] * (-1, 1)] if random.random() < 0.3 else []
    return [shaft[int(random.random() < 0.2)], *heads]


def bars(random: Random) -> Strokes:
    count, gap = int(random.integers(1, 5)), random.uniform(0.3, 0.6)
    lengths = random.choice([1, 1, 0.6, 0.3], count)
    return [polyline((-length, gap * index), (length, gap * index)) for index, length in enumerate(lengths)]


def cross(random: Random) -> Strokes:
    high, low = random.choice([1, 1, 0.6]), random.choice([0, 0, -0.4])
    return [polyline((0, -high), (0, high)), polyline((-1, low), (1, low))]


def target(random: Random) -> Strokes:
    """Concentric arcs."""
    sweep = random.choice([360, 360, 180, 90])
    return [arc(-sweep / 2, sweep / 2, radius, radius) for radius in np.linspace(0.3, 1, int(random.integers(2, 5)))]


def crescent(random: Random) -> Strokes:
    inner = random.uniform(0.3, 0.75)
    outer = arc(60, 300)
    return [np.vstack([outer, arc(-90, 90, -inner, 0.86)[1:] * (1, 1) + (0.5, 0), outer[:1]])]


def heart(_: Random) -> Strokes:
    half = spline((0, -0.5), (-0.5, -0.9), (-1, -0.4), (-0.6, 0.3), (0, 1))
    return [half, half * (-1, 1)]


def drop(random: Random) -> Strokes:
    lean = random.choice([0, 0.4, 0.8])
    return [np.vstack([polyline((lean, -1.3), (0.6, -0.2)), arc(-15, 195, 0.65, 0.65), polyline((-0.6, -0.2), (lean, -1.3))])]


def leaf(random: Random) -> Strokes:
    """A stem with twigs on one side or both."""
    count, sides = int(random.integers(2, 5)), random.choice([1, 2])
    twigs = [polyline((0, y), (sign * 0.6, y - 0.5)) for y in np.linspace(-0.4, 0.9, count) for sign in (1, -1)[:sides]]
    return [polyline((0, -1), (0, 1)), *twigs]


def bell(random: Random) -> Strokes:
    hood = spline((-0.9, 0.7), (-0.6, 0.3), (-0.5, -0.5), (0, -1), (0.5, -0.5), (0.6, 0.3), (0.9, 0.7))
    return [hood, polyline((-0.9, 0.7), (0.9, 0.7)), moved(arc(0, 180, 0.2, 0.25), 0, 0.7)][: int(random.integers(2, 4))]


def umbrella(random: Random) -> Strokes:
    hook = spline((0, -0.2), (0, 0.8), (0.2, 1), (0.4, 0.8))
    return [arc(180, 360, 1, 0.8), polyline((-1, 0), (1, 0)), hook][: int(random.integers(2, 4))]


def fish(random: Random) -> Strokes:
    body = spline((0.6, -0.4), (-0.1, 0.45), (-1, 0), (-0.1, -0.45), (0.6, 0.4))
    return [body, polyline((0.6, -0.4), (0.6, 0.4)), moved(arc(0, 360, 0.08, 0.08), -0.6, -0.1)][: int(random.integers(1, 4))]


def key(random: Random) -> Strokes:
    teeth = [polyline((x, 0), (x, random.uniform(0.2, 0.45))) for x in np.linspace(0.4, 0.9, int(random.integers(1, 4)))]
    return [moved(arc(0, 360, 0.4, 0.4), -0.6, 0), polyline((-0.2, 0), (0.9, 0)), *teeth]


def flag(random: Random) -> Strokes:
    cloth = [polyline((-0.5, -1), (0.6, -0.6), (-0.5, -0.2)), polyline((-0.5, -1), (0.7, -1), (0.7, -0.3), (-0.5, -0.3))]
    return [polyline((-0.5, -1), (-0.5, 1)), cloth[int(random.integers(2))]]


def boat(random: Random) -> Strokes:
    sail = [outline((0, -1), (0.6, 0.1), (0, 0.1)), outline((0, -0.9), (-0.5, 0.1), (0, 0.1))]
    return [outline((-1, 0.3), (1, 0.3), (0.6, 0.8), (-0.6, 0.8)), *sail[: int(random.integers(1, 3))]]


def anchor(random: Random) -> Strokes:
    bar = [polyline((-0.4, -0.3), (0.4, -0.3))] if random.random() < 0.6 else []
    return [moved(arc(0, 360, 0.2, 0.2), 0, -0.8), polyline((0, -0.6), (0, 0.9)), moved(arc(0, 180, 0.8, 0.7), 0, 0.2), *bar]


def ladder(random: Random) -> Strokes:
    rungs = [polyline((-0.4, y), (0.4, y)) for y in np.linspace(-0.7, 0.7, int(random.integers(2, 5)))]
    return [polyline((-0.4, -1), (-0.4, 1)), polyline((0.4, -1), (0.4, 1)), *rungs]


def glasses(random: Random) -> Strokes:
    x, size = random.uniform(0.5, 0.7), random.uniform(0.3, 0.45)
    square = size * np.array([(-1, -0.7), (1, -0.7), (0.8, 0.8), (-0.8, 0.8)])
    ring = arc(0, 360, size, size) if random.random() < 0.6 else outline(*square)
    return [ring - (x, 0), moved(ring, x, 0), arc(200, 340, x - size, 0.15)]


def fruit(random: Random) -> Strokes:
    """One or two rings that hang from a stem, perhaps with a leaf."""
    places = [(0, 0.5)] if random.random() < 0.5 else [(-0.5, 0.5), (0.5, 0.5)]
    stems = [spline((x, y - 0.4), (x * 0.4, -0.4), (0.3, -1)) for x, y in places]
    leaf = [spline((0.3, -1), (0.7, -1.1), (1, -0.7), (0.6, -0.7), (0.3, -1))] if random.random() < 0.5 else []
    return [arc(0, 360, 0.4, 0.4) + place for place in places] + stems + leaf


def tree(random: Random) -> Strokes:
    crown = [outline((0, -1), (0.7, 0.3), (-0.7, 0.3)), moved(arc(0, 360, 0.65, 0.6), 0, -0.4)][int(random.integers(2))]
    return [crown, polyline((0, 0.25), (0, 1)), polyline((-0.5, 1), (0.5, 1))][: int(random.integers(2, 4))]


def face(random: Random) -> Strokes:
    marks = [arc(20, 160, 0.45, 0.4), moved(arc(0, 360, 0.08, 0.08), -0.35, -0.3), moved(arc(0, 360, 0.08, 0.08), 0.35, -0.3)]
    return [arc(0, 360)] + [mark * (1, random.choice([1, -1])) for mark in marks]


def half_moon(random: Random) -> Strokes:
    return [polyline((0, -1), (0, 1)), arc(-90, 90, random.uniform(0.7, 1.2), 1)]


def hourglass(random: Random) -> Strokes:
    return [outline(*(np.array([(-0.7, -1), (0.7, -1), (-0.7, 1), (0.7, 1)]) * (random.choice([1, -1]), 1)))]


def bolt(random: Random) -> Strokes:
    x = random.uniform(0.2, 0.5)
    return [polyline((x, -1), (-x, 0.1), (x, -0.1), (-x, 1))]


def endless(random: Random) -> Strokes:
    t = np.linspace(0, 2 * np.pi, 40)
    return [np.stack([np.sin(t), random.uniform(0.4, 0.7) * np.sin(2 * t)], 1)]


def house(random: Random) -> Strokes:
    walls = polyline((-0.8, -0.1), (-0.8, 1), (0.8, 1), (0.8, -0.1))
    return [walls, polyline((-1, 0), (0, -1), (1, 0))] + (
        [polyline((-0.2, 1), (-0.2, 0.4), (0.2, 0.4), (0.2, 1))] if random.random() < 0.4 else []
    )


def petals(random: Random) -> Strokes:
    """Open or closed loops around the middle."""
    count, sweep = int(random.integers(2, 6)), random.choice([360, 240, 200])
    first = random.choice([-90, 0, 45])
    each = [moved(arc(-sweep / 2, sweep / 2, 0.42, 0.38), 0.58, 0) for _ in range(count)]
    return [petal @ rotation(np.radians(first + 360 * index / count)) for index, petal in enumerate(each)]


def rails(random: Random) -> Strokes:
    """Two or three parallel lines that bend alike."""
    bend = spline(*np.stack([random.uniform(-0.5, 0.5, 4), np.linspace(-1, 1, 4)], 1))
    return [moved(bend, gap, 0) for gap in np.linspace(-0.4, 0.4, int(random.integers(2, 4)))]


def bracket(random: Random) -> Strokes:
    depth, kind = random.uniform(0.3, 0.6), random.integers(3)
    if kind == 0:
        return [polyline((depth, -1), (0, -1), (0, 1), (depth, 1))]
    middle = [(depth, -1), (0, 0), (depth, 1)]
    return [polyline(*middle)] if kind == 1 else [polyline((depth, -1), (0, -0.6), (0, 0.6), (depth, 1))]


def fork(random: Random) -> Strokes:
    count = int(random.integers(2, 5))
    prongs = [polyline((x, -1), (x, 0)) for x in np.linspace(-0.7, 0.7, count)]
    return [*prongs, polyline((-0.7, 0), (0.7, 0)), polyline((0, 0), (0, 1))]


def stairs(random: Random) -> Strokes:
    count = int(random.integers(2, 5))
    corners = [(float((index + 1) // 2), -float(index // 2)) for index in range(2 * count)]
    return [polyline(*corners)]


def grid(random: Random) -> Strokes:
    count, open_ = int(random.integers(2, 4)), random.random() < 0.5
    places = np.linspace(-1, 1, count + 2)[1:-1] if open_ else np.linspace(-1, 1, count + 1)
    return [polyline((-1, at), (1, at)) for at in places] + [polyline((at, -1), (at, 1)) for at in places]


def dots(random: Random) -> Strokes:
    """Small rings in a row, on a circle, or as the corners of a shape."""
    count, size = int(random.integers(2, 6)), random.uniform(0.12, 0.28)
    places = vertices(count) if random.random() < 0.6 else np.stack([np.linspace(-1, 1, count), np.zeros(count)], 1)
    return [arc(0, 360, size, size) + place for place in places]


def figure(_: Random) -> Strokes:
    """A person of lines."""
    limbs = [polyline((-0.5, -0.1), (0, -0.3), (0.5, -0.1)), polyline((-0.4, 1), (0, 0.3), (0.4, 1))]
    return [moved(arc(0, 360, 0.25, 0.25), 0, -0.75), polyline((0, -0.5), (0, 0.3)), *limbs]


def blob(random: Random) -> Strokes:
    """An irregular closed curve, such as the outline of an animal."""
    count = int(random.integers(5, 10))
    corners = vertices(count) * random.uniform(0.45, 1, (count, 1))
    closed = np.vstack([corners, corners[:1]])
    return [(spline if random.random() < 0.7 else polyline)(*closed)]


CLOSED = [circle, polygon, rectangle, rounded, triangle, diamond, star, eye, blob, open_ring, heart, house]
OPEN = [
    *(anchor, arrow, asterisk, bars, bell, boat, bolt, bracket, chevrons, crescent, cross, dots, drop, endless, face),
    *(figure, fish, flag, fork, fruit, glasses, grid, half_moon, hourglass, key, ladder, leaf, parenthesis, petals, rails),
    *(smile, spiral, stairs, target, tree, umbrella, wave),
]
SHAPES = [*CLOSED, *OPEN]
NAMED = {shape.__name__: shape for shape in SHAPES}
