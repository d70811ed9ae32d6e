"""One kind of search in process, one thread: `python -m benchmarks.searched <kind> <folder>`. Measures for every line read."""

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from pipelines.metrics import neighbours

OURS, NUMPY = "ours", "NumPy"
KINDS = {
    OURS: "",
    NUMPY: "",
    "FAISS Flat": "Flat",
    "FAISS HNSW32": "HNSW32",
    "FAISS IVF Flat": "IVF{cells},Flat",
    "FAISS IVF PQ32": "IVF{cells},PQ32",
}
K = 10
TOLD = {"efSearch": 64, "nprobe": neighbours.PROBED, "max_points_per_centroid": neighbours.SAMPLE, "niter": 10}  # where an index has it
Vectors = NDArray[np.float32]
Search = Callable[[Vectors], NDArray[np.int64]]


def search(kind: str, vectors: Vectors) -> Search:
    """From queries [m, d] to rows [m, 10]."""
    if kind == OURS:
        index = neighbours.cells(vectors)
        return lambda queries: neighbours.approximate(index, queries, K)[1]
    if kind == NUMPY:
        return lambda queries: neighbours.exact(vectors, queries, K)[1]
    index = faiss_index(KINDS[kind].format(cells=neighbours.cells_of(len(vectors))), vectors)
    return lambda queries: index.search(queries, K)[1]


def faiss_index(name: str, vectors: Vectors) -> Any:
    """By FAISS's own name for it, trained on as much as ours is."""
    import faiss

    index: Any = faiss.index_factory(vectors.shape[1], name, faiss.METRIC_INNER_PRODUCT)
    parts: list[Any] = [getattr(index, part) for part in ("hnsw", "cp", "pq") if hasattr(index, part)]
    for part in [index, *parts, *(part.cp for part in parts if hasattr(part, "cp"))]:
        for key in TOLD.keys() & set(dir(part)):
            setattr(part, key, TOLD[key])
    index.train(vectors)
    index.add(vectors)
    return index


def memory_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def built(kind: str, folder: Path) -> tuple[Search, dict[str, float]]:
    """The search, what it holds in memory, and how long building it took."""
    before, begun = memory_mb(), time.perf_counter()
    ask = search(kind, np.load(folder / "vectors.npy"))
    seconds = time.perf_counter() - begun
    gc.collect()
    return ask, {"memory_mb": round(memory_mb() - before, 1), "build_s": round(seconds, 1)}


def timed(ask: Search, queries: Vectors, truth: NDArray[np.int64]) -> dict[str, float]:
    """Milliseconds a query, the median, one after another; the share of the true neighbours that is found."""
    milliseconds, rows = [], []
    for query in queries:
        begun = time.perf_counter()
        rows.append(ask(query[None])[0])
        milliseconds.append((time.perf_counter() - begun) * 1000)
    return {"value": statistics.median(milliseconds), "recall": round(recall(np.array(rows), truth), 4)}


def recall(rows: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """The share of the true rows [m, k] that are among those found [m, k]."""
    return float(np.mean([len(set(found) & set(true)) / len(true) for found, true in zip(rows.tolist(), truth.tolist(), strict=True)]))


def main() -> None:
    """Build when the first line comes, so that sides do not build at once; measure for each."""
    import faiss  # noqa: F401 - a library must be there to be limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    kind, folder = sys.argv[1], Path(sys.argv[2])
    with threadpool_limits(1):
        queries, truth = np.load(folder / "queries.npy"), np.load(folder / "truth.npy")
        sys.stdin.readline()
        ask, facts = built(kind, folder)
        while True:
            print(json.dumps({**timed(ask, queries, truth), **facts}), flush=True)
            if not sys.stdin.readline():
                return


if __name__ == "__main__":
    main()
