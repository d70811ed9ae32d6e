"""The stored example: beside each model in the store an input and what the model answered when it was stored.

A service answers it before a version stands (serving/live/champion.py): so another runtime, or another machine, that computes something
else is found before anybody is told a wrong answer. A family's probe.py makes the input, and nothing of a data set is in it:

TOLERANCE           how far a number may be from what it was
example(convention) -> a batch of one for Predictor.predict: drawn, so that there is something to find
kept(answer)        -> {name: array}: what is held against the same model's answer elsewhere
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
    """A model that answers its stored example otherwise than it did, or has none that can be read."""


def bring(source: Path, target: Path) -> None:
    """Put the example of a model folder beside the same model in `target`: its own, or a new one where it has none."""
    if (source / EXAMPLE).is_file():
        folders.write(target / EXAMPLE, (source / EXAMPLE).read_bytes())
    else:
        make(target)


def make(folder: Path) -> None:
    """Let a model folder answer its family's example, and keep both beside it."""
    family = manifests.read(folder)["family"]
    room, predictor = discovery.part(family, "probe"), discovery.part(family, "predict").Predictor(folder)
    batch = room.example(predictor.convention)
    folders.write(folder / EXAMPLE, _packed({INPUT: batch, **room.kept(predictor.predict(batch))}))


def _packed(arrays: Arrays) -> bytes:
    """As numpy.savez_compressed does, without the time: the same arrays are the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def read(folder: Path) -> tuple[NDArray[Any], Arrays]:
    """The input and the expected answer beside a model. Raises NotAsExpected where they cannot be read."""
    try:
        _bounded(folder / EXAMPLE)
        with np.load(folder / EXAMPLE, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return arrays.pop(INPUT), arrays
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as fault:
        raise NotAsExpected(
            f"{folder / EXAMPLE}, the stored example that a model must answer before it serves, cannot be read: {fault}. "
            "Remove it, and `make serve` makes it anew."
        ) from fault


def _bounded(path: Path) -> None:
    """Before anything is unpacked: zipfile gives no more of a member than its entry says. Raises ValueError or BadZipFile."""
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LIMIT_MB * 1e6:
        raise ValueError(f"unpacked it has {size / 1e6:,.0f} MB, and at most {LIMIT_MB} are read")


def check(predictor: Any, folder: Path) -> None:
    """Let a loaded model answer its stored example, which warms it too. Raises NotAsExpected with both answers."""
    family = predictor.manifest["family"]
    room = discovery.part(family, "probe")
    batch, expected = read(folder)
    found = room.kept(predictor.predict(batch))
    for name in {**expected, **found}:
        if words := _difference(found.get(name), expected.get(name), room.TOLERANCE):
            raise NotAsExpected(
                f"{folder} does not answer its stored example as it did when it was stored: {name} {words}. Its files are those of its "
                f"manifest, so that what runs them has changed: install the packages of requirements.lock, or go back "
                f"(`make rollback family={family}`). Where the change is wanted, remove {EXAMPLE} there, and `make serve` makes it anew."
            )


def _difference(found: NDArray[Any] | None, expected: NDArray[Any] | None, tolerance: float) -> str:
    """How an answer is another one; "" where it is the same: numbers within the tolerance, texts exactly."""
    if found is None or expected is None:
        return f"is {'there' if expected is None else 'not there'}"
    if found.shape != expected.shape:
        return f"has the shape {[*found.shape]}, and had {[*expected.shape]}"
    if found.dtype.kind == "U" or expected.dtype.kind == "U":
        return "" if np.array_equal(found, expected) else f"is {_told(found)}, and was {_told(expected)}"
    furthest = float(np.abs(found.astype(float) - expected.astype(float)).max(initial=0))
    return "" if furthest <= tolerance else f"is off by {furthest:.2g}, and at most {tolerance:g} is allowed"


def _told(text: NDArray[Any]) -> str:
    return repr(text.tolist())
