"""The sources that a data card names, held against what is at hand now: a file, a folder or tar, a data set of the image store."""

import hashlib
import os
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.artifacts import cache
from pipelines.datasets import archives, sources
from pipelines.imagestore import datasets

Source = dict[str, Any]


def checked(source: Source) -> str:
    """Recompute the SHA-256 of a source's content (an origin's decompressed): where it is, how large, under which licence.

    Raises cache.NotHere with how to get it, or ValueError where it is another one.
    """
    place = _store(source) if source["kind"] == "mongo" else str(_file(source))
    count = inside(source)
    size = f"{source['bytes'] / 1e6:.1f} MB, " if "bytes" in source else ""
    words = f"{size}{count:,} files, " if count else size
    return f"{source.get('source', source['kind'])}: {place}, SHA-256 {source['sha256'][:12]}, {words}{source['licence']}"


def _store(source: Source) -> str:
    """A data set of the image store, by what it holds now."""
    if "MONGO_URL" not in os.environ:
        raise cache.NotHere(f"data set {source['path']} of the image store (SHA-256 {source['sha256'][:12]}): set MONGO_URL")
    _same(source["url"], datasets.fingerprint(source["path"]), source["sha256"])
    return str(source["url"])


def _file(source: Source) -> Path:
    path = located(source)
    if source["kind"] == "folder":
        _same(str(path), archives.fingerprint(path), source["sha256"])
    else:
        sources.unpack(path, Path(os.devnull), source["sha256"], source["bytes"])
    return path


def _same(where: str, found: str, sha256: str) -> None:
    if found != sha256:
        raise ValueError(f"{where} holds other files than were ingested: its fingerprint is {found[:12]}, the card's is {sha256[:12]}")


def located(source: Source) -> Path:
    """Where the source's file, folder or tar is. Raises cache.NotHere."""
    if source["kind"] == "folder":
        try:
            return archives.located(source["path"])
        except sources.MissingData as absence:
            raise cache.NotHere(str(absence)) from absence
    return _packaged(source["path"]) if source["kind"] == "embedded" else _mirrored(source)


def _packaged(name: str) -> Path:
    """A file inside an installed package, which is not imported for it: "sklearn.datasets.data/digits.csv.gz"."""
    package, _, file = name.partition("/")
    top, *below = package.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise cache.NotHere(f"{name}: package {top} is not installed. `make train` installs what its family needs.")
    return Path(spec.submodule_search_locations[0], *below, file)


def _mirrored(source: Source) -> Path:
    mirror = os.environ.get("DATA_MIRROR")
    path = Path(mirror, source["path"]) if mirror else None
    if path is None or not path.is_file():
        raise cache.NotHere(f"{source['path']} (SHA-256 {source['sha256'][:12]}): download {source['url']}, or set DATA_MIRROR")
    return path


def inside(source: Source) -> int | None:
    """How many files a folder or plain tar holds; None where only unpacking tells, or there is one."""
    path = located(source) if source["kind"] == "folder" else None
    if path is None or path.is_dir():
        return sum(1 for file in path.rglob("*") if file.is_file()) if path else None
    try:
        with tarfile.open(path, "r:") as archive:
            return sum(1 for member in archive if member.isfile())
    except tarfile.ReadError:
        return None


def files(source: Source) -> Iterator[tuple[str, int, str]]:
    """(name, bytes, SHA-256) of every file inside a folder or tar; of what is one file, or in the image store, none."""
    if source["kind"] == "folder":
        for name, content in archives.contents(located(source)):
            yield name, len(content), hashlib.sha256(content).hexdigest()
