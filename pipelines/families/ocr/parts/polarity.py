"""Regions of a page that hold light letters, or lie around a sheet, inverted: a black bar, a table. All is dark on light then."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts.glyphs import LEAST, Grey

Mask = NDArray[np.bool_]  # [height, width]
REGION = (12, 24)  # pixels: the least height and width of a region
DARK = 0.45  # of its rectangle that a region's dark pixels take at least
STEP = 40  # levels between a region and what is around it
SOLID = 0.85  # of its rectangle, turned with it, that a region with its letters takes at least
GROUND = 128  # pixels: a lower or narrower region is no ground of a sheet
HOLE = (0.85, 0.2)  # of a region's height, and of its rectangle: what is larger is no letter but a sheet on it
EDGE = 3  # pixels on either side of a region's edge that are compared
LETTERS = 3  # in a region that is inverted, if it is no ground of a sheet
MOST = 50  # regions of a page


def inverted(small: Grey) -> Mask | None:
    """Where a page, perhaps reduced, is to be inverted; None where it is dark on light everywhere."""
    dark = cv2.threshold(small, 0, 1, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(dark, 4, cv2.CV_32S, cv2.CCL_SAUF)
    found = [region for number in _large(stats) if (region := _region(labels, stats[number], number, small)) is not None]
    if not found:
        return None
    mask = np.zeros(small.shape, bool)
    for (x, y, width, height, _), filled in found:
        mask[y : y + height, x : x + width] |= filled
    return mask


def _large(stats: NDArray[np.int32]) -> list[int]:
    """The numbers of components that are large and dense enough to be regions."""
    _, _, width, height, area = stats.T
    large = (height >= REGION[0]) & (width >= REGION[1]) & (area >= DARK * width * height)
    large[0] = False
    numbers = np.flatnonzero(large)
    return numbers[np.argsort(-area[numbers])][:MOST].tolist()


def _region(labels: NDArray[np.int32], stat: NDArray[np.int32], number: int, small: Grey) -> tuple[NDArray[np.int32], Mask] | None:
    """A region's place, and which pixels of its rectangle are to be inverted: its own, and those of letters on it."""
    x, y, width, height, _ = stat.tolist()
    own = labels[y : y + height, x : x + width] == number
    holes, sheets, letters = _holes(own)
    if letters < LETTERS and not sheets.any():
        return None
    if not _solid(own | holes | sheets) or _step(own | holes, x, y, small) < STEP:
        return None
    return stat, own | holes


def _holes(own: Mask) -> tuple[Mask, Mask, int]:
    """The letters in a region, the sheets on it, and how many letters."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(np.pad(~own, 1, constant_values=True).view(np.uint8), connectivity=8)
    high, area = stats[:, cv2.CC_STAT_HEIGHT], stats[:, cv2.CC_STAT_AREA]
    inner = np.arange(len(stats)) != labels[0, 0]
    inner[0] = False  # the region itself
    letter = inner & ((high < HOLE[0] * own.shape[0]) & (area < HOLE[1] * own.size) | (min(own.shape) < GROUND))
    within = labels[1:-1, 1:-1]
    return letter[within], (inner & ~letter)[within], int((letter & (high >= LEAST)).sum())


def _solid(filled: Mask) -> bool:
    """Is it a rectangle, perhaps turned?"""
    outlines = cv2.findContours(filled.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    sides = cv2.minAreaRect(max(outlines, key=cv2.contourArea))[1]
    return bool(filled.sum() >= SOLID * (sides[0] + 1) * (sides[1] + 1))


def _step(filled: Mask, x: int, y: int, small: Grey) -> float:
    """By how many levels a region at x, y is darker, at its edge, than what lies beside it; 255 where nothing does."""
    top, left = max(0, y - EDGE), max(0, x - EDGE)
    around = small[top : y + filled.shape[0] + EDGE, left : x + filled.shape[1] + EDGE]
    region = np.zeros(around.shape, np.uint8)
    region[y - top : y - top + filled.shape[0], x - left : x - left + filled.shape[1]] = filled
    square = np.ones((2 * EDGE - 1,) * 2, np.uint8)
    outside, inside = cv2.dilate(region, square) > region, region > cv2.erode(region, square)
    return float(np.median(around[outside])) - float(np.median(around[inside])) if outside.any() else 255.0
