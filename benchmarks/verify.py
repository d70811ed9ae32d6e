"""How fast verify reads, beside a plain parallel loop over the same files with the same hashes: in turn, each first every other time."""

import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from functools import partial
from pathlib import Path

from benchmarks import harness
from pipelines import devices, discovery
from pipelines.audit import expected, findings, verify

ROUNDS = 8
SIZES = {1 << 12: 400, 1 << 16: 200, 1 << 20: 100, 1 << 24: 20, 1 << 28: 2}  # {bytes: files}: 1 GB, as in large projects
Asked = list[tuple[Path, str]]


def measure() -> Iterator[harness.Row]:
    """Megabytes a second: of this project, and of a cache of 1 GB. The files are in the machine's memory."""
    yield row("this project", list(asked()))
    with tempfile.TemporaryDirectory() as scratch, chdir(scratch):
        subprocess.run(["dvc", "init", "--no-scm", "-q"], check=True)
        fill(Path(".dvc/cache/files/md5"))
        yield row("a cache of 1 GB", list(asked()))


def asked() -> Iterator[tuple[Path, str]]:
    """The files that verify reads, and how each is hashed."""
    found = expected.everything(discovery.names(), complete=True)
    return ((one.path, one.algorithm) for one in found if isinstance(one, findings.Item) and one.expected is not None)


def row(name: str, files: Asked) -> harness.Row:
    """Both sides read each file once; ours makes its list first, looks for good copies after, and does all else that `make verify` does."""
    files = unlinked(files)
    size = sum(path.stat().st_size for path, _ in files) / 1e6
    found: dict[str, list[float]] = {"ours": [], "plain": []}
    sides = {"ours": partial(ours, size), "plain": partial(plain, size, files)}
    for order in (("ours", "plain"), ("plain", "ours")):
        turns = harness.in_turn({side: sides[side] for side in order}, ROUNDS // 2)
        found = {side: found[side] + turns[side] for side in found}
    words = f"verify reads {name}: plain parallel loop"
    return harness.row(words, "MB/s", "more", found["ours"], found["plain"], files=len(files), megabytes=round(size))


def unlinked(files: Asked) -> Asked:
    """Without second names of the same file, which verify reads once."""
    one = {(path.stat().st_dev, path.stat().st_ino, algorithm): path for path, algorithm in files}
    return [(path, algorithm) for (_, _, algorithm), path in one.items()]


def ours(size: float) -> float:
    begun = time.perf_counter()
    found = verify.verify()
    if found.faults:
        raise harness.Stopped(f"{found.faults[0].path} {found.faults[0].words}. Repair it first: {found.faults[0].repair}")
    return size / (time.perf_counter() - begun)


def plain(size: float, files: Asked) -> float:
    """The loop that anybody would write: hashlib over as many files at once as there are cores."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(devices.cores()) as pool:
        list(pool.map(digest, files))
    return size / (time.perf_counter() - begun)


def digest(file: tuple[Path, str]) -> str:
    path, algorithm = file
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha1" if algorithm == "git" else algorithm).hexdigest()


def fill(cache: Path) -> None:
    """Files of all sizes, named as DVC names them."""
    for size, count in SIZES.items():
        for _ in range(count):
            content = os.urandom(size)
            name = hashlib.md5(content, usedforsecurity=False).hexdigest()
            (cache / name[:2]).mkdir(parents=True, exist_ok=True)
            (cache / name[:2] / name[2:]).write_bytes(content)
