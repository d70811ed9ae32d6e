"""Hash many files in parallel, with a progress bar."""

import hashlib
import os
import stat
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from pipelines import devices

if TYPE_CHECKING:
    from tqdm import tqdm

BLOCK = 1 << 18  # bytes; fits a core's cache, and is hashed without the interpreter's lock
GIT = "git"  # git's hash of a file's content: SHA-1 of "blob <bytes>\0" and the content


class Wanted(NamedTuple):
    """A file, and how to hash it: "md5", "sha256" or GIT."""

    path: Path
    algorithm: str


def hashes(wanted: Collection[Wanted]) -> dict[Wanted, str | None]:
    """{file: its hexadecimal hash, or None where it cannot be read}. The largest first, which balances the cores."""
    from tqdm import tqdm  # not installed in a bento

    stats = {file: found for file in wanted if (found := _stat(file.path))}
    content = {file: (found.st_dev, found.st_ino, file.algorithm) for file, found in stats.items()}  # the same for hard links
    distinct = {key: file for file, key in content.items()}
    order = sorted(distinct.values(), key=lambda file: stats[file].st_size, reverse=True)
    total = sum(stats[file].st_size for file in order)
    with (
        tqdm(total=total, unit="B", unit_scale=True, desc="hashing", leave=False, disable=None) as bar,
        ThreadPoolExecutor(devices.cores()) as pool,
    ):
        read = dict(zip(order, pool.map(partial(_hash, partial(_step, bar, Lock())), order), strict=True))
    return {file: read[distinct[content[file]]] if file in content else None for file in wanted}


def _step(bar: "tqdm[None]", lock: Lock, read: int) -> None:
    with lock:
        bar.update(read)


def _stat(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _hash(step: Callable[[int], None], file: Wanted) -> str | None:
    try:
        with file.path.open("rb", buffering=0) as handle:
            return _digest(handle.fileno(), file.algorithm, step)
    except OSError:
        return None


def _digest(descriptor: int, algorithm: str, step: Callable[[int], None]) -> str:
    size = os.fstat(descriptor).st_size
    digest = hashlib.new("sha1" if algorithm == GIT else algorithm, usedforsecurity=False)
    if algorithm == GIT:
        digest.update(b"blob %d\0" % size)
    block = memoryview(bytearray(min(size, BLOCK) + 1))
    while read := os.readv(descriptor, [block]):
        digest.update(block[:read])
        step(read)
    return digest.hexdigest()
