"""A model is a folder; model.json, written last, is its manifest: files, input, output, preprocessing."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipelines import folders
from pipelines.configs import Config

MANIFEST = "model.json"
FORMAT = 1
Manifest = dict[str, Any]


class NotProven(ValueError):
    """An exported model whose answers differ from those of the native one."""


class BrokenModel(ValueError):
    """A model folder that is incomplete or altered."""


@dataclass(frozen=True)
class Proof:
    """The largest difference between native and exported answers on real examples, and what is tolerated."""

    examples: int
    difference: float
    tolerance: float


@dataclass(frozen=True)
class Description:
    """What fit() of a family has written: {file: role} of served and native files, schemas, constants, proof."""

    served: Mapping[str, str]
    native: Mapping[str, str]
    input: Mapping[str, Any]
    output: Mapping[str, Any]
    preprocessing: Any
    proof: Proof


def prove(native: ArrayLike, exported: ArrayLike, tolerance: float) -> Proof:
    """Compare exported answers with native ones, arrays [n, ...]. Raises NotProven."""
    difference = float(np.abs(np.asarray(native, float) - np.asarray(exported, float)).max())
    if not difference <= tolerance:
        raise NotProven(f"the exported model differs from the native one by {difference:.2g}, at most {tolerance:.2g} is allowed.")
    return Proof(len(np.asarray(native)), difference, tolerance)


def write(folder: Path, cfg: Config, data: str, description: Description) -> Manifest:
    """Write model.json into an otherwise complete folder. `data` is the hash of the data card."""
    roles = {**description.served, **description.native}
    manifest: Manifest = {
        "format": FORMAT,
        "family": cfg.family,
        "candidate": cfg.candidate,
        "files": {name: _entry(folder / name, role, name in description.served) for name, role in roles.items()},
        "input": dict(description.input),
        "output": dict(description.output),
        "preprocessing": asdict(description.preprocessing),
        "proof": asdict(description.proof),
        "data": data,
        "seed": cfg.seed,
        "config": cfg.recipe(),
    }
    manifest["digest"] = digest(manifest)
    folders.write_json(folder / MANIFEST, manifest)
    return manifest


def _entry(path: Path, role: str, served: bool) -> dict[str, Any]:
    return {"role": role, "served": served, "sha256": folders.sha256(path), "bytes": path.stat().st_size}


def digest(manifest: Manifest) -> str:
    """The hash of what is served: files, schemas and constants, nothing that varies between trainings."""
    files = {name: entry["sha256"] for name, entry in manifest["files"].items() if entry["served"]}
    return folders.hash_of([manifest["family"], files, manifest["input"], manifest["output"], manifest["preprocessing"]])


def read(folder: Path) -> Manifest:
    """The manifest of a model folder. Raises BrokenModel where it is missing or of another format."""
    try:
        manifest: Manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise BrokenModel(f"{folder} is not a model: {error}. Train it again, or `dvc checkout {folder}`.") from error
    if manifest.get("format") != FORMAT:
        raise BrokenModel(f"{folder}/{MANIFEST} has format {manifest.get('format')!r}; this version reads {FORMAT}. Train it again.")
    return manifest


def verified(folder: Path) -> Manifest:
    """The manifest of a folder, its served files and digest checked. Raises BrokenModel, naming the file."""
    with legible(folder):
        manifest = read(folder)
        for name in served(manifest):
            path = folder / name
            if not path.is_file() or folders.sha256(path) != manifest["files"][name]["sha256"]:
                raise BrokenModel(f"{path} is missing or altered: its SHA-256 is not the one in {MANIFEST}. Fetch the model again.")
        if digest(manifest) != manifest["digest"]:
            raise BrokenModel(f"{folder}/{MANIFEST} was altered: its digest does not follow from it. Fetch the model again.")
        return manifest


@contextmanager
def legible(folder: Path) -> Iterator[None]:
    """Raise BrokenModel where a key of the manifest is missing or of another type."""
    try:
        yield
    except (LookupError, TypeError, AttributeError) as fault:
        words = f"{type(fault).__name__}: {fault}"
        raise BrokenModel(f"{folder / MANIFEST} was altered ({words}). Fetch the model again.") from fault


def served(manifest: Manifest) -> list[str]:
    """The served files, without those that only training reads."""
    return [name for name, entry in manifest["files"].items() if entry["served"]]


def served_bytes(manifest: Manifest) -> int:
    """The size of the served files together."""
    return sum(manifest["files"][name]["bytes"] for name in served(manifest))


def file(folder: Path, manifest: Manifest, role: str) -> Path:
    """The one file with this role."""
    return next(folder / name for name, entry in manifest["files"].items() if entry["role"] == role)
