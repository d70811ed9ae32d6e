"""Intervals and calibration, the same for every task."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of confidence, Guo et al. 2017
Z = 1.959964  # 95 %
Rows = list[dict[str, Any]]


def wilson(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of `count` (Wilson 1927)."""
    middle, spread = share + Z**2 / (2 * count), Z * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return float((middle - spread) / (1 + Z**2 / count)), float((middle + spread) / (1 + Z**2 / count))


def reliability(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> Rows:
    """Mean confidence [n] against accuracy in equal bins from 0 to 1; `weight` is a bin's share of the examples."""
    bins = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    groups = [bins == index for index in np.unique(bins)]
    return [
        {"confidence": float(confidence[own].mean()), "accuracy": float(correct[own].mean()), "weight": float(own.mean())} for own in groups
    ]


def calibration_error(rows: Rows) -> float:
    """The expected calibration error of the rows of reliability()."""
    return sum(row["weight"] * abs(row["accuracy"] - row["confidence"]) for row in rows)
