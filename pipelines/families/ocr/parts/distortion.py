"""Augmentation of scanned lines: as printed, cut out and scanned another time."""

import cv2
import numpy as np
from numpy.typing import NDArray

TURN = 0.02  # radians: the standard deviation of a line's skew
SLANT = 0.12  # the same of the slant of letters, as a share of their height
STRETCH = 0.12  # of the logarithm of its width
SHIFT = 0.06  # of its shift up or down, as a share of its height
SWELL = 0.08  # of the logarithm of its size


def distorted(grey: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """A line [h, w] turned, slanted, stretched, moved; then blurred, thinned or thickened, faded, and with noise."""
    return _scanned(_printed(_bent(grey, random), random), random)


def _bent(grey: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    height, width = grey.shape
    turn, slant, up = random.normal(0, [min(TURN, 3 / width), SLANT, SHIFT * height])
    wide, swell = np.exp(random.normal(0, [STRETCH, SWELL]))
    across = round(width * wide * swell + abs(slant) * height)
    middle = np.array([width / 2, height / 2])
    turned = np.array([[wide * swell, slant], [turn, swell]])
    moved = np.array([across / 2, height / 2 + up]) - turned @ middle
    paper = float(np.quantile(grey, 0.8))
    matrix = np.concatenate([turned, moved[:, None]], 1)
    return cv2.warpAffine(grey, matrix, (max(8, across), height), flags=cv2.INTER_LINEAR, borderValue=paper)


def _printed(grey: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Ink that is fatter, thinner or blurred, now and then."""
    kind = random.random()
    if kind < 0.1:
        return cv2.erode(grey, np.ones((2, 2), np.uint8))
    if kind < 0.2:
        return cv2.dilate(grey, np.ones((2, 2), np.uint8))
    return cv2.GaussianBlur(grey, (0, 0), random.uniform(0.3, 1.2)) if kind < 0.5 else grey


def _scanned(grey: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Contrast and noise."""
    levels = 255 - (255 - grey.astype(np.float32)) * random.uniform(0.5, 1.1)
    if random.random() < 0.5:
        levels += random.normal(0, random.uniform(0, 14), grey.shape).astype(np.float32)
    return np.clip(levels, 0, 255).astype(np.uint8)
