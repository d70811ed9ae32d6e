"""The golden example: an input stored beside each model with the answer that the model gave.

A service checks it before it serves a version, so that a runtime or machine that computes something else is found before any request.
probe.py of a family makes the input, which contains nothing of a data set:

TOLERANCE           the largest difference of a number
example(convention) -> a drawn batch of one for Predictor.predict
arrays(answer)      -> {name: array}: what is stored and compared
"""

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines import discovery, folders
from pipelines.models import manifests

EXAMPLE = "example.npz"
INPUT = "input"
LIMIT_MB = 64  # unpacked
Arrays = dict[str, NDArray[Any]]


class NotAsExpected(ValueError):
    """A model whose answer to its golden example differs, or whose example cannot be read."""


def copy(source: Path, target: Path) -> None:
    """Copy the example of a model folder beside the same model in `target`, or make it where there is none."""
    if (source / EXAMPLE).is_file():
        folders.write(target / EXAMPLE, (source / EXAMPLE).read_bytes())
    else:
        make(target)


def make(folder: Path) -> None:
    """Store the example of its family and the model's answer in a model folder."""
    family = manifests.read(folder)["family"]
    probe, predictor = discovery.part(family, "probe"), discovery.part(family, "predict").Predictor(folder)
    batch = probe.example(predictor.convention)
    folders.write(folder / EXAMPLE, _packed({INPUT: batch, **probe.arrays(predictor.predict(batch))}))


def _packed(arrays: Arrays) -> bytes:
    """As numpy.savez_compressed, without the time: the same arrays give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def read(folder: Path) -> tuple[NDArray[Any], Arrays]:
    """The stored input and the expected answer. Raises NotAsExpected where they cannot be read."""
    try:
        _bounded(folder / EXAMPLE)
        with np.load(folder / EXAMPLE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return arrays.pop(INPUT), arrays
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as fault:
        raise NotAsExpected(f"{folder / EXAMPLE} cannot be read: {fault}. Remove it; `make serve` renews it.") from fault


def _bounded(path: Path) -> None:
    """Check the size before unpacking: zipfile reads no more of a member than its entry says. Raises ValueError or BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LIMIT_MB * 1e6:
        raise ValueError(f"unpacked it has {size / 1e6:,.0f} MB, at most {LIMIT_MB} are allowed")


def check(predictor: Any, folder: Path) -> None:
    """Compare the answer of a loaded model to its golden example, which warms it up too. Raises NotAsExpected with the difference."""
    family = predictor.manifest["family"]
    probe = discovery.part(family, "probe")
    batch, expected = read(folder)
    found = probe.arrays(predictor.predict(batch))
    for name in {**expected, **found}:
        if words := _difference(found.get(name), expected.get(name), probe.TOLERANCE):
            raise NotAsExpected(
                f"{folder} answers its golden example otherwise than when it was stored: {name} {words}. Its files match the manifest, so "
                f"the runtime has changed: install requirements.lock, or `make rollback family={family}`. To accept the change, remove "
                f"{folder / EXAMPLE}; `make serve` renews it."
            )


def _difference(found: NDArray[Any] | None, expected: NDArray[Any] | None, tolerance: float) -> str:
    """How two answers differ: numbers by more than the tolerance, texts at all; "" where they do not."""
    if found is None or expected is None:
        return "is new" if expected is None else "is missing"
    if found.shape != expected.shape:
        return f"has shape {[*found.shape]}, expected {[*expected.shape]}"
    if found.dtype.kind == "U" or expected.dtype.kind == "U":
        return "" if np.array_equal(found, expected) else f"is {found.tolist()}, expected {expected.tolist()}"
    largest = float(np.abs(found.astype(float) - expected.astype(float)).max(initial=0))
    return "" if largest <= tolerance else f"is off by {largest:.2g}, at most {tolerance:g} is allowed"
