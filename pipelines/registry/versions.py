"""Where the files of a version are: the model store, models/, DVC's cache or a release."""

import shutil
from pathlib import Path

from pipelines import folders, paths
from pipelines.artifacts import cache, lock
from pipelines.datasets import cards
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import store as model_store

ABSENT = (cache.NotHere, cache.BrokenCache, lock.BrokenLock, manifests.BrokenModel)  # why a version's files cannot be had here


def holds(folder: Path, data_hash: str) -> bool:
    """Is the card in this folder that of this data? One that cannot be read, which `make verify` tells, is not."""
    try:
        return bool(cards.read(folder)["hash"] == data_hash)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def model_folder(line: Line) -> Path:
    """The whole model folder of a promotion: as it stands in models/, or out of DVC's cache. Raises cache.NotHere or BrokenCache."""
    folder, kept = Path("models", line["candidate"]), paths.ROOT / "restored" / str(line["dvc"])
    if lock.hash_of(folder) == line["dvc"] and _is(folder, line):
        return folder
    if not _is(kept, line):
        shutil.rmtree(kept, ignore_errors=True)
    return _restored(line["dvc"])


def _is(folder: Path, line: Line) -> bool:
    """Does this folder serve the model of this promotion, undamaged?"""
    try:
        return bool(manifests.verified(folder)["digest"] == line["digest"])
    except manifests.BrokenModel:
        return False


def served_folder(line: Line) -> Path:
    """A folder with the files that this promotion serves, undamaged: the store's, the whole one, or the released. Raises as ABSENT."""
    tag, released = model_store.tag_of(line["family"], line["version"], line["digest"]), paths.RELEASED / line["family"]
    if model_store.holds(tag, line["digest"]):
        return model_store.location(tag)
    try:
        return model_folder(line)
    except (cache.NotHere, cache.BrokenCache, lock.BrokenLock):
        if not _names(released, line):
            raise
        manifests.verified(released)
        return released


def _names(folder: Path, line: Line) -> bool:
    """Does the manifest in this folder name the model of this promotion? Its files may be damaged. Raises BrokenModel."""
    with manifests.legible(folder):
        return (folder / manifests.MANIFEST).exists() and bool(manifests.digest(manifests.read(folder)) == line["digest"])


def data_folder(line: Line) -> Path:
    """The packed data of a promotion: data/<family> where it still is that data, else out of DVC's cache. Raises cache.NotHere."""
    folder = Path("data", line["family"])
    if holds(folder, line["data"]):
        return folder
    return _restored(line["data_dvc"])


def _restored(name: str | None) -> Path:
    """A folder out of DVC's cache, kept complete or not at all."""
    kept = paths.ROOT / "restored" / str(name)
    if not kept.exists():
        with folders.replacing(kept) as out:
            cache.restore(str(name), out)
    return kept
