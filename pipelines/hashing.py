"""Many files hashed at once, on every core, with a bar."""

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

BLOCK = 1 << 18  # bytes read at once: the interpreter is free while they are hashed, and a core's cache holds them
GIT = "git"  # the name that git gives a file's content: SHA-1 of "blob <bytes>\0" and the content


class Wanted(NamedTuple):
    """A file, and how to hash it: "md5", "sha256" or GIT."""

    path: Path
    algorithm: str


class Content(NamedTuple):
    """What is hashed: two names of one file (hard links) are one."""

    device: int
    inode: int
    algorithm: str


def hashes(wanted: Collection[Wanted]) -> dict[Wanted, str | None]:
    """{file: its hexadecimal hash, or None where there is no such file}. The largest come first, so that no core is left with one."""
    there = {file: found for file in wanted if (found := _stat(file.path))}
    named = {file: Content(found.st_dev, found.st_ino, file.algorithm) for file, found in there.items()}
    one = {content: file for file, content in named.items()}
    order = sorted(one.values(), key=lambda file: there[file].st_size, reverse=True)
    total = sum(there[file].st_size for file in order)
    with _bar(total) as bar, ThreadPoolExecutor(devices.cores()) as pool:
        read = dict(zip(order, pool.map(partial(_hash, partial(_step, bar, Lock())), order), strict=True))
    return {file: read[one[named[file]]] if file in named else None for file in wanted}


def _bar(total: int) -> "tqdm[None]":
    from tqdm import tqdm  # a bento has none, and hashes nothing with a bar

    return tqdm(total=total, unit="B", unit_scale=True, desc="hashing", leave=False, disable=None)


def _step(bar: "tqdm[None]", lock: Lock, read: int) -> None:
    with lock:
        bar.update(read)


def _stat(path: Path) -> os.stat_result | None:
    """None where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _hash(step: Callable[[int], None], file: Wanted) -> str | None:
    """None where it went away, or cannot be read."""
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
