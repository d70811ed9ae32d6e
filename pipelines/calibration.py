"""Confidence that means accuracy."""

import numpy as np
from numpy.typing import NDArray

DIVISORS = np.geomspace(0.25, 4, 81)


def temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """What logits [n, classes] are divided by for the best likelihood of `labels` [n] (Guo et al. 2017, section 4.2)."""
    return float(min(DIVISORS, key=lambda divisor: _surprise(logits / divisor, labels)))


def _surprise(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Mean negative log-likelihood of `labels`."""
    steady = logits - logits.max(1, keepdims=True)
    return float((np.log(np.exp(steady).sum(1)) - steady[np.arange(len(labels)), labels]).mean())
