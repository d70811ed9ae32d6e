"""Anchors: typical widths and heights of the boxes of a data set."""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans


class TooFewBoxes(ValueError):
    """Fewer different boxes than anchors."""


def kmeans(sizes: NDArray[np.float32], count: int, seed: int) -> list[tuple[float, float]]:
    """`count` centres of `sizes` [k, 2], widths and heights in pixels of the input: tenths of a pixel, the smallest area first.

    Raises TooFewBoxes. Found among logarithms, so that small boxes count as much as large ones.
    """
    kinds = len(np.unique(sizes, axis=0))
    if kinds < count:
        raise TooFewBoxes(f"{count} anchors cannot be found in {kinds} different boxes. Label more, or set model.anchors=standard.")
    centres = np.exp(KMeans(count, n_init=10, random_state=seed).fit(np.log(sizes.astype(float))).cluster_centers_)
    return sorted(
        ((round(float(width), 1), round(float(height), 1)) for width, height in centres), key=lambda anchor: anchor[0] * anchor[1]
    )
