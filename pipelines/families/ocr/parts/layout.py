"""Lines of text on a page, by OpenCV: ink, glyphs, glyphs smeared into lines, lines in reading order."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts import level, order, polarity, smearing
from pipelines.families.ocr.parts.glyphs import Glyphs, Grey, glyphs
from pipelines.families.ocr.parts.level import Shear
from pipelines.families.ocr.parts.order import Box
from pipelines.families.ocr.parts.smearing import Corners

SIDE, LONG = 1600, 2  # pixels: a larger page is reduced to look for lines; of a long one so many times the shorter side counts
TALL, WIDE = 3, 100  # times its width, of at least so many pixels: a higher page is looked at in parts
ENDS = 0.25  # of a part's height, at its end, in which it may end
MOST = 6e6  # pixels in which lines are looked for
MARGIN = 0.1  # of a line's height, and a pixel
SLICE = 0.75  # of the line's height: lower parts at the edge of an image of one line belong to its neighbours
FILLED = 0.4  # of an image's height: one line that takes as much is the complete image


class Page(NamedTuple):
    """A levelled page [height, width], the lines on it in reading order, and their boxes on the original page."""

    grey: Grey
    lines: list[Box]
    boxes: list[Box]

    def cut(self, box: Box) -> Grey:
        """One line."""
        return self.grey[box.y : box.bottom, box.x : box.right]


def lines(grey: Grey) -> list[Box]:
    """The lines of text of a page [height, width] in reading order; the complete image where that is one line."""
    return page(grey).boxes


def parts(grey: Grey) -> list[int]:
    """The rows at which the parts of a page [height, width] begin that are looked at by themselves: one, or of a tall page several."""
    height, starts = TALL * max(WIDE, grey.shape[1]), [0]
    while grey.shape[1] > 1 and len(grey) - starts[-1] > height:
        low = starts[-1] + round(height * (1 - ENDS))
        change = cv2.absdiff(grey[low : starts[-1] + height, 1:], grey[low : starts[-1] + height, :-1])
        starts.append(low + _emptiest(change.mean(1)))
    return starts


def _emptiest(ink: NDArray[np.float64]) -> int:
    """The middle of the longest run of the emptiest rows."""
    empty = np.flatnonzero(ink <= np.quantile(ink, 0.1))
    runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)
    longest = max(runs, key=len)
    return int(longest[len(longest) // 2])


def page(grey: Grey) -> Page:
    """A page [height, width] and its lines, levelled where they are skewed by a few degrees, dark on light."""
    scale = min(1.0, SIDE / min(max(grey.shape), LONG * min(grey.shape)), (MOST / grey.size) ** 0.5)
    width, height = (max(1, round(side * scale)) for side in grey.shape[::-1])
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else grey
    if (mask := polarity.inverted(small)) is not None:
        small, grey = _inverted(small, mask), _inverted(grey, mask)
    found = glyphs(small) if min(small.shape) > 2 else None
    if found is None:
        return Page(grey, [], [])
    shear = level.shear(found, small.shape)
    levelled = Glyphs(shear.boxes(found.letters), shear.boxes(found.marks), found.usual)
    corners = smearing.lines(levelled, shear.shape(small.shape))
    if not len(corners):
        return Page(grey, [], [])
    return _page(grey, _without_slices(corners, small.shape) / scale, Shear(shear.slope, grey.shape[1]))


def _inverted(grey: Grey, mask: polarity.Mask) -> Grey:
    """The page, inverted where a mask of it, perhaps reduced, says so."""
    whole = cv2.resize(mask.view(np.uint8), grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.bitwise_xor(grey, cv2.multiply(whole, 255))


def _page(grey: Grey, corners: Corners, shear: Shear) -> Page:
    """A page, from the corners of its lines where it is sheared."""
    if _is_line(corners, grey.shape[0]):
        corners = np.array([[0, 0, *grey.shape[::-1]]], float)
    lines = order.reading(_boxes(corners, shear.shape(grey.shape)))
    boxes = [shear.before(box, grey.shape[0]) for box in lines] if shear.slope else lines
    return Page(shear.page(grey) if shear.slope else grey, lines, boxes)


def _without_slices(corners: Corners, shape: tuple[int, ...]) -> Corners:
    """Lines of an image of about one line, without slices of the lines above and below."""
    heights = corners[:, 3] - corners[:, 1]
    if shape[0] > 3 * heights.max():
        return corners
    touching = (corners[:, 1] <= 1) | (corners[:, 3] >= shape[0] - 1)
    return corners[~touching | (heights > SLICE * heights.max())]


def _is_line(corners: Corners, height: int) -> bool:
    """Does one line take most of an image of this height, with all else in its row?"""
    _, top, _, bottom = corners[np.argmax(corners[:, 3] - corners[:, 1])]
    middle = (corners[:, 1] + corners[:, 3]) / 2
    return bool(bottom - top >= FILLED * height and ((top < middle) & (middle < bottom)).all())


def _boxes(corners: Corners, shape: tuple[int, ...]) -> list[Box]:
    """Corners as boxes with a margin."""
    margins = 1 + MARGIN * (corners[:, 3:] - corners[:, 1:2])
    low = np.floor(corners[:, :2] - margins).clip(0).astype(int)
    high = np.minimum(np.ceil(corners[:, 2:] + margins), shape[::-1]).astype(int)
    return [Box(*start, *size) for start, size in zip(low.tolist(), (high - low).tolist(), strict=True)]
