"""Pages whose ink and paper are of one grey level and of two colours: red on green, blue on brown."""

import cv2
import numpy as np
from numpy.typing import NDArray

FLAT = 40  # levels of grey: a page with more has ink that is seen in grey
TIMES = 2.0  # times the levels of grey, by which colours differ where they alone tell ink from paper
LEAST = 48  # levels by which they differ at least
INK = 0.002  # of a page is ink, at least
SAMPLED = 512  # pixels of a side that are looked at


def is_flat(grey: NDArray[np.uint8]) -> bool:
    """Is there no ink to be seen on a page [height, width]?"""
    return bool(_spread(_sampled(grey)) < FLAT)


def separated(colour: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """A page [height, width, 3] dark on white, by the direction in which its colours differ most; None where they hardly do."""
    points = _sampled(colour).reshape(-1, 3).astype(np.float32)
    grey = points.mean(1)
    apart = max(_spread(points[:, channel] - grey) for channel in range(3))
    if apart < max(LEAST, TIMES * _spread(grey)):
        return None
    paper = np.median(points, axis=0)
    direction = np.linalg.eigh(np.cov(points.T))[1][:, -1].astype(np.float32)
    strongest = float(np.quantile(np.abs((points - paper) @ direction), 1 - INK))
    row = np.append(direction, -paper @ direction)[None] * (255 / max(1.0, strongest))
    ink = cv2.add(cv2.transform(colour, row), cv2.transform(colour, -row))  # either way from the paper, in bytes: pages are large
    return np.asarray(cv2.bitwise_not(ink), np.uint8)


def _sampled(page: NDArray[np.uint8]) -> NDArray[np.uint8]:
    step = 1 + max(page.shape[:2]) // SAMPLED
    return page[::step, ::step]


def _spread(values: NDArray[np.number]) -> float:
    return float(np.ptp(np.quantile(values, [INK, 1 - INK])))
