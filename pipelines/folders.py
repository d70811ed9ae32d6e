"""Files and folders that are complete or absent, and their hashes."""

import errno
import fcntl
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipelines import processes

LEFT = re.compile(r"(?P<kind>draft|old)-(?P<process>[0-9a-f]{16}-\d+-[\d.]+)-[0-9a-f]{16}")


class WriteFailed(OSError):
    """A folder could not be written; what was there before is untouched."""


class NotJson(ValueError):
    """A file that holds no JSON object, as a merge conflict leaves it."""


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder; rename it to `folder` when the block succeeds, else remove it. Raises WriteFailed when the disk refuses."""
    draft = _beside(folder, "draft")
    _sweep(folder)
    try:
        draft.mkdir(parents=True)
        yield draft
        swap(draft, folder)
    except OSError as error:
        raise _explained(error, folder) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _beside(path: Path, kind: str) -> Path:
    """A unique name beside `path` with this process in it: a "draft" may be incomplete, an "old" is complete, set aside by a swap."""
    return path.with_name(f".{path.name}.{kind}-{processes.myself().replace(':', '-')}-{secrets.token_hex(8)}")


def _sweep(folder: Path) -> None:
    """Restore an "old" where it is the only copy; remove what ended processes left, but not of other machines, containers or boots."""
    for left in folder.parent.glob(f".{glob.escape(folder.name)}.*"):
        found = LEFT.fullmatch(left.name.removeprefix(f".{folder.name}."))
        if found and found["kind"] == "old" and not folder.exists():
            _restore(left, folder)
        elif found and processes.gone(found["process"].replace("-", ":")):
            _remove(left, folder)


def swap(draft: Path, folder: Path) -> None:
    """Put a finished folder in the place of another: sync, then rename."""
    for path in draft.rglob("*"):
        _sync(path)
    _rename(draft, folder)


def _rename(draft: Path, folder: Path) -> None:
    """Set the old folder aside, again where another writer replaced it meanwhile."""
    old = _beside(folder, "old")
    with suppress(FileNotFoundError):
        folder.rename(old)
    try:
        draft.rename(folder)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            _restore(old, folder)
            raise
        _rename(draft, folder)
    _remove(old, folder)


def _restore(old: Path, folder: Path) -> None:
    with suppress(OSError):  # another writer was quicker
        old.rename(folder)


def _remove(left: Path, folder: Path) -> None:
    """Remove it under the name of a draft, so that an interrupted removal leaves no incomplete "old"."""
    draft = _beside(folder, "draft")
    with suppress(OSError):  # it is not there, or another writer was quicker
        left.rename(draft)
    shutil.rmtree(draft, ignore_errors=True)


def _explained(error: OSError, folder: Path) -> OSError:
    short = type(error) is OSError and error.errno is None  # NumPy raises this for a short write
    if not short and error.errno not in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES}:
        return error
    free = shutil.disk_usage(_existing(folder)).free / 1e6
    return WriteFailed(
        f"{folder} was not written ({error.strerror or error}; {free:.0f} MB free there). "
        "Free some space, or make it writable, and run the same command again: training resumes from its last epoch."
    )


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.absolute().parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Yield the name of a new file beside `path`; sync and rename it into place when the block succeeds, remove it when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _beside(path, "draft")
    try:
        yield draft
        _sync(draft)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def write(path: Path, content: str | bytes) -> None:
    """Write a file atomically."""
    with drafted(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write as_json(), atomically."""
    write(path, as_json(value))


def as_json(value: Any) -> str:
    """Indented JSON, as every file of the project has it; NaN is an error, as it is in JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """An object that write_json wrote. Raises NotJson."""
    try:
        value = json.loads(path.read_bytes())
    except ValueError as fault:
        words = f"{path} is not JSON ({fault})"
        raise NotJson(f"{words}. `make merge` ends a merge conflict in it; else `git checkout HEAD -- {path}` restores it.") from fault
    if not isinstance(value, dict):
        raise NotJson(f"{path} is no JSON object. `git checkout HEAD -- {path}` restores it.")
    return value


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` (created when absent) against other processes; wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def canonical(value: Any) -> str:
    """Canonical JSON: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON value in its canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
