"""A page as a scanner would give it: cut out of a photograph and rectified, dark on white, turned upright by its letters.

A clean scan is passed on as it is. Upright: letters stand beside each other with small gaps, below each other with larger ones; they
rise above their neighbours (b, d, h, capitals) more often than they fall below them (g, p, y).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.uint8]  # [height, width]
Matrix = NDArray[np.float64]  # [3, 3]: a projective map of points
Corners = NDArray[np.float64]  # [k, 4] of x, y, x, y
Boxes = NDArray[np.int32]  # [k, 4] of x, y, width, height

COARSE, FINE = 256, 1280  # pixels: the sheet and its paper are looked for in an image reduced to the one side, letters at the other
SMALL = 128  # pixels: a narrower image is of a line, not of a sheet
RIM = 0.6  # of the border: where more is as light as paper, nothing lies around the sheet
DARKER = 30  # levels: what lies around a sheet is darker by as much
SHEET = (0.15, 0.95)  # of the image that a sheet takes
EDGES, BESIDE = 3, 5  # sides of a sheet that end at once, at least, within so many pixels
SOLID = 0.92  # of its convex hull, and of its quadrilateral, that a sheet takes at least
WHITE, TARGET = 220, 250  # levels: lighter paper stays as it is; darker is brought to this
LIT = 0.25  # of the page may be darker
SHADE = 0.4  # of the lightest paper: what is darker is no paper
BLACK = 110  # levels: what is darker is no paper
INK, AROUND = 25, 25  # levels darker than the mean of so many pixels around it
LETTER = (4, 60)  # pixels: the longer side of a letter
ALIKE = (0.5, 3.0)  # times the median: the longer side of a letter
FEW = 60  # pairs of letters: fewer do not say which way up a page is
NEAR, ROW, RISE = 0.6, 1.6, 0.12  # of a letter's height: a gap in a word, a row of letters, a difference of height
SIDEWAYS = 2.0  # times as many pairs below each other as beside each other
BOTH = 0.1  # times as often as letters rise they fall, or the other way round: else they are no small letters
UPRIGHT, OFTEN = 3.0, 0.05  # standard deviations, and a share of the pairs, by which letters rise more often than they fall, or less


class Sheet(NamedTuple):
    """A page [height, width] to be read, and the map of its points to those of the image that was sent; None where it is that image."""

    grey: Grey
    back: Matrix | None = None

    def turned(self, quarters: int) -> "Sheet":
        """Turned clockwise by so many quarters, 0 to 3."""
        if not quarters:
            return self
        height, width = self.grey.shape
        back = np.array([[[0, 1, 0], [-1, 0, height]], [[-1, 0, width], [0, -1, height]], [[0, -1, width], [1, 0, 0]]], float)
        turn = np.vstack([back[quarters - 1], [0, 0, 1]])
        return Sheet(np.ascontiguousarray(np.rot90(self.grey, -quarters)), turn if self.back is None else self.back @ turn)

    def sent(self, corners: Corners) -> Corners:
        """The rectangles around corners, on the image that was sent."""
        if self.back is None:
            return corners
        points = np.stack([corners[:, [0, 2, 2, 0]], corners[:, [1, 1, 3, 3]], np.ones((len(corners), 4))])  # [3, k, 4]
        moved = np.tensordot(self.back, points, 1)
        x, y = moved[:2] / moved[2]
        return np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], 1)


def found(grey: Grey) -> Sheet:
    """The sheet that lies on something darker, rectified; else the image."""
    small = _reduced(grey)
    quad = _quad(small) if min(grey.shape) >= SMALL else None
    if quad is None:
        return Sheet(grey)
    quad = quad * (np.array(grey.shape[::-1]) / small.shape[::-1])
    across, down = (np.linalg.norm(quad - np.roll(quad, -1, 0), axis=1)[start::2].mean() for start in (0, 1))
    width, height = max(1, round(across)), max(1, round(down))
    level = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    back = cv2.getPerspectiveTransform(level, quad.astype(np.float32))
    flat = cv2.warpPerspective(grey, back, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    return Sheet(np.asarray(flat, np.uint8), np.asarray(back, float))


def whitened(grey: Grey) -> Grey:
    """On white, where its paper is darker, evenly or not."""
    paper = cv2.medianBlur(cv2.morphologyEx(_reduced(grey), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8)), 5)
    if np.quantile(paper, LIT) >= WHITE:
        return grey
    lit = np.maximum(cv2.blur(paper, (5, 5)), max(1.0, SHADE * float(np.quantile(paper, 0.9)))).astype(np.float32)
    gain = cv2.resize(TARGET / lit, grey.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(grey, gain, dtype=cv2.CV_8U), np.uint8)


def dark_on_light(grey: Grey) -> Grey:
    """Inverted, where it is light on dark."""
    low, middle, high = np.quantile(_reduced(grey), [0.01, 0.5, 0.99])
    return cv2.bitwise_not(grey) if middle < BLACK and high - middle > middle - low else grey


def quarters(grey: Grey) -> tuple[int, ...]:
    """By how many quarters a page has to be turned clockwise to be upright: one number, or two where its letters leave it open."""
    letters = _letters(_scaled(grey))
    beside, below = _neighbours(letters), _neighbours(_turned(letters))
    if len(below) > max(FEW, SIDEWAYS * len(beside)):
        sure = _rising(below)
        return (1,) if sure > UPRIGHT else (3,) if sure < -UPRIGHT else (1, 3)
    sure = _rising(beside) if len(beside) > FEW else 0.0
    return (2,) if sure < -UPRIGHT else (0,)


def _scaled(grey: Grey) -> Grey:
    """Reduced or enlarged to FINE: letters are of one size then."""
    ratio = FINE / max(grey.shape)
    size = tuple(max(1, round(side * ratio)) for side in grey.shape[::-1])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_CUBIC), np.uint8)


def _reduced(grey: Grey) -> Grey:
    ratio = COARSE / max(grey.shape)
    size = tuple(max(1, round(side * ratio)) for side in grey.shape[::-1])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8) if ratio < 1 else grey


def _quad(small: Grey) -> Corners | None:
    """The corners [4, 2] of the sheet in a reduced image, clockwise from the top left one, or None."""
    paper = cv2.blur(cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), (3, 3))
    rim = np.concatenate([paper[0], paper[-1], paper[:, 0], paper[:, -1]])
    if (rim > np.quantile(paper, 0.9) - DARKER).mean() > RIM:
        return None
    light = cv2.threshold(paper, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1]
    light = cv2.morphologyEx(light, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    outlines = cv2.findContours(cv2.erode(light, np.ones((3, 3), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return _rectangle(max(outlines, key=cv2.contourArea), paper) if outlines else None


def _rectangle(outline: NDArray[np.int32], paper: Grey) -> Corners | None:
    """The corners of an outline that is a sheet's: large, a quadrilateral, lighter than what is around it."""
    hull = cv2.convexHull(outline)
    area, quad = cv2.contourArea(hull), _four(hull)
    solid = min(cv2.contourArea(outline), cv2.contourArea(quad)) / max(area, cv2.contourArea(quad), 1)
    if not SHEET[0] < area / paper.size < SHEET[1] or solid < SOLID:
        return None
    corners = quad.reshape(4, 2).astype(float)
    angles = np.arctan2(*(corners - corners.mean(0)).T[::-1])
    around = corners[np.argsort(angles)]
    around = np.roll(around, -int(around.sum(1).argmin()), 0)
    return around if sum(_is_edge(paper, *side) for side in zip(around, np.roll(around, -1, 0), strict=True)) >= EDGES else None


def _is_edge(paper: Grey, start: NDArray[np.float64], end: NDArray[np.float64]) -> bool:
    """Is it darker, at once, to the left of this side of a sheet, which runs clockwise? Not where the image ends there."""
    along = (end - start) / max(1.0, float(np.linalg.norm(end - start)))
    points = start + np.linspace(0.1, 0.9, 32)[:, None] * (end - start)
    aside = BESIDE * np.array([along[1], -along[0]])
    outer, inner = (np.rint(points + sign * aside).astype(int) for sign in (1, -1))
    if (outer < 0).any() or (outer >= paper.shape[::-1]).any():
        return False
    (right, down), (x, y) = inner.clip(0, np.array(paper.shape[::-1]) - 1).T, outer.T
    return float(np.median(paper[down, right].astype(int) - paper[y, x])) >= DARKER


def _four(hull: NDArray[np.int32]) -> NDArray[np.float32]:
    """A hull's four corners; where it has more, those of the least rectangle around it."""
    for share in (0.01, 0.02, 0.03, 0.05):
        corners = cv2.approxPolyDP(hull, share * cv2.arcLength(hull, True), True)
        if len(corners) <= 4:
            break
    return (corners if len(corners) == 4 else cv2.boxPoints(cv2.minAreaRect(hull))).astype(np.float32)


def _letters(grey: Grey) -> Boxes:
    """The boxes of components that may be letters."""
    ink = cv2.adaptiveThreshold(grey, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, AROUND, INK)
    boxes: Boxes = cv2.connectedComponentsWithStatsWithAlgorithm(ink, 8, cv2.CV_32S, cv2.CCL_BBDT)[2][1:, :4]
    boxes = boxes[(boxes[:, 2:].max(1) >= LETTER[0]) & (boxes[:, 2:].max(1) <= LETTER[1])]
    sizes = boxes[:, 2:].max(1) / max(1.0, float(np.median(boxes[:, 2:].max(1)))) if len(boxes) else np.empty(0)
    return boxes[(sizes >= ALIKE[0]) & (sizes <= ALIKE[1])]


def _turned(boxes: Boxes) -> Boxes:
    """The boxes of a page that is turned clockwise by a quarter, anywhere."""
    return np.stack([-boxes[:, 1] - boxes[:, 3], boxes[:, 0], boxes[:, 3], boxes[:, 2]], 1)


def _neighbours(boxes: Boxes) -> NDArray[np.float64]:
    """Of letters beside each other in a word [k, 2]: by how much their tops and their feet differ, in letters' heights."""
    if len(boxes) < 2:
        return np.empty((0, 2))
    height = float(np.median(boxes[:, 3]))
    rows = ((boxes[:, 1] + boxes[:, 3] / 2) // (ROW * height)).astype(int)
    order = np.lexsort((boxes[:, 0], rows))
    left, right, same = boxes[order[:-1]], boxes[order[1:]], np.diff(rows[order]) == 0
    near = same & (np.abs(right[:, 0] - left[:, 0] - left[:, 2]) < NEAR * height)
    tops, feet = right[:, 1] - left[:, 1], right[:, 1] + right[:, 3] - left[:, 1] - left[:, 3]
    return np.stack([tops, feet], 1)[near] / height


def _rising(pairs: NDArray[np.float64]) -> float:
    """By how many standard deviations letters differ more often at their tops alone than at their feet alone (a sign test).

    0 where they hardly do so more often, as capitals, or never the other way round, as capitals and brackets.
    """
    tops, feet = (np.abs(pairs) > RISE).T
    rise, fall = int((tops & ~feet).sum()), int((feet & ~tops).sum())
    text = abs(rise - fall) > OFTEN * len(pairs) and min(rise, fall) > BOTH * max(rise, fall)
    return float((rise - fall) / np.sqrt(rise + fall)) if text else 0.0
