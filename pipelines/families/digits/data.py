"""MNIST, or scikit-learn's digits brought to its shape, packed as one array of pictures and one of labels a split."""

import gzip
import hashlib
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipelines import cards, sources
from pipelines.configs import Config
from pipelines.families.digits.picture import Convention

LABELS = list(range(10))
CONVENTION = Convention()
ADDRESSES = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
ORIGINS = {
    name: sources.Origin(f"mnist/{name}-ubyte.gz", tuple(f"{address}{name}-ubyte.gz" for address in ADDRESSES), sha256, size)
    for name, sha256, size in [
        ("train-images-idx3", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47040016),
        ("train-labels-idx1", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60008),
        ("t10k-images-idx3", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7840016),
        ("t10k-labels-idx1", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10008),
    ]
}


class Split(NamedTuple):
    """Pictures [n, 28, 28] of 0 to 255, light ink on black, and their labels [n] of 0 to 9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split once by content, and return the data card."""
    loaded = [READERS[source]() for source in cfg.data.sources]
    train, test = (_joined([pair[part] for pair in loaded]) for part in (0, 1))
    chosen = _share(train.images, cfg.data.valid)
    splits = {"train": _taken(train, ~chosen), "valid": _taken(train, chosen), "test": test}
    limited = {name: _limited(split, cfg.data.limit) for name, split in splits.items()}
    for name, split in limited.items():
        np.save(out / f"{name}-images.npy", split.images, allow_pickle=False)
        np.save(out / f"{name}-labels.npy", split.labels, allow_pickle=False)
    return cards.write(out, _card(cfg, limited))


def load(folder: Path, split: str) -> Split:
    """One of the splits train, valid, test, mapped from disk."""
    images, labels = (np.load(folder / f"{split}-{part}.npy", mmap_mode="r", allow_pickle=False) for part in Split._fields)
    return Split(images, labels)


def _mnist() -> tuple[Split, Split]:
    with tempfile.TemporaryDirectory() as folder:
        bar = tqdm(ORIGINS.items(), desc="mnist", unit="file")
        idx = {name: sources.fetch(origin, Path(folder)).read_bytes() for name, origin in bar}
    return _idx_pair(idx, "train"), _idx_pair(idx, "t10k")


def _idx_pair(idx: dict[str, bytes], part: str) -> Split:
    """The idx format: 16 bytes of head before pictures, 8 before labels."""
    images = np.frombuffer(idx[f"{part}-images-idx3"], np.uint8, offset=16).reshape(-1, CONVENTION.side, CONVENTION.side)
    return Split(images, np.frombuffer(idx[f"{part}-labels-idx1"], np.uint8, offset=8))


def _embedded() -> tuple[Split, Split]:
    """scikit-learn's 1,797 digits of 8 x 8 in 17 greys; a fifth, chosen by content, is the test."""
    with gzip.open(str(files("sklearn.datasets.data") / "digits.csv.gz")) as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.float32)
    bar = tqdm(table[:, :64].reshape(-1, 8, 8) / 16, desc="embedded", unit="digit")
    digits = Split(np.stack([CONVENTION.centred(ink) for ink in bar]), table[:, 64].astype(np.uint8))
    test = _share(digits.images, 0.2, salt=b"test")
    return _taken(digits, ~test), _taken(digits, test)


READERS = {"mnist": _mnist, "embedded": _embedded}


def _share(images: NDArray[np.uint8], share: float, salt: bytes = b"valid") -> NDArray[np.bool_]:
    """Choose a share by the hash of each picture: stable when pictures are added, and equal pictures stay together."""
    return np.fromiter((_fraction(salt + image.tobytes()) < share for image in images), bool, len(images))


def _fraction(content: bytes) -> float:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64


def _joined(parts: list[Split]) -> Split:
    return Split(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _taken(split: Split, where: NDArray[np.bool_]) -> Split:
    return Split(split.images[where], split.labels[where])


def _limited(split: Split, limit: int | None) -> Split:
    return Split(split.images[:limit], split.labels[:limit])


def _card(cfg: Config, splits: dict[str, Split]) -> dict[str, Any]:
    return {
        "name": "digits",
        "description": "Handwritten digits, 28 x 28 grey, light on black, centred by mass; ten classes.",
        "sources": [source for name in cfg.data.sources for source in SOURCES[name]()],
        "split": f"test as published (embedded: a fifth); valid: {cfg.data.valid:.4f} of the rest; by SHA-256 of the picture",
        "counts": {name: len(split.labels) for name, split in splits.items()},
        "classes": {name: cards.per_class(split.labels, LABELS) for name, split in splits.items()},
        "duplicates": cards.duplicates({name: split.images for name, split in splits.items()}),
    }


def _mnist_sources() -> Iterator[dict[str, Any]]:
    for origin in ORIGINS.values():
        yield {
            "source": "mnist",
            "kind": "origin",
            "path": origin.path,
            "url": origin.urls[0],
            "sha256": origin.sha256,
            "bytes": origin.size,
            "licence": "https://creativecommons.org/licenses/by-sa/3.0/",
            "citation": "LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998",
        }


def _embedded_sources() -> Iterator[dict[str, Any]]:
    content = gzip.decompress((files("sklearn.datasets.data") / "digits.csv.gz").read_bytes())
    yield {
        "source": "embedded",
        "kind": "embedded",
        "path": "sklearn.datasets.data/digits.csv.gz",
        "url": "https://archive.ics.uci.edu/dataset/80",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "licence": "https://creativecommons.org/licenses/by/4.0/",
        "citation": "Alpaydin, Kaynak: Optical Recognition of Handwritten Digits, UCI, 1998",
    }


SOURCES = {"mnist": _mnist_sources, "embedded": _embedded_sources}
