"""Rendered images that hold no readable text, on which a network learns to read nothing."""

import cv2
import numpy as np

from pipelines.families.ocr.parts import vocabulary
from pipelines.families.ocr.parts.receipts import Grey, Random, picture, scanned


def nothing(random: Random) -> Grey:
    """An image [h, w] without a readable line: bare paper, rules, scribbles, bars, shapes, a line upside down or cut to slivers."""
    return KINDS[int(random.integers(len(KINDS)))](random)


def _size(random: Random) -> tuple[int, int]:
    return int(random.integers(18, 66)), int(np.exp(random.uniform(np.log(20), np.log(700))))


def _paper(random: Random) -> Grey:
    return scanned(np.zeros(_size(random), np.float32), random)


def _rules(random: Random) -> Grey:
    height, width = _size(random)
    ink = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 4))):
        y, thick = int(random.integers(0, height)), int(random.integers(1, 4))
        ink[y : y + thick, :: int(random.integers(1, 3)) if random.random() < 0.3 else 1] = 1
    if random.random() < 0.3:
        ink[:, int(random.integers(0, width)) :][:, : int(random.integers(1, 4))] = 1
    return scanned(ink, random)


def _scribble(random: Random) -> Grey:
    """Loops or a stroke of a pen."""
    height, width = _size(random)
    ink, time = np.zeros((height, width), np.float32), np.linspace(0, 1, 60)
    turns, phase = random.uniform(0.5, 7, 2), random.uniform(0, 6.3, 2)
    x = width * (0.1 + 0.8 * time * random.uniform(0.3, 1) + random.uniform(0, 0.2) * np.sin(turns[0] * 6.3 * time + phase[0]))
    y = height * (0.5 + random.uniform(0.2, 0.6) * np.sin(turns[1] * 6.3 * time + phase[1]))
    points = np.stack([x, y], 1).astype(np.int32)
    cv2.polylines(ink, [points], False, (1.0,), int(random.integers(1, 4)), cv2.LINE_AA)
    return scanned(ink, random)


def _bars(random: Random) -> Grey:
    """A piece of a barcode."""
    height, width = _size(random)
    module = int(random.integers(2, 5))
    row = np.repeat((random.random(width // module + 1) < 0.5).astype(np.float32), module)[:width]
    ink = np.repeat(row[None], height, 0)
    if random.random() < 0.4:
        ink[: int(random.integers(0, height // 2))] = 0
    return scanned(np.ascontiguousarray(ink), random)


def _shapes(random: Random) -> Grey:
    """Parts of logos: discs, boxes, dirt."""
    height, width = _size(random)
    ink = np.zeros((height, width), np.float32)
    for _ in range(int(random.integers(1, 5))):
        middle = (int(random.integers(0, width)), int(random.integers(0, height)))
        radii = (int(random.integers(2, 40)), int(random.integers(2, 40)))
        cv2.ellipse(ink, middle, radii, float(random.uniform(0, 180)), 0, 360, (1.0,), int(random.choice([-1, 2, 4])))
    return scanned(ink, random)


def _upside_down(random: Random) -> Grey:
    """Words upside down, or on their side."""
    seen = picture(vocabulary.letters(random), random)
    return np.ascontiguousarray(seen[::-1, ::-1]) if random.random() < 0.8 else np.ascontiguousarray(np.rot90(seen)[:80])


def _sliver(random: Random) -> Grey:
    """The bottom of the line above and the top of the one below, with the paper between."""
    above, below = (picture(vocabulary.letters(random), random) for _ in range(2))
    width = min(above.shape[1], below.shape[1])
    paper = int(min(np.median(above), np.median(below)))
    feet = above[-int(above.shape[0] * random.uniform(0.05, 0.22)) :, :width]
    heads = below[: int(below.shape[0] * random.uniform(0.05, 0.22)) + 1, :width]
    return np.concatenate([feet, np.full((int(random.integers(14, 40)), width), paper, np.uint8), heads])


KINDS = (_paper, _rules, _scribble, _bars, _shapes, _upside_down, _upside_down, _upside_down, _sliver)
