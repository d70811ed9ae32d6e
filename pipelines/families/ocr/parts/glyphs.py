"""Components of a page that may be letters: dark against their surroundings, neither specks nor rules nor figures."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOW = 51  # pixels: ink is darker than its surroundings of this size
CONTRAST = 14  # grey levels between paper and the darkest ink, at least
NOISE = 4.0  # standard deviations of the paper that ink is beyond
FAINTEST, SUREST = 0.08, 0.35  # of the darkest ink: fainter is never ink, darker always, whatever the noise
EDGE = 0.3  # of the darkest ink nearby: fainter is not ink
COARSE = 4  # pixels: step of that search
JOINED, ROWS = 16, 6  # pixels, and of them on a page: letters that are lower rather touch those of the next line than come apart
JOIN = np.ones((3, 3), np.uint8)  # joins the dots of a matrix printer into letters
LEAST = 5  # pixels: the height of a letter that can be read
SMALL, LARGE = 0.55, 8.0  # times the usual height of a letter: lower ones are marks, higher ones figures
RULE = 5.0  # times the usual height: the least length of a rule
RUN = 3.0  # times the usual height: its least run along one row, where it is skewed
THIN = 8.0  # its least length, in times its thickness
MOST = 12_000  # letters: a page has fewer, noise more
DASHES = 10  # in a row: a dashed rule, not a telephone number
Grey = NDArray[np.uint8]
Boxes = NDArray[np.int32]  # [k, 4] of x, y, width, height


class Glyphs(NamedTuple):
    """Letters and marks (dots, commas, dashes, quotes) of a page, and the usual height of a letter in pixels."""

    letters: Boxes
    marks: Boxes
    usual: float


def glyphs(grey: Grey) -> Glyphs | None:
    """The glyphs of a page [height, width], or None where nothing can be read."""
    ink = _ink(_dark_on_light(grey))
    if ink is None:
        return None
    boxes = components(joined := cv2.morphologyEx(ink, cv2.MORPH_CLOSE, JOIN))
    if (usual := _usual(boxes)) < LEAST:
        return None
    if usual < min(JOINED, len(grey) / ROWS):
        boxes = components(joined := ink)
    if (rules := _rules(joined, usual)) is not None:
        boxes = components(cv2.subtract(joined, rules))
    found = _sorted(boxes, max(LEAST, _usual(boxes)))
    return found if 0 < len(found.letters) < MOST else None


def components(ink: Grey) -> Boxes:
    """The boxes of connected components."""
    boxes: Boxes = cv2.connectedComponentsWithStatsWithAlgorithm(ink, 8, cv2.CV_32S, cv2.CCL_BBDT)[2][1:, :4]
    return boxes


def _dark_on_light(grey: Grey) -> Grey:
    """The page, inverted where it is white on black: most of a page is paper, and ink differs from what is around it, a shadow does not."""
    dark, middle, light = np.searchsorted(_shares(grey), [0.01, 0.5, 0.99])
    return cv2.bitwise_not(grey) if middle - dark < light - middle and _has_light_ink(grey) else grey


def _has_light_ink(grey: Grey) -> bool:
    """Is what stands out from its surroundings lighter than they are?"""
    around = cv2.blur(grey, (WINDOW, WINDOW), borderType=cv2.BORDER_REPLICATE)
    lighter, darker = (np.searchsorted(_shares(apart), 0.99) for apart in (cv2.subtract(grey, around), cv2.subtract(around, grey)))
    return bool(lighter > darker)


def _shares(grey: Grey) -> NDArray[np.float64]:
    """The share of pixels that are as dark as each level or darker [256]."""
    return np.cumsum(cv2.calcHist([grey], [0], None, [256], [0, 256])[:, 0]) / grey.size


def _ink(grey: Grey) -> Grey | None:
    """1 where a page is darker than its surroundings, by more than its noise; None for one without contrast."""
    smooth = cv2.GaussianBlur(grey, (3, 3), 0)
    darker = cv2.subtract(cv2.blur(smooth, (WINDOW, WINDOW), borderType=cv2.BORDER_REPLICATE), smooth)
    darkest, noise = int(np.searchsorted(_shares(darker), 0.999)), NOISE * _noise(smooth)
    if darkest < max(CONTRAST, noise):
        return None
    least = max(CONTRAST / 2, min(noise, SUREST * darkest), FAINTEST * darkest)
    return cv2.compare(darker, cv2.max(_nearby(darker), least), cv2.CMP_GT) & 1


def _nearby(darker: Grey) -> Grey:
    """EDGE of the darkest ink around each pixel: fainter pixels are edges of letters."""
    height, width = darker.shape
    coarse = cv2.dilate(darker, np.ones((COARSE, COARSE), np.uint8))[::COARSE, ::COARSE]
    spread = cv2.blur(cv2.dilate(coarse, np.ones((WINDOW // COARSE,) * 2, np.uint8)), (5, 5))
    return cv2.convertScaleAbs(cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR), alpha=EDGE)


def _noise(smooth: Grey) -> float:
    """The standard deviation of the paper, from the median difference of pixels two apart, across or down: a narrow letter has edges."""
    apart = cv2.absdiff(smooth[:, 2:], smooth[:, :-2]), cv2.absdiff(smooth[2:], smooth[:-2])
    return float(min(np.searchsorted(_shares(each), 0.5) for each in apart)) / 0.95


def _usual(boxes: Boxes) -> float:
    """The median height of boxes that are no specks, weighted by height, as letters may be broken."""
    heights = np.sort(boxes[boxes[:, 3] >= LEAST, 3])
    return float(heights[np.searchsorted(np.cumsum(heights), heights.sum() / 2)]) if len(heights) else 0.0


def _rules(ink: Grey, usual: float) -> Grey | None:
    """The ink of long and thin lines, across and down, or None."""
    run = int(RUN * usual)
    found = [_thin(cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones(shape, np.uint8)), RULE * usual) for shape in ((1, run), (run, 1))]
    return cv2.bitwise_or(*found) if any(rules.any() for rules in found) else None


def _thin(ink: Grey, least: float) -> Grey:
    """The parts that are long, and much longer than thick."""
    found = np.zeros_like(ink)
    for outline in cv2.findContours(ink, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        thick, long = sorted(cv2.boundingRect(outline)[2:])
        if long >= max(least, THIN * thick):
            cv2.drawContours(found, [outline], 0, 1, cv2.FILLED)
    return found


def _sorted(boxes: Boxes, usual: float) -> Glyphs:
    width, height = boxes[:, 2], boxes[:, 3]
    small = height < max(LEAST, SMALL * usual)
    marks = boxes[small & (width * height > 1) & (width < RULE * usual)]
    part = (width >= RULE * usual) & (height < usual)  # of a skewed rule
    return Glyphs(boxes[~small & (height <= LARGE * usual) & ~part], marks[~_dashed(marks, usual)], usual)


def _dashed(marks: Boxes, usual: float) -> NDArray[np.bool_]:
    """Which marks are dashes of a dashed rule: DASHES of them or more at about one height."""
    flat = (marks[:, 2] >= 1.5 * marks[:, 3]) & (marks[:, 3] < usual / 3)
    rows = (marks[:, 1] / max(2.0, usual / 4)).astype(int)
    counts = np.bincount(rows[flat], minlength=int(rows.max(initial=0)) + 1)
    return flat & (counts[rows] >= DASHES)


def small_print(marks: Boxes) -> Glyphs | None:
    """Marks that belong to no line as glyphs of their own: small print."""
    return _sorted(marks, usual) if (usual := _usual(marks)) >= LEAST else None
