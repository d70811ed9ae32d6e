"""Rendered lines of scanned receipts, for pretraining, tests and the demo; each call draws a new one.

A line is set in one of the fonts, together with neighbours above and below; one affine map gives it its size, slant and crop; then it
is printed (dots, gaps, fading) and scanned (paper, blur, noise, threshold, JPEG).
"""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipelines.families.ocr.parts import fonts, vocabulary

Random = np.random.Generator
Grey = NDArray[np.uint8]
Ink = NDArray[np.float32]

MARGIN = 3  # pixels around the box of a line
CAPITALS = (9.0, 42.0)  # pixels: heights of capitals
WIDEST = 1200  # pixels
TILE = 1400  # pixels: side of the textures that pieces are cut from


class Setting(NamedTuple):
    """Ink [h, w] of 0 to 255 of a line and its neighbours, and the box of the line in it: left, top, right, bottom, in pixels."""

    ink: Grey
    box: tuple[float, float, float, float]


def line(random: Random) -> tuple[str, Grey]:
    """A line's text and its image [h, w], 14 to 70 pixels high."""
    text = vocabulary.text(random)
    return text, picture(text, random)


def picture(text: str, random: Random) -> Grey:
    """An image [h, w] of `text` as scanned from a receipt."""
    face = fonts.every()[int(random.choice(len(_shares()), p=_shares()))]
    height = _capital(text, random)
    coarse = random.random() < 0.22  # printed in few, visible dots
    raster = int(random.integers(8, 13)) if coarse else round(height)
    edges = _edges(random, height)
    setting = _set(text, face.sized(raster), coarse, edges[1] > height / 3, edges[3] > height / 3, random)
    return scanned(_printed(_cropped(setting, height / raster, edges, coarse, random), height, random), random)


@cache
def _shares() -> NDArray[np.float64]:
    shares = np.array([face.share for face in fonts.every()])
    return np.asarray(shares / shares.sum())


def _capital(text: str, random: Random) -> float:
    """Pixels; long lines are smaller, so that they stay below WIDEST."""
    height = np.exp(random.normal(np.log(21), 0.32))
    return float(np.clip(height, CAPITALS[0], min(CAPITALS[1], WIDEST / len(text) / 0.9)))


def _set(text: str, font: ImageFont.FreeTypeFont, coarse: bool, above: bool, below: bool, random: Random) -> Setting:
    """The text on a canvas with a line's height around it, with neighbours where the crop reaches them."""
    shown = _spread(text, random)
    spacing = random.uniform(-0.04, 0.3) * font.size if random.random() < 0.15 else None
    left, top, right, bottom = _extent(shown, font, spacing)
    around = round(font.size)
    canvas = Image.new("L", (round(right - left) + 2 * around, round(bottom - top) + 3 * around))
    on = ImageDraw.Draw(canvas)
    on.fontmode = "1" if coarse else "L"
    at = (around - left, 1.5 * around - top)
    _write(on, at, shown, font, spacing)
    _ruled(on, at, font, random)
    for side in [-1] * above + [1] * below:
        _neighbour(on, (at[0], at[1] + side * font.size * random.uniform(1.0, 1.6)), len(text), font, random)
    box = (float(around), 1.5 * around, around + right - left, 1.5 * around + bottom - top)
    return Setting(np.asarray(canvas), box)


def _spread(text: str, random: Random) -> str:
    """With a gap wider than a space, as between columns, now and then; it is read as one space."""
    if " " not in text or random.random() > 0.12:
        return text
    words = text.split(" ")
    place = int(random.integers(1, len(words)))
    return " ".join(words[:place]) + " " * int(random.integers(2, 7)) + " ".join(words[place:])


def _extent(text: str, font: ImageFont.FreeTypeFont, spacing: float | None) -> tuple[float, float, float, float]:
    """The box of its ink and of an x, so that a sign such as a hyphen has a line's height."""
    left, top, right, bottom = font.getbbox(text)
    _, high, _, low = font.getbbox("x")
    wide = right + spacing * (len(text) - 1) if spacing is not None else right
    return float(left), float(min(top, high)), float(max(wide, left + 1)), float(max(bottom, low))


def _write(on: ImageDraw.ImageDraw, at: tuple[float, float], text: str, font: ImageFont.FreeTypeFont, spacing: float | None) -> None:
    if spacing is None:
        on.text(at, text, 255, font)
        return
    x, y = at
    for sign in text:
        on.text((x, y), sign, 255, font)
        x += font.getlength(sign) + spacing


def _neighbour(on: ImageDraw.ImageDraw, at: tuple[float, float], length: int, font: ImageFont.FreeTypeFont, random: Random) -> None:
    if random.random() < 0.7:
        on.text((at[0] + random.uniform(-2, 2) * font.size, at[1]), vocabulary.text(random)[: length + 6], 255, font)


def _ruled(on: ImageDraw.ImageDraw, at: tuple[float, float], font: ImageFont.FreeTypeFont, random: Random) -> None:
    """A rule above or below, now and then."""
    if random.random() < 0.06:
        y = at[1] + font.size * (random.uniform(-0.2, 0.02) if random.random() < 0.4 else random.uniform(1.12, 1.3))
        on.line([(0, y), (10_000, y)], 255, max(1, round(font.size / random.uniform(9, 25))))


def _cropped(setting: Setting, scale: float, edges: list[float], coarse: bool, random: Random) -> Ink:
    """The line in its final size, crop and slant: ink [h, w] of 0 to 1."""
    left, top, right, bottom = setting.box
    across = scale * (random.uniform(0.6, 0.9) if random.random() < 0.55 else random.uniform(0.85, 1.15))
    across = min(across, WIDEST / (right - left + 1))
    slant = _rarely(random, 0.15, 0.2)
    skew = _rarely(random, 0.3, 0.012) * min(1.0, 12 * scale * (bottom - top) / (across * (right - left)))
    width = max(4, round(across * (right - left) + edges[0] + edges[2] + abs(slant) * scale * (bottom - top)))
    height = max(8, round(scale * (bottom - top) + edges[1] + edges[3] + abs(skew) * width))
    turned = np.array([[across, -slant * scale], [skew * across, scale]])
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    target = np.array([(width + edges[0] - edges[2]) / 2, (height + edges[1] - edges[3]) / 2])
    how = cv2.INTER_NEAREST if coarse and random.random() < 0.5 else cv2.INTER_LINEAR
    matrix = np.column_stack([turned, target - turned @ middle])
    return cv2.warpAffine(setting.ink, matrix, (width, height), flags=how).astype(np.float32) / np.float32(255)


def _rarely(random: Random, share: float, width: float) -> float:
    return float(random.normal(0, width)) if random.random() < share else 0.0


def _edges(random: Random, height: float) -> list[float]:
    """Pixels beyond the box at left, top, right and bottom, rarely negative or many. `height`: of capitals."""
    usual = [MARGIN + random.uniform(-1.5, 2.5) for _ in range(4)]
    if random.random() < 0.25:
        side = int(random.integers(4))
        usual[side] += height * (random.uniform(-0.15, 0.1) if side % 2 else random.uniform(-0.04, 1.0))
    if random.random() < 0.2:
        usual[1] += height * random.uniform(0, 0.85)
        usual[3] += height * random.uniform(0, 0.85)
    return usual


def _printed(ink: Ink, height: float, random: Random) -> Ink:
    """Thicker or thinner strokes, dots, gaps and fading."""
    draw = random.random()
    if draw < 0.16:
        ink = cv2.dilate(ink, np.ones((1 + int(height > 26), 2), np.uint8))
    elif draw < 0.26 and height > 20:
        ink = cv2.erode(ink, np.ones((2, 2), np.uint8))
    if random.random() < 0.14:
        ink = ink * _dots(ink.shape, height, random)
    if random.random() < 0.3:
        ink = ink * _piece(_clouds(), ink.shape, random) ** random.uniform(0.2, 1.0)
    if random.random() < 0.15:
        ink = ink * (_piece(_grain(), ink.shape, random) > random.uniform(-2.4, -1.1))
    return ink


def _dots(shape: tuple[int, ...], height: float, random: Random) -> Ink:
    """The grid of a matrix printer's needles: 7 to 10 to a capital."""
    pitch = height / random.uniform(7, 10)
    y, x = (np.cos(np.arange(side, dtype=np.float32) * np.float32(2 * np.pi / pitch)) for side in shape)
    grid = (y[:, None] + x) if random.random() < 0.6 else np.broadcast_to(2 * y[:, None], shape)
    return np.clip(np.float32(random.uniform(0.6, 1.1)) + np.float32(0.4) * grid, 0, 1).astype(np.float32)


def scanned(ink: Ink, random: Random) -> Grey:
    """Ink on paper, blurred, noisy, perhaps of two levels only, perhaps through JPEG: [h, w] of 0 to 255."""
    if random.random() < 0.6:
        ink = cv2.GaussianBlur(ink, (0, 0), random.uniform(0.3, 0.35 + 0.022 * min(ink.shape[0], 60)))
    paper = 255.0 if random.random() < 0.55 else random.uniform(170, 256)
    dark = random.uniform(0, 90) if random.random() < 0.7 else random.uniform(60, min(200.0, paper - 40))
    seen = np.float32(paper) - ink * np.float32(paper - dark)
    if random.random() < 0.3:
        seen += np.linspace(random.uniform(-25, 25), random.uniform(-25, 25), ink.shape[1], dtype=np.float32)
    if random.random() < 0.5:
        seen += _piece(_grain(), ink.shape, random) * np.float32(random.gamma(2, 4))
    if random.random() < 0.18:
        seen = _two_levels(seen, (paper + dark) / 2 + random.uniform(-0.15, 0.22) * (paper - dark), random)
    if random.random() < 0.03:
        seen = 255 - seen
    grey = np.clip(seen, 0, 255).astype(np.uint8)
    return _compressed(grey, random) if random.random() < 0.5 else grey


def _two_levels(seen: Ink, level: float, random: Random) -> Ink:
    """Black and white, with the ragged edges that leaves; softened a little or not."""
    ragged = seen + _piece(_grain(), seen.shape, random) * np.float32(random.uniform(0, 22))
    black = np.where(ragged > level, np.float32(255), np.float32(random.uniform(0, 60)))
    return cv2.GaussianBlur(black, (0, 0), random.uniform(0.3, 0.7)) if random.random() < 0.5 else black


def _compressed(grey: Grey, random: Random) -> Grey:
    _, content = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(35, 93))])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


def _piece(texture: Ink, shape: tuple[int, ...], random: Random) -> Ink:
    y, x = (int(random.integers(0, max(1, side - size + 1))) for side, size in zip(texture.shape, shape, strict=True))
    piece = texture[y : y + shape[0], x : x + shape[1]]
    return piece if piece.shape == tuple(shape) else cv2.resize(piece, shape[::-1])


@cache
def _grain() -> Ink:
    """Noise of mean 0 and deviation 1, half of it a little smooth."""
    raw = np.random.default_rng(1).standard_normal((TILE // 4, TILE), np.float32)
    smooth = cv2.GaussianBlur(raw, (0, 0), 0.8)
    return np.concatenate([raw, smooth / smooth.std()])


@cache
def _clouds() -> Ink:
    """Smooth noise of 0 to 1 in several sizes: where a worn ribbon or a dirty head prints less."""
    random = np.random.default_rng(2)
    layers = [
        cv2.resize(random.random((TILE // 4 // size + 2, TILE // size + 2), np.float32), (TILE, TILE // 4), interpolation=cv2.INTER_CUBIC)
        for size in (4, 12, 40)
    ]
    whole = sum(layers[1:], layers[0])
    return np.clip((whole - whole.mean()) / (3 * whole.std()) + 0.75, 0.25, 1).astype(np.float32)
