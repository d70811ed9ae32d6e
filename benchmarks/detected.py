"""Boxes of signatures in process, a runtime at a time: `python -m benchmarks.detected openvino <model> <pages.npy>`.

Measures for every line read: {"value": milliseconds a page, "memory_mb", "boxes": of each page}. Pages are [n, side, side], bytes.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

PEER = "cv2.dnn"
Ask = Callable[[], NDArray[np.float32]]  # one page -> boxes [k, 5]


def atelier(runtime: str, folder: Path, pages: NDArray[np.uint8]) -> list[Ask]:
    """What the endpoint calls."""
    from pipelines.families.signatures.predict import Predictor

    predictor = Predictor(folder, runtime)
    return [lambda page=page: predictor.predict(page[None])[0] for page in pages]  # type: ignore[misc]


def peer(folder: Path, pages: NDArray[np.uint8]) -> list[Ask]:
    """OpenCV on the Darknet files, given three channels as imread gives them."""
    from benchmarks.peers.darknet import detector

    answer = detector(folder)
    return [lambda page=page: answer(page) for page in np.stack([pages] * 3, 3)]  # type: ignore[misc]


def milliseconds(ask: Ask) -> float:
    """One page."""
    begun = time.perf_counter()
    ask()
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    """Load, answer every page once, then measure whenever a line comes."""
    kind, folder, pages = sys.argv[1], Path(sys.argv[2]), np.load(sys.argv[3], allow_pickle=False)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123 - runtimes talk
    asks = peer(folder, pages) if kind == PEER else atelier(kind, folder, pages)
    boxes = [ask().astype(float).round(6).tolist() for ask in asks]
    for _ in sys.stdin:
        value = statistics.median(milliseconds(ask) for ask in asks)
        print(json.dumps({"value": value, "memory_mb": psutil.Process().memory_info().rss / 1e6, "boxes": boxes}), file=out, flush=True)


if __name__ == "__main__":
    main()
