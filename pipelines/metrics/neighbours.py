"""Nearest neighbours by cosine similarity: exact with NumPy for few vectors, approximate with FAISS for many.

`make bench name=neighbours` compares this choice with others.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

EXACT = 30_000  # vectors of 256 numbers that NumPy searches in 2.6 ms with one thread
PROBED = 16  # cells that are searched for a query
SAMPLE = 64  # vectors a cell for the k-means of the centres
Vectors = NDArray[np.float32]
Found = tuple[NDArray[np.float32], NDArray[np.int64]]


class Index:
    """Vectors [n, d] of length 1, each known by its row. Above EXACT of them the similarities are approximate, to about 0.01."""

    def __init__(self, vectors: Vectors) -> None:
        self._size = len(vectors)
        self._vectors: Any = cells(vectors) if self._size > EXACT else np.ascontiguousarray(vectors, np.float32)

    def __len__(self) -> int:
        return self._size

    def nearest(self, queries: Vectors, k: int) -> Found:
        """The k most similar rows to each query [m, d], best first, all where there are fewer: similarities [m, k] and rows [m, k]."""
        search = exact if isinstance(self._vectors, np.ndarray) else approximate
        return search(self._vectors, np.ascontiguousarray(queries, np.float32), min(k, len(self)))


def exact(vectors: Vectors, queries: Vectors, k: int) -> Found:
    """Exhaustive search."""
    similarities = queries @ vectors.T
    left = len(vectors) - k
    rows = np.argpartition(similarities, left, axis=1)[:, left:] if 0 < k < len(vectors) else np.tile(np.arange(k), (len(queries), 1))
    found = np.take_along_axis(similarities, rows, 1)
    order = np.lexsort((rows, -found))
    return np.take_along_axis(found, order, 1), np.take_along_axis(rows, order, 1)


def cells(vectors: Vectors) -> Any:
    """FAISS's inverted file: vectors in cells, 8 bits a number (Jegou, Douze, Schmid 2011)."""
    faiss = _faiss()
    index = faiss.index_factory(vectors.shape[1], f"IVF{cells_of(len(vectors))},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.max_points_per_centroid = SAMPLE
    index.nprobe = PROBED
    index.train(vectors)
    index.add(vectors)
    return index


def cells_of(count: int) -> int:
    """The number of cells for `count` vectors."""
    return max(1, round(2 * count**0.5))


def approximate(index: Any, queries: Vectors, k: int) -> Found:
    """The nearest in the cells around each query; in all cells where those have too few."""
    similarities, rows = index.search(queries, k)
    if (rows < 0).any():
        similarities, rows = index.search(queries, k, params=_faiss().SearchParametersIVF(nprobe=index.nlist))
    return similarities, rows


def _faiss() -> Any:
    """FAISS, imported on first use; its type stubs are incomplete."""
    import faiss

    return faiss
