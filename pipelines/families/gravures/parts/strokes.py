"""Strokes of a pen, and how they are placed: coordinates are x, y with y downwards, a symbol about -1 to 1."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

PIECES = 8  # points of a straight line, or of a curve between two of its points
Curve = NDArray[np.float64]  # [k, 2]
Strokes = list[Curve]
Random = np.random.Generator


def polyline(*corners: ArrayLike) -> Curve:
    """Straight from corner to corner, each x, y."""
    ends = np.array(corners, float)
    places = np.linspace(0, len(ends) - 1, PIECES * (len(ends) - 1) + 1)
    return np.stack([np.interp(places, np.arange(len(ends)), ends[:, axis]) for axis in (0, 1)], 1)


def spline(*corners: ArrayLike) -> Curve:
    """A Catmull-Rom spline through all points, each x, y; closed where the last is the first."""
    points = np.array(corners, float)
    closed = np.allclose(points[0], points[-1])
    before, after = (points[-2], points[1]) if closed else (2 * points[0] - points[1], 2 * points[-1] - points[-2])
    padded = np.vstack([before, points, after])
    t = np.linspace(0, 1, PIECES, endpoint=False)[:, None, None]
    p0, p1, p2, p3 = (padded[shift : len(padded) - 3 + shift] for shift in range(4))
    pieces = p1 + t / 2 * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.vstack([pieces.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def arc(start: float, end: float, x: float = 1, y: float = 1) -> Curve:
    """Part of an ellipse, in degrees clockwise from the right."""
    angles = np.radians(np.linspace(start, end, max(5, round(abs(end - start) / 10))))
    return np.stack([x * np.cos(angles), y * np.sin(angles)], 1)


def vertices(count: int, x: float = 1, y: float = 1, first: float = -90) -> Curve:
    """Those of a regular polygon within an ellipse, from the angle `first` on, in degrees clockwise from the right."""
    angles = np.radians(first + 360 * np.arange(count) / count)
    return np.stack([x * np.cos(angles), y * np.sin(angles)], 1)


def outline(*corners: ArrayLike) -> Curve:
    """A closed polygon."""
    return polyline(*corners, corners[0])


def moved(stroke: Curve, x: float, y: float) -> Curve:
    return stroke + np.array([x, y])


def rotation(angle: float) -> Curve:
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def bounds(strokes: Strokes) -> tuple[Curve, Curve]:
    points = np.vstack(strokes)
    return points.min(0), points.max(0)


def fitted(strokes: Strokes, x: float = 0, y: float = 0, half: float = 1) -> Strokes:
    """Moved and scaled so that the longer side reaches `half` from x, y either way."""
    low, high = bounds(strokes)
    scale = 2 * half / max(*(high - low), 0.2)
    return [(stroke - (low + high) / 2) * scale + (x, y) for stroke in strokes]


def boxed(strokes: Strokes, left: float, top: float, right: float, bottom: float) -> Strokes:
    """As large as fits into a box, in its middle."""
    low, high = bounds(strokes)
    scale = min((right - left) / max(high[0] - low[0], 0.1), (bottom - top) / max(high[1] - low[1], 0.1))
    return [(stroke - (low + high) / 2) * scale + ((left + right) / 2, (top + bottom) / 2) for stroke in strokes]


def in_row(parts: list[Strokes], gap: float) -> Strokes:
    """Side by side, at the sizes they have."""
    placed, edge = list[Curve](), 0.0
    for part in parts:
        low, high = bounds(part)
        placed += [moved(stroke, edge - low[0], 0) for stroke in part]
        edge += high[0] - low[0] + gap
    return placed


def in_column(parts: list[Strokes], gap: float) -> Strokes:
    """One above the other."""
    return [stroke[:, ::-1] for stroke in in_row([[stroke[:, ::-1] for stroke in part] for part in parts], gap)]


def centred(strokes: Strokes) -> Strokes:
    """With x = 0 in their middle."""
    low, high = bounds(strokes)
    return [stroke - ((low[0] + high[0]) / 2, 0) for stroke in strokes]
