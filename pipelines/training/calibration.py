"""Temperature scaling, by which confidence means accuracy."""

import numpy as np
from numpy.typing import NDArray

DIVISORS = np.geomspace(0.25, 4, 81)


def temperature(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """The divisor of logits [n, classes] that maximises the likelihood of `labels` [n] (Guo et al. 2017, section 4.2).

    Labels are smoothed by 1 / (n + 2) (Platt 1999), so that a model without an error on few examples is not called certain.
    """
    smoothing = 1 / (len(labels) + 2)
    return float(min(DIVISORS, key=lambda divisor: _cross_entropy(logits / divisor, labels, smoothing)))


def _cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.uint8], smoothing: float) -> float:
    """Mean cross entropy with `labels`, a share `smoothing` of each spread over the other classes."""
    shifted = logits - logits.max(1, keepdims=True)
    logprobs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    own = logprobs[np.arange(len(labels)), labels]
    others = (logprobs.sum(1) - own) / (logits.shape[1] - 1)
    return float(-((1 - smoothing) * own + smoothing * others).mean())
