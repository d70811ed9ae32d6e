"""Augmentation of scanned pages with their boxes: rotation, scale, shift, ink, light, blur, noise, JPEG, pasting, mosaic."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.families.signatures.picture import Boxes
from pipelines.families.signatures.settings import Distortion

FINE = 1.5  # times the square's side: the longer side of a page before distortion
PAPER = 255  # beyond a page's edge
SEEN = 0.35  # the least part of a box on the page for it to count
Grey = NDArray[np.uint8]


class Labelled(NamedTuple):
    """A page [height, width] and its boxes [k, 4]: x, y, w, h as fractions of it."""

    picture: Grey
    boxes: Boxes


def reduced(picture: Grey, side: int) -> Grey:
    """A page reduced to FINE times `side`: bilinear sampling alone would lose thin strokes."""
    height, width = picture.shape
    share = min(1.0, FINE * side / max(height, width))
    return cv2.resize(picture, (round(width * share), round(height * share)), interpolation=cv2.INTER_AREA)


def distorted(page: Labelled, others: Sequence[Labelled], strength: Distortion, side: int, random: np.random.Generator) -> Labelled:
    """A distorted page [side, side]. `others` are pages that pasted signatures and a mosaic's other quarters are taken from."""
    if random.random() < strength.pasted:
        page = _pasted(page, others, random)
    moved = _moved(page, strength, side, random)
    if random.random() < strength.mosaic:
        moved = _mosaic([moved, *(_moved(_any(others, random), strength, side, random) for _ in range(3))])
    return Labelled(_scanned(moved.picture, strength, random), moved.boxes)


def _moved(page: Labelled, strength: Distortion, side: int, random: np.random.Generator) -> Labelled:
    """Rotated, scaled and shifted in one step."""
    matrix = _matrix(strength, page.picture.shape, side, random)
    flat = cv2.warpAffine(page.picture, matrix[:2], (side, side), flags=cv2.INTER_LINEAR, borderValue=PAPER)
    return Labelled(flat, _carried(page, matrix, side))


def _matrix(strength: Distortion, shape: tuple[int, ...], side: int, random: np.random.Generator) -> NDArray[np.float64]:
    """From the page's pixels to the square's [3, 3], about the middle, rotated in the page's proportions."""
    height, width = shape
    angle = np.deg2rad(random.uniform(-strength.rotation, strength.rotation))
    across, down = np.exp(random.uniform(-strength.scale, strength.scale) + random.uniform(-0.25, 0.25, 2) * strength.scale)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    middle = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    shift = random.uniform(-strength.shift, strength.shift, 2)
    stretch = np.array([[across * side / width, 0, side * (0.5 + shift[0])], [0, down * side / height, side * (0.5 + shift[1])], [0, 0, 1]])
    return stretch @ turn @ middle


def _carried(page: Labelled, matrix: NDArray[np.float64], side: int) -> Boxes:
    """The boxes around the moved corners, clipped; those that are mostly outside are dropped."""
    height, width = page.picture.shape
    low, high = page.boxes[:, :2], page.boxes[:, :2] + page.boxes[:, 2:]
    x = np.stack([low[:, 0], high[:, 0], high[:, 0], low[:, 0]], 1)
    y = np.stack([low[:, 1], low[:, 1], high[:, 1], high[:, 1]], 1)
    corners = np.stack([x * width, y * height, np.ones_like(x)], 1)
    moved = np.einsum("ij,kjc->kic", matrix[:2], corners) / side
    return _cut(np.concatenate([moved.min(2), moved.max(2)], 1))


def _cut(corners: NDArray[np.float64]) -> Boxes:
    """Corners [k, 4] of x, y, x, y cut to the unit square, as boxes."""
    within = np.clip(corners, 0, 1)
    area, left = ((part[:, 2:] - part[:, :2]).prod(1) for part in (corners, within))
    kept = within[left > SEEN * np.maximum(area, 1e-9)]
    return np.concatenate([kept[:, :2], kept[:, 2:] - kept[:, :2]], 1).astype(np.float32)


def _any(others: Sequence[Labelled], random: np.random.Generator) -> Labelled:
    return others[int(random.integers(len(others)))]


def _pasted(page: Labelled, others: Sequence[Labelled], random: np.random.Generator) -> Labelled:
    """The page with a signature of another page at a place without one, ink on ink."""
    other = _any(others, random)
    if not len(other.boxes):
        return page
    box = other.boxes[int(random.integers(len(other.boxes)))]
    (height, width), (tall, wide) = page.picture.shape, other.picture.shape
    left, top, right, bottom = (np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]]) * [wide, tall, wide, tall]).astype(int)
    ink = other.picture[top:bottom, left:right][: height - 1, : width - 1]
    if not ink.size:
        return page
    x, y = int(random.integers(width - ink.shape[1])), int(random.integers(height - ink.shape[0]))
    new = np.array([[x / width, y / height, ink.shape[1] / width, ink.shape[0] / height]], np.float32)
    if _touching(new, page.boxes):
        return page
    picture = page.picture.copy()
    spot = picture[y : y + ink.shape[0], x : x + ink.shape[1]]
    np.minimum(spot, ink, out=spot)
    return Labelled(picture, np.concatenate([page.boxes, new]))


def _touching(new: Boxes, boxes: Boxes) -> bool:
    low = np.maximum(new[:, :2], boxes[:, :2])
    high = np.minimum(new[:, :2] + new[:, 2:], boxes[:, :2] + boxes[:, 2:])
    return bool((high > low).all(1).any())


def _mosaic(pages: Sequence[Labelled]) -> Labelled:
    """Four pages, each in its quarter."""
    side = pages[0].picture.shape[0]
    small = [cv2.resize(page.picture, (side // 2, side // 2), interpolation=cv2.INTER_AREA) for page in pages]
    places = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]], np.float32)
    boxes = np.concatenate([(page.boxes + place) / 2 for page, place in zip(pages, places, strict=True)])
    return Labelled(np.vstack([np.hstack(small[:2]), np.hstack(small[2:])]), boxes)


def _scanned(picture: Grey, strength: Distortion, random: np.random.Generator) -> Grey:
    """Ink fainter or fatter, light and contrast, blur, noise, JPEG."""
    picture = _inked(picture, strength.ink, random)
    picture = _lit(picture, strength.light, random)
    if random.random() < strength.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(0.3, 0.9))
    if random.random() < strength.noise:
        grain = random.normal(0, random.uniform(2, 12), picture.shape)
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    if random.random() < strength.jpeg:
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 80))])
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)
    return picture


def _inked(picture: Grey, share: float, random: np.random.Generator) -> Grey:
    """Strokes a little fatter or thinner: mixed with the darkest, or lightest, pixel around."""
    amount = random.uniform(-share, share)
    other = cv2.erode(picture, np.ones((2, 2), np.uint8)) if amount > 0 else cv2.dilate(picture, np.ones((2, 2), np.uint8))
    return cv2.addWeighted(picture, 1 - abs(amount), other, abs(amount), 0)


def _lit(picture: Grey, share: float, random: np.random.Generator) -> Grey:
    """Paper and ink lighter or darker: a bend of the curve, and ink that is not black."""
    bend, faint = np.exp(random.uniform(-share, share)), random.uniform(0, share * 0.6)
    curve = faint * 255 + (1 - faint) * 255 * (np.arange(256) / 255) ** bend
    return cv2.LUT(picture, curve.clip(0, 255).astype(np.uint8))
