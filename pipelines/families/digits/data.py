"""MNIST, or scikit-learn's digits in its shape, packed as one array of images and one of labels a split."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipelines.configs import Config
from pipelines.datasets import cards, packed, sources, splits
from pipelines.families.digits import embedded
from pipelines.families.digits.examples import CONVENTION, LABELS, Split

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


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split once by content, and return the data card."""
    loaded = [READERS[source]() for source in cfg.data.sources]
    train, test = (Split(*map(np.concatenate, zip(*parts, strict=True))) for parts in zip(*loaded, strict=True))
    valid = splits.chosen((image.tobytes() for image in train.images), cfg.data.valid, salt=b"valid")
    parts = {"train": train.take(~valid), "valid": train.take(valid), "test": test}
    limited = {name: split.take(slice(cfg.data.limit)) for name, split in parts.items()}
    for name, split in limited.items():
        packed.save(out, name, **split._asdict())
    return cards.write(out, _card(cfg, limited))


def _mnist() -> tuple[Split, Split]:
    with tempfile.TemporaryDirectory() as folder:
        bar = tqdm(ORIGINS.items(), desc="mnist", unit="file")
        idx = {name: sources.fetch(origin, Path(folder)).read_bytes() for name, origin in bar}
    return _idx_pair(idx, "train"), _idx_pair(idx, "t10k")


def _idx_pair(idx: dict[str, bytes], part: str) -> Split:
    """The idx format: a header of 16 bytes before images, 8 before labels."""
    images = np.frombuffer(idx[f"{part}-images-idx3"], np.uint8, offset=16).reshape(-1, CONVENTION.side, CONVENTION.side)
    return Split(images, np.frombuffer(idx[f"{part}-labels-idx1"], np.uint8, offset=8))


READERS = {"mnist": _mnist, "embedded": embedded.read}


def _card(cfg: Config, parts: dict[str, Split]) -> dict[str, Any]:
    return {
        "name": "digits",
        "description": "Handwritten digits, 28 x 28 grey, light on black, centred by mass; ten classes.",
        "sources": [source for name in cfg.data.sources for source in SOURCES[name]()],
        "split": f"test as published (embedded: a fifth); valid: {cfg.data.valid:.4f} of the rest; by SHA-256 of the picture",
        "counts": {name: len(split.labels) for name, split in parts.items()},
        "classes": {name: cards.per_class(split.labels, LABELS) for name, split in parts.items()},
        "duplicates": cards.duplicates({name: split.images for name, split in parts.items()}),
    }


def _mnist_sources() -> Iterator[dict[str, Any]]:
    licence = "https://creativecommons.org/licenses/by-sa/3.0/"
    citation = "LeCun, Cortes, Burges: The MNIST database of handwritten digits, 1998"
    return (cards.origin_source("mnist", origin, licence, citation) for origin in ORIGINS.values())


SOURCES = {"mnist": _mnist_sources, "embedded": embedded.sources}
