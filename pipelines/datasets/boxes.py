"""Boxes on a page: rows of x, y, w, h, x and y being the top left corner."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float32]
TOLERANCE = 1.0  # pixels that rounding may put an edge outside


class BadBox(ValueError):
    """A box that has no size, leaves its page, or is not made of finite numbers."""


def rows(values: ArrayLike) -> Boxes:
    """Boxes, possibly none, as [k, 4]."""
    return np.asarray(values, np.float32).reshape(-1, 4)


def iou(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of each of n boxes with each of m: [n, m]."""
    left, right = np.asarray(a, float).reshape(-1, 1, 4), np.asarray(b, float).reshape(1, -1, 4)
    corner = np.maximum(left[..., :2], right[..., :2])
    shared = np.clip(np.minimum(_end(left), _end(right)) - corner, 0, None).prod(-1)
    union = left[..., 2:].prod(-1) + right[..., 2:].prod(-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def inside(box: ArrayLike, height: int, width: int) -> Boxes:
    """One box [4], clipped to its page of height x width pixels.

    Raises BadBox where it is less than a pixel wide or high, or more than a pixel outside.
    """
    found, page = np.asarray(box, float), np.array([width, height], float)
    numbers = ", ".join(f"{value:g}" for value in found)
    if not np.isfinite(found).all():
        raise BadBox(f"x, y, w, h = {numbers} are not all finite numbers")
    start, end = found[:2], found[:2] + found[2:]
    if (start < -TOLERANCE).any() or (end > page + TOLERANCE).any():
        raise BadBox(f"x, y, w, h = {numbers} leaves the page, which is {width} x {height} pixels")
    start, end = np.clip(start, 0, page), np.clip(end, 0, page)
    if (end - start < 1).any():
        raise BadBox(f"x, y, w, h = {numbers} is less than a pixel wide or high")
    return np.concatenate([start, end - start]).astype(np.float32)


def _end(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return boxes[..., :2] + boxes[..., 2:]
