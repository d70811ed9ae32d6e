"""Files and folders that are taken out of the store: one process at a time writes a target, and an interrupted get resumes."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import folders, paths


class NotStored(LookupError):
    """The store has no complete data set, no cfg or no weights of that name."""


class Damaged(ValueError):
    """What came out of the store is not what was put in."""


class Occupied(FileExistsError):
    """Something is already where a data set or file is to be written."""


@contextmanager
def reserved(target: Path) -> Iterator[None]:
    """Lock a path that is to be written, as each get deletes incomplete ones of other contents. Raises Occupied."""
    with folders.locked(paths.ROOT / "imagestore" / f"{folders.hash_of(str(target.resolve()))[:16]}.lock"):
        if target.exists():
            raise Occupied(f"{target} exists already. Name another with to=, or remove it.")
        yield


def part_of(target: Path, sha256: str) -> Path:
    """The incomplete `target`, under a name with its content's hash; those of other contents are deleted."""
    part = target.with_name(f".{target.name}.part-{sha256[:16]}")
    for other in set(target.parent.glob(f".{target.name}.part-*")) - {part}:
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    return part


def not_stored(what: str, names: list[str]) -> NotStored:
    """The error that lists what the store has."""
    return NotStored(f"the image store has no {what}. It has: {', '.join(sorted(names)) or 'none'}. `make store-put` puts one in.")
