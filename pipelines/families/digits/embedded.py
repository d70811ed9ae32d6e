"""Data inside an installed package: scikit-learn's 1,797 handwritten digits, for tests and the demo."""

import gzip
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
from tqdm import tqdm

from pipelines.datasets import splits
from pipelines.families.digits.examples import CONVENTION, Split


def read() -> tuple[Split, Split]:
    """Train and test, a fifth chosen by content: 8 x 8 in 17 greys, normalised by the convention."""
    with gzip.open(str(files("sklearn.datasets.data") / "digits.csv.gz")) as stream:
        table = np.loadtxt(stream, delimiter=",", dtype=np.float32)
    bar = tqdm(table[:, :64].reshape(-1, 8, 8) / 16, desc="embedded", unit="digit")
    digits = Split(np.stack([CONVENTION.centred(ink) for ink in bar]), table[:, 64].astype(np.uint8))
    test = splits.chosen((image.tobytes() for image in digits.images), 0.2, salt=b"test")
    return digits.take(~test), digits.take(test)


def sources() -> Iterator[dict[str, Any]]:
    """Its entry in the data card."""
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
