"""Classes held out in training: the classes of each fold, and the embeddings of all drawings by the network of each fold."""

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
    """{fold: labels of the classes that it holds out}: each class of `labels` [n] once, in folds of equal size."""
    order = np.random.default_rng(SEED).permutation(np.unique(labels))
    return {f"fold {number}": tuple(sorted(held.tolist())) for number, held in enumerate(np.array_split(order, count))}


def drawings(data: Path) -> NDArray[np.uint8]:
    """All drawings [n, side, side]: train, valid, test."""
    return np.concatenate([load(data, split).images for split in SPLITS])


def write(folder: Path, embeddings: Mapping[str, Embeddings]) -> None:
    """Write the embeddings of all drawings, {fold: [n, dimensions]}."""
    np.savez(folder / FILE, **embeddings)  # type: ignore[arg-type]


def read(folder: Path, manifest: manifests.Manifest) -> dict[str, Embeddings]:
    """The embeddings of write(); empty where only the served files are present."""
    if FILE not in manifest["files"] or not (folder / FILE).is_file():
        return {}
    with np.load(folder / FILE, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
