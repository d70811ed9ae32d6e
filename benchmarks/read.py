"""Lines in process, ours or PyTorch's: `python -m benchmarks.read ours <model> <folder of lines> <batch>`. Measures for every line read."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.models import manifests

LINES, SEED = 128, 0
Batch = NDArray[np.uint8]
Read = Callable[[Batch], list[str]]


def lines(folder: Path) -> None:
    """Write <number>.npy: generated lines as the convention brings them, in order of their width."""
    from pipelines.families.ocr.examples import CONVENTION
    from pipelines.families.ocr.parts import receipts

    random = np.random.default_rng(SEED)
    preprocessed = sorted((CONVENTION.from_grey(receipts.line(random)[1]) for _ in range(LINES)), key=lambda line: line.shape[1])
    for number, line in enumerate(preprocessed):
        np.save(folder / f"{number:03}.npy", line, allow_pickle=False)


def batches(folder: Path, size: int) -> list[Batch]:
    """The same lines, `size` at once, the narrow ones padded with paper."""
    found = [np.load(path, allow_pickle=False) for path in sorted(folder.glob("*.npy"))]
    return [_stacked(found[start : start + size]) for start in range(0, len(found), size)]


def _stacked(lines: list[Batch]) -> Batch:
    width = max(line.shape[1] for line in lines)
    return np.stack([np.pad(line, ((0, 0), (0, width - line.shape[1])), constant_values=255) for line in lines])


def ours(folder: Path) -> Read:
    """What the endpoint calls."""
    from pipelines.families.ocr.predict import Predictor

    predictor = Predictor(folder)
    return lambda batch: [reading.text for reading in predictor.predict(batch)]


def peer(folder: Path) -> Read:
    """The network as it was trained."""
    import torch
    from safetensors.torch import load_file

    from pipelines.families.ocr import model
    from pipelines.families.ocr.settings import Model

    network = model.build(Model.model_construct(**manifests.read(folder)["config"]["model"])).eval()  # checked when it was trained
    network.load_state_dict(load_file(folder / "native/network.safetensors"))
    network.to(memory_format=torch.channels_last)
    return lambda batch: network.read(torch.from_numpy(batch))


def rate(read: Read, batches: list[Batch]) -> float:
    """Lines a second over all batches, one after another."""
    begun = time.perf_counter()
    for batch in batches:
        read(batch)
    return sum(map(len, batches)) / (time.perf_counter() - begun)


def main() -> None:
    """Load, read every line once, then measure whenever a line comes."""
    kind, folder, given = sys.argv[1], Path(sys.argv[2]), batches(Path(sys.argv[3]), int(sys.argv[4]))
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123 - frameworks talk
    read = {"ours": ours, "peer": peer}[kind](folder)
    texts = [text for batch in given for text in read(batch)]
    for _ in sys.stdin:
        print(json.dumps({"value": rate(read, given), "texts": texts}), file=out, flush=True)


if __name__ == "__main__":
    main()
