"""Classes that a network has never seen: which fold leaves out which, and what each fold's network makes of every drawing."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.families.gravures.examples import SPLITS, load
from pipelines.models import manifests

FILE = "native/unseen.npz"
SEED = 0  # of the folds
Embeddings = NDArray[np.float32]


def folds(labels: NDArray[np.integer], count: int) -> dict[str, tuple[int, ...]]:
    """{fold: labels of the classes that it leaves out}: each class of `labels` [n] once, as many in each as can be."""
    order = np.random.default_rng(SEED).permutation(np.unique(labels))
    return {f"fold {number}": tuple(sorted(held.tolist())) for number, held in enumerate(np.array_split(order, count))}


def drawings(data: Path) -> NDArray[np.uint8]:
    """Every drawing [n, side, side], those of train first, then of valid, then of test."""
    return np.concatenate([load(data, split).images for split in SPLITS])


def write(folder: Path, embeddings: Mapping[str, Embeddings]) -> None:
    """Write what each fold's network makes of every drawing, {fold: [n, dimensions]}."""
    np.savez(folder / FILE, **embeddings)  # type: ignore[arg-type]


def read(folder: Path, manifest: manifests.Manifest) -> dict[str, Embeddings]:
    """What write() wrote; nothing where only the served files are here."""
    if FILE not in manifest["files"] or not (folder / FILE).is_file():
        return {}
    with np.load(folder / FILE, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}
