"""The ink of a picture on even paper, whatever the picture: a sheet on a desk, uneven light, a frame, ruled lines, dust, colours.

The paper is estimated around each point by a morphological closing wider than a stroke (black top-hat transform; Gonzalez and
Woods, Digital Image Processing, 9.6); what is left is told apart by size and place of its connected components.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]  # [height, width]
Colour = NDArray[np.uint8]  # [height, width, 3]
Map = NDArray[np.float32]  # [height, width]: levels of 255
Mask = NDArray[np.bool_]  # [height, width]

CONTRAST = 24  # levels between paper and ink: with less a picture is blank
EVEN = 8  # levels within which paper is of one brightness
COARSE = 128  # pixels: paper and sheet are looked for in a picture reduced to this side
FIT = 96  # pixels: whether ink is darker or lighter is decided in a picture reduced to this side
STROKE = 0.3  # of the side: a stroke is narrower
FAINT = 0.35  # of the strongest ink: what is fainter is no stroke of its own
LIGHT = 24  # pixels: light is fitted to a picture reduced to this side
SMALL = 64  # pixels: of a picture up to this side a single stroke on even paper is taken as it is
LINE, THIN = 0.9, 0.04  # of the side: a row with more ink belongs to a frame or a ruled line, which is no wider
BAND, RIM = 0.12, 0.05  # of the side: what touches the border and stays within the one, or mostly within the other, is no ink
BESIDE = 0.1  # of the strokes' extent: small marks no further away belong to them
DUST = (0.04, 0.2)  # of the main stroke: what has less ink, or is smaller, is dust
AWAY, MARKS = 3, 20  # small marks away from the strokes, and all: with as many all are dust
DASHES = 6  # marks along the border: more are a dashed frame
HAIR = 0.4  # of the pen's width: what is thinner is a hair or a speck
FRAME = (0.025, 0.15)  # of the side: a printed frame is no thicker, and something larger than this is in it
LONG = 0.4  # of the side: what lies along the border is longer
EDGES = 0.3  # of the ink: more that is faint is no edge of a stroke
SOLID = 0.4  # of its square: what fills more, at the border, is no stroke
SHEET = (0.3, 0.85)  # of the picture, and of its own rectangle, that a sheet on a desk takes at least
OPAQUE = 0.85  # of a picture with transparency: what has more holds paper of its own
TOP = 0.002  # of the pixels are as strong as the strongest ink


class Components(NamedTuple):
    """How many there are, of which each point is one [height, width], and [count, 5]: left, top, width, height, area."""

    number: int
    labels: NDArray[np.int32]
    stats: NDArray[np.int32]


def separated(picture: Grey | Colour) -> Grey:
    """Ink 0 at its strongest, on paper of 255 that is even and has a margin; all of it 255 where there is no ink."""
    grey = picture[..., 0] if picture.ndim == 3 else picture
    if (picture.ndim == 2 or (picture == grey[..., None]).all()) and (plain := _plain(grey)) is not None:
        return plain
    colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    found = next((ink for part in _parts(colour) if (ink := _strokes(part)).any()), np.zeros((1, 1), np.uint8))
    return 255 - np.pad(found, 1)


def grounded(picture: Image.Image, side: int) -> Image.Image:
    """Without transparency, and then with sides of at most `side`: on white, black or its own paper, whichever its ink stands out from."""
    if picture.mode.startswith("I") or not picture.has_transparency_data:
        return picture
    layers = picture.convert("RGBA")
    if layers.getchannel("A").getextrema() == (255, 255):
        return picture.convert("RGB")
    layers.thumbnail((side, side), reducing_gap=2.0)
    flat = Image.alpha_composite(Image.new("RGBA", layers.size, _ground(np.asarray(layers))), layers).convert("RGB")
    flat.info["exif"] = picture.info.get("exif", b"")
    return flat


def _ground(layers: NDArray[np.uint8]) -> tuple[int, ...]:
    """The colour behind layers [height, width, 4]: mostly opaque and of several tones, they hold paper of their own."""
    step = 1 + max(layers.shape) // (2 * COARSE)
    layers = layers[::step, ::step]
    seen = layers[layers[..., 3] > 127][:, :3]
    if not len(seen):
        return 255, 255, 255
    tones = np.percentile(seen.mean(1), [5, 95])
    if len(seen) > OPAQUE * layers[..., 0].size and np.ptp(tones) > CONTRAST:
        return tuple(int(tone) for tone in np.median(seen, axis=0))
    return (0,) * 3 if tones[0] >= 128 else (255,) * 3  # black where nothing is dark


def _plain(grey: Grey) -> Grey | None:
    """A small picture of one connected stroke, or a larger one of strokes, inside of even paper: it needs nothing; else None."""
    small = max(grey.shape) <= SMALL
    rim = 2 if small else round(BAND * max(grey.shape))
    margin = np.concatenate([side.ravel() for side in (grey[:rim], grey[-rim:], grey[rim:-rim, :rim], grey[rim:-rim, -rim:])])
    if np.ptp(margin) > EVEN:
        return None
    ink = cv2.absdiff(grey, np.full_like(grey, _level(margin, 0.5)))
    found = _components((ink > FAINT / 2 * ink.max()).view(np.uint8))
    clean = found.number == 2 if small else _even_between(ink) and _are_strokes(found, ink)[1:].all()
    return 255 - ink if clean and ink.max() >= CONTRAST else None


def _even_between(ink: Grey) -> bool:
    """Is there no more that is neither paper nor stroke than the edges of strokes?"""
    levels = _histogram(ink)
    return bool(levels[EVEN + 1 : int(FAINT / 2 * ink.max()) + 1].sum() <= EDGES * levels[EVEN + 1 :].sum())


def _parts(colour: Colour) -> Iterator[Colour]:
    """A sheet that lies within the picture, where there is one; then the whole picture."""
    small = cv2.blur(_reduced(colour, COARSE), (3, 3))
    if (sheet := _sheet(small)) is not None:
        mask = cv2.resize(sheet, colour.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        paper = np.median(small[sheet > 0], axis=0).astype(np.uint8)
        yield np.where(mask[..., None], colour, paper)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    yield colour


def _sheet(small: Colour) -> NDArray[np.uint8] | None:
    """The mask of the widest even region that has something else at two sides or more, filled, if it is a rectangle."""
    steps = [cv2.absdiff(small, np.roll(small, 1, axis)).max(2) for axis in (0, 1)]
    _, labels, stats, _ = cv2.connectedComponentsWithStats((np.maximum(*steps) < EVEN).view(np.uint8), connectivity=4)
    left, top, wide, high, _ = stats.T
    sides = [left > 1, top > 1, left + wide < small.shape[1] - 2, top + high < small.shape[0] - 2]
    extent = wide * high * (np.sum(sides, axis=0) > 1)
    extent[0] = 0
    if not extent.any():
        return None
    region = (labels == extent.argmax()).view(np.uint8)
    outline = max(cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)
    area = cv2.contourArea(outline)
    if area < max(SHEET[0] * region.size, SHEET[1] * np.prod(cv2.minAreaRect(outline)[1])):
        return None
    filled = cv2.drawContours(np.zeros_like(region), [outline], -1, 1, cv2.FILLED)
    own, within = (np.median(small[mask > 0], axis=0) for mask in (region, filled))
    sheet = cv2.erode(filled, np.ones((3, 3), np.uint8))
    drawn = np.abs(own - within).max() >= CONTRAST or not _ends(small, sheet > 0)  # an outline, or what is in one
    return None if drawn else sheet


def _ends(small: Colour, sheet: Mask) -> bool:
    """Is something else than a sheet at most of the picture's border? Else its outline is drawn, and its paper goes on behind it."""
    steps = []
    for quarters in range(4):
        inside, picture = np.rot90(sheet, quarters), np.rot90(small, quarters).astype(np.int16)
        rows = np.flatnonzero(inside.any(1))
        steps.append(np.abs(picture[rows, 0] - picture[rows, inside[rows].argmax(1)]).max(1))
    return bool(np.median(np.concatenate(steps)) > CONTRAST)


def _strokes(colour: Colour) -> Grey:
    """The ink, 255 at its strongest; 0 everywhere where there is none."""
    ink = _above_paper(_dark_on_light(_along_ink(colour)))
    ink = cv2.GaussianBlur(ink, (0, 0), max(ink.shape) / 400) if max(ink.shape) > 150 else ink
    inside = _inside(ink)
    inside = inside if _strongest(inside) >= CONTRAST else ink
    if (strongest := _strongest(inside)) < CONTRAST:
        return np.zeros(ink.shape, np.uint8)
    return cv2.convertScaleAbs(inside * _without_dust(inside), alpha=255 / strongest)


def _along_ink(colour: Colour) -> Map:
    """One channel, along the direction of colours in which neighbouring points differ most: ink and paper may be of one brightness."""
    small = _reduced(colour, COARSE // 2).astype(np.float32)
    residual = (small - cv2.blur(small, tuple(side // 6 * 2 + 1 for side in small.shape[1::-1]))).reshape(-1, 3)
    direction = np.linalg.eigh(residual.T @ residual)[1][:, -1]
    return colour @ (direction / np.abs(direction).sum()).astype(np.float32)


def _dark_on_light(channel: Map) -> Map:
    """From 0, with what is narrower than a stroke darker than the rest."""
    small = _reduced(channel - channel.min(), FIT).clip(0, 255).astype(np.uint8)
    beside = small.astype(np.float32) - cv2.medianBlur(small, _wide(small))
    rim = round(BAND * max(small.shape))
    inner = beside[rim:-rim, rim:-rim]
    beside = inner if np.abs(inner).max(initial=0) > EVEN else beside
    return channel.max() - channel if (beside**3).sum() > 0 else channel - channel.min()


def _above_paper(channel: Map) -> Grey:
    """How much darker each point is than the paper around it, without the noise of the paper."""
    channel = channel - light if (light := _light(channel)) is not None else channel
    small = cv2.medianBlur(_reduced(channel, COARSE), 3)
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((_wide(small),) * 2, np.uint8))
    ink = (cv2.resize(cv2.blur(paper, (3, 3)), channel.shape[::-1]) - channel).clip(0, 255).astype(np.uint8)
    return cv2.subtract(ink, _level(ink, 0.5))


def _light(channel: Map) -> Map | None:
    """The quadratic surface that fits most of the points: weighted least squares, again with less weight for outliers (Cauchy).

    None where it does not explain them, as at the edge of a shadow.
    """
    values = _reduced(channel, LIGHT).astype(np.float64)
    terms, residual = _quadratic(values.shape), values.ravel()
    weights = np.ones_like(residual)
    for _ in range(6):
        weighted = terms * weights[:, None]
        factors = np.linalg.lstsq(weighted.T @ terms, weighted.T @ values.ravel(), rcond=None)[0]
        residual = values.ravel() - terms @ factors
        weights = 1 / (1 + (residual / (3 * np.median(np.abs(residual)) + 2)) ** 2) ** 2
    if np.median(np.abs(residual)) > EVEN / 4:
        return None
    return cv2.resize((terms @ factors).reshape(values.shape).astype(np.float32), channel.shape[::-1], interpolation=cv2.INTER_LINEAR)


def _quadratic(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The terms of a quadratic surface at each point: [n, 6]."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    return np.stack([np.ones_like(x), y, x, y * x, y**2, x**2], -1).reshape(-1, 6)


def _wide(small: Grey) -> int:
    """An odd number of points, wider than a stroke."""
    return int(STROKE * max(small.shape)) | 1


def _inside(ink: Grey) -> Grey:
    """Without ruled lines, frames and what clings to the border; once more while something does, as it may hide what is fainter."""
    for _ in range(4):
        ink = _unruled(ink)
        found = _components(_strong(ink))
        rim = _clinging(found.labels, found.stats)[found.labels]
        if not rim.any():
            break
        ink = ink * ~_wider(rim)
    return ink


def _unruled(ink: Grey) -> Grey:
    """Thin rows and columns that run from border to border, two at least, lose what is common to their points."""
    strong = ink > FAINT / 2 * _strongest(ink)
    rows, columns = _across(strong), _across(strong.T)
    lines = sum(int(found[0]) + np.count_nonzero(np.diff(found.view(np.int8)) > 0) for found in (rows, columns))
    if lines > 1 and rows.sum() + columns.sum() < THIN * max(ink.shape) * lines:
        ink = ink.copy()
        ink[rows] -= np.minimum(ink[rows], np.median(ink[rows], axis=1, keepdims=True).astype(np.uint8))
        ink[:, columns] -= np.minimum(ink[:, columns], np.median(ink[:, columns], axis=0, keepdims=True).astype(np.uint8))
    return ink


def _without_dust(ink: Grey) -> Mask:
    """Where strokes are, and small marks among them."""
    found = _components(_without_hairs(ink))
    strokes = _are_strokes(found, ink)
    near = _among(found.stats, strokes)
    dusty = (~near)[1:].sum() >= AWAY or (~strokes)[1:].sum() > MARKS
    return _wider((strokes if dusty else strokes | near)[found.labels])


def _without_hairs(ink: Grey) -> NDArray[np.uint8]:
    """1 where ink is strong and, where it is thinner than HAIR, near what is not."""
    strong = _strong(ink)
    deep = cv2.distanceTransform(strong, cv2.DIST_L2, 3)
    ridge = (deep > 0) & (deep >= cv2.dilate(deep, np.ones((3, 3), np.uint8)))
    thin = round(HAIR * (2 * float(np.median(deep[ridge])) - 1)) if ridge.any() else 0
    if thin < 2:
        return strong
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thin, thin))
    thick = cv2.morphologyEx(strong, cv2.MORPH_OPEN, disc)
    return strong & cv2.dilate(thick, disc, iterations=2)


def _are_strokes(found: Components, ink: Grey) -> Mask:
    """Which components have as much ink, and are as large, as no dust is: [count]."""
    inside = found.labels > 0
    mass = np.bincount(found.labels[inside], ink[inside], found.number)
    size = np.maximum(found.stats[:, cv2.CC_STAT_WIDTH], found.stats[:, cv2.CC_STAT_HEIGHT])
    size[0] = 0
    return (mass > DUST[0] * mass.max()) & (size > DUST[1] * size[mass.argmax()])


def _components(strong: Grey) -> Components:
    """The connected components of what is not 0; the first is all that is 0."""
    return Components(*cv2.connectedComponentsWithStats(strong, connectivity=8)[:3])


def _strong(ink: Grey) -> Grey:
    """1 where ink is more than faint, else 0."""
    return (ink > FAINT * _strongest(ink)).view(np.uint8)


def _wider(mask: Mask) -> Mask:
    """With the faint edge of a stroke."""
    return cv2.dilate(mask.view(np.uint8), np.ones((3, 3), np.uint8), iterations=max(1, max(mask.shape) // 150)) > 0


def _across(strong: Mask) -> Mask:
    """The rows that belong to a line from one border to the other: [height]."""
    end = max(1, strong.shape[1] // 100)
    return (strong.mean(1) > LINE) & strong[:, :end].any(1) & strong[:, -end:].any(1)


def _clinging(labels: NDArray[np.int32], stats: NDArray[np.int32]) -> Mask:
    """Which components touch the border, and lie along it or are no strokes?"""
    height, width = labels.shape
    left, top, wide, high, area = stats.T
    right, bottom, side = width - left - wide, height - top - high, max(labels.shape)
    touching = np.minimum.reduce([left, top, right, bottom]) < max(1, 0.02 * side)
    far = (wide > LONG * width) | (high > LONG * height)
    within = np.minimum.reduce([left + wide, top + high, right + wide, bottom + high]) < BAND * side
    rim = max(1, round(RIM * side))
    inner = np.bincount(labels[rim:-rim, rim:-rim].ravel(), minlength=len(stats))
    found = touching & (far & (within | (inner < 0.4 * area)) | (area > SOLID * np.maximum(wide, high) ** 2))
    found |= within & (within[1:].sum() > DASHES)
    found |= _are_frames(labels, stats)
    found[0] = False
    return found


def _are_frames(labels: NDArray[np.int32], stats: NDArray[np.int32]) -> Mask:
    """Which components are straight, thin rectangles along all four borders, where there is something else than they?"""
    height, width = labels.shape
    left, top, wide, high, _ = stats.T
    side, large = max(labels.shape), np.maximum(wide, high) > FRAME[1] * max(labels.shape)
    near = np.maximum.reduce([left, top, width - left - wide, height - top - high]) < BAND * side
    thick = max(2, round(FRAME[0] * side))
    for number in np.flatnonzero(near):
        x, y, w, h = stats[number, :4] + (thick, thick, -2 * thick, -2 * thick)
        near[number] = number > 0 and not (labels[y : y + h, x : x + w] == number).any()
    return near & bool((large & ~near)[1:].any())


def _among(stats: NDArray[np.int32], strokes: Mask) -> Mask:
    """Which components lie in the rectangle around the strokes, or beside it?"""
    left, top, wide, high = stats[:, :4].T
    x0, y0, x1, y1 = left[strokes].min(), top[strokes].min(), (left + wide)[strokes].max(), (top + high)[strokes].max()
    beside = BESIDE * max(x1 - x0, y1 - y0)
    return (left > x0 - beside) & (top > y0 - beside) & (left + wide < x1 + beside) & (top + high < y1 + beside)


def _strongest(ink: Grey) -> int:
    """The level that TOP of the points reach, two at least."""
    return _level(ink, 1 - max(TOP, 2 / ink.size))


def _level(ink: Grey, share: float) -> int:
    """The level below which `share` of the points lie."""
    return int(np.searchsorted(_histogram(ink).cumsum(), share * ink.size, side="right"))


def _histogram(ink: Grey) -> NDArray[np.int64]:
    """How many points each of the 256 levels has."""
    return cv2.calcHist([ink], [0], None, [256], [0, 256])[:, 0].astype(np.int64)


def _reduced(picture: NDArray[Any], side: int) -> NDArray[Any]:
    """With sides of at most `side` pixels, by the mean of areas."""
    ratio = side / max(picture.shape[:2])
    size = tuple(max(1, round(length * ratio)) for length in picture.shape[1::-1])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if ratio < 1 else picture
