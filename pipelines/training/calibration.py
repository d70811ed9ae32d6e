"""Confidence that means accuracy."""

import numpy as np
from numpy.typing import NDArray

DIVISORS = np.geomspace(0.25, 4, 81)


def temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """What logits [n, classes] are divided by for the best likelihood of `labels` [n] (Guo et al. 2017, section 4.2).

    Each label is doubted once in n + 2 (Platt 1999): a model that errs nowhere on few examples is not called certain.
    """
    doubt = 1 / (len(labels) + 2)
    return float(min(DIVISORS, key=lambda divisor: _surprise(logits / divisor, labels, doubt)))


def _surprise(logits: NDArray[np.float32], labels: NDArray[np.uint8], doubt: float) -> float:
    """Mean cross entropy against `labels`, a share `doubt` of each spread over the other classes."""
    steady = logits - logits.max(1, keepdims=True)
    chances = steady - np.log(np.exp(steady).sum(1, keepdims=True))
    said = chances[np.arange(len(labels)), labels]
    others = (chances.sum(1) - said) / (logits.shape[1] - 1)
    return float(-((1 - doubt) * said + doubt * others).mean())
