"""Where the files of a version are: the model store, models/, DVC's cache or a release."""

import shutil
from pathlib import Path

from pipelines import folders, paths
from pipelines.artifacts import cache, lock
from pipelines.datasets import cards
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import store

ABSENT = (cache.NotHere, cache.BrokenCache, lock.BrokenLock, manifests.BrokenModel)  # why a version's files are not on this machine


def model_folder(line: Line) -> Path:
    """The complete model folder of a promotion: models/, or restored from DVC's cache. Raises cache.NotHere or BrokenCache."""
    folder, copy = Path("models", line["candidate"]), paths.ROOT / "restored" / str(line["dvc"])
    if lock.hash_of(folder) == line["dvc"] and _serves(folder, line):
        return folder
    if not _serves(copy, line):
        shutil.rmtree(copy, ignore_errors=True)
    return _restored(line["dvc"])


def _serves(folder: Path, line: Line) -> bool:
    """Does this folder serve the model of this promotion, intact?"""
    try:
        return bool(manifests.verified(folder)["digest"] == line["digest"])
    except manifests.BrokenModel:
        return False


def served_folder(line: Line) -> Path:
    """A folder with the intact served files of a promotion: the store's, the complete one or the release. Raises as ABSENT."""
    tag, released = store.tag_of(line["family"], line["version"], line["digest"]), paths.RELEASED / line["family"]
    if store.holds(tag, line["digest"]):
        return store.location(tag)
    try:
        return model_folder(line)
    except (cache.NotHere, cache.BrokenCache, lock.BrokenLock):
        with manifests.legible(released):
            if not (released / manifests.MANIFEST).exists() or manifests.digest(manifests.read(released)) != line["digest"]:
                raise
        manifests.verified(released)
        return released


def data_folder(line: Line) -> Path:
    """The packed data of a promotion: data/<family> where it still is that data, else from DVC's cache. Raises cache.NotHere."""
    folder = Path("data", line["family"])
    return folder if _has_card(folder, line["data"]) else _restored(line["data_dvc"])


def card_folder(family: str, data_hash: str) -> Path | None:
    """data/<family> or released/<family>, whichever has the card of this data."""
    return next((folder for folder in (Path("data", family), paths.RELEASED / family) if _has_card(folder, data_hash)), None)


def _has_card(folder: Path, data_hash: str) -> bool:
    try:
        return bool(cards.read(folder)["hash"] == data_hash)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _restored(name: str | None) -> Path:
    """A copy of a folder from DVC's cache, complete or absent."""
    copy = paths.ROOT / "restored" / str(name)
    if not copy.exists():
        with folders.replacing(copy) as out:
            cache.restore(str(name), out)
    return copy
