"""Files and folders that are complete or absent, and their hashes."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil


class WriteFailed(OSError):
    """A folder could not be written; what was there before is untouched."""


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder`; rename it into place when the block succeeds, remove it when it fails.

    Raises WriteFailed, naming the folder and the remedy, when the disk refuses.
    """
    draft = folder.with_name(f".{folder.name}.draft-{os.getpid()}")
    _swept(folder)
    try:
        draft.mkdir(parents=True)
        yield draft
        swap(draft, folder)
    except OSError as error:
        raise _explained(error, folder) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _swept(folder: Path) -> None:
    """Put right what killed processes left beside `folder`: between the two renames of a swap the old one is all there is."""
    for left in folder.parent.glob(f".{folder.name}.*-*"):
        kind, _, process = left.name.removeprefix(f".{folder.name}.").partition("-")
        if kind not in {"draft", "old"} or not process.isdigit() or (int(process) != os.getpid() and psutil.pid_exists(int(process))):
            continue
        if kind == "old" and not folder.exists():
            left.rename(folder)
        else:
            shutil.rmtree(left, ignore_errors=True)


def swap(draft: Path, folder: Path) -> None:
    """Put a finished folder where another is, or none: to the disk first, then by name."""
    old = folder.with_name(f".{folder.name}.old-{os.getpid()}")
    for path in draft.rglob("*"):
        _sync(path)
    if folder.exists():
        folder.rename(old)
    draft.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _explained(error: OSError, folder: Path) -> OSError:
    short = type(error) is OSError and error.errno is None  # NumPy's word for a write that was cut off
    if not short and error.errno not in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS, errno.EACCES}:
        return error
    free = shutil.disk_usage(_existing(folder)).free / 1e6
    return WriteFailed(
        f"{folder} was not written ({error.strerror or error}; {free:.0f} MB free there) and nothing half-written is left. "
        "Free some space, or make the folder writable, and run the same command again: training resumes from its last epoch."
    )


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.absolute().parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: Path, text: str) -> None:
    """Write a text file so that readers see the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft-{os.getpid()}")
    try:
        draft.write_text(text)
        _sync(draft)
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, atomically; NaN is an error, as it is in JSON."""
    write(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
    """A JSON value in its one form: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(value: Any) -> str:
    """Hexadecimal SHA-256 of a JSON value in its canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
