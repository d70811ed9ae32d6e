"""Plots as inline SVG, which need no other file: points and bars."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 40  # pixels around the axes
ROW = 26  # pixels of a bar


class Point(NamedTuple):
    """A point, the class that colours it, and what it says when pointed at."""

    x: float
    y: float
    kind: str
    words: str


def points(found: Sequence[Point], across: str, up: str, line: Sequence[tuple[float, float]] = ()) -> str:
    """Points over two axes, and a line through others. Empty where there are none."""
    if not found:
        return ""
    (left, right), (low, high) = _span([point.x for point in found]), _span([point.y for point in found])

    def place(x: float, y: float) -> tuple[float, float]:
        horizontal = LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        return horizontal, HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*pair) for pair in line))
    marks = [f'<polyline class="front" points="{path}"/>' if line else ""]
    for point in found:
        x, y = place(point.x, point.y)
        marks.append(f'<circle class="{point.kind}" cx="{x:.1f}" cy="{y:.1f}" r="4"><title>{escape(point.words)}</title></circle>')
    return _drawn("".join([_axes(left, right, low, high, across, up), *marks]), HEIGHT)


def bars(found: Sequence[tuple[str, float]]) -> str:
    """Named shares of the largest, from above to below."""
    most = max((value for _, value in found), default=0) or 1
    marks = []
    for index, (name, value) in enumerate(found):
        y, wide = index * ROW, value / most * (WIDTH - 240)
        marks.append(f'<text x="176" y="{y + 17}" text-anchor="end">{escape(name)}</text>')
        marks.append(f'<rect class="bar" x="184" y="{y + 4}" width="{wide:.1f}" height="{ROW - 8}"/>')
        marks.append(f'<text x="{190 + wide:.1f}" y="{y + 17}">{value:.2f}</text>')
    return _drawn("".join(marks), ROW * max(1, len(found)))


def _drawn(marks: str, height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">{marks}</svg>'


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.05 or abs(low) * 0.05 or 1
    return low - margin, high + margin


def _axes(left: float, right: float, low: float, high: float, across: str, up: str) -> str:
    base, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    return "".join(
        [
            f'<path class="axis" d="M{LEFT},{TOP}V{base}H{WIDTH - RIGHT}"/>',
            f'<text x="{LEFT}" y="{base + 16}">{left:.3g}</text>',
            f'<text x="{WIDTH - RIGHT}" y="{base + 16}" text-anchor="end">{right:.3g}</text>',
            f'<text x="{LEFT - 6}" y="{base}" text-anchor="end">{low:.4g}</text>',
            f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{high:.4g}</text>',
            f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>',
            f'<text x="14" y="{HEIGHT / 2 - 14}" text-anchor="middle" transform="rotate(-90 14 {HEIGHT / 2 - 14})">{escape(up)}</text>',
        ]
    )
