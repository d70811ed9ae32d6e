"""The sources that a data card names, checked: a file, a folder or tar, a data set of the image store."""

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
    """Recompute the SHA-256 of a source's content (an origin's decompressed): where it is, its size and licence.

    Raises cache.NotHere with how to get it, or ValueError where it differs.
    """
    where, count = _check(source), _count(source)
    size = f"{source['bytes'] / 1e6:.1f} MB, " if "bytes" in source else ""
    files = f"{count:,} files, " if count else ""
    return f"{source.get('source', source['kind'])}: {where}, SHA-256 {source['sha256'][:12]}, {size}{files}{source['licence']}"


def _check(source: Source) -> str:
    """Where a source is, once its content is checked. Raises as checked()."""
    kind, sha256 = source["kind"], source["sha256"]
    if kind == "mongo":
        if "MONGO_URL" not in os.environ:
            raise cache.NotHere(f"data set {source['path']} of the image store (SHA-256 {sha256[:12]}): set MONGO_URL")
        where, found = str(source["url"]), datasets.fingerprint(source["path"])
    elif kind == "folder":
        path = located(source)
        where, found = str(path), archives.fingerprint(path)
    else:
        path = located(source)
        sources.unpack(path, Path(os.devnull), sha256, source["bytes"])
        return str(path)
    if found != sha256:
        raise ValueError(f"{where} holds other files than were ingested: its fingerprint is {found[:12]}, the card's is {sha256[:12]}")
    return where


def located(source: Source) -> Path:
    """Where the source's file, folder or tar is. Raises cache.NotHere."""
    if source["kind"] == "folder":
        try:
            return archives.located(source["path"])
        except sources.MissingData as absence:
            raise cache.NotHere(str(absence)) from absence
    if source["kind"] == "embedded":
        return _packaged(source["path"])
    path = Path(os.environ.get("DATA_MIRROR", ""), source["path"])
    if not os.environ.get("DATA_MIRROR") or not path.is_file():
        raise cache.NotHere(f"{source['path']} (SHA-256 {source['sha256'][:12]}): download {source['url']}, or set DATA_MIRROR")
    return path


def _packaged(name: str) -> Path:
    """A file of an installed package, which is not imported: "sklearn.datasets.data/digits.csv.gz"."""
    package, _, file = name.partition("/")
    top, *below = package.split(".")
    spec = find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise cache.NotHere(f"{name}: package {top} is not installed. `make train` installs what its family needs.")
    return Path(spec.submodule_search_locations[0], *below, file)


def _count(source: Source) -> int | None:
    """How many files a folder or plain tar holds; None for one file, and where only unpacking tells."""
    path = located(source) if source["kind"] == "folder" else None
    if path is None or path.is_dir():
        return sum(1 for file in path.rglob("*") if file.is_file()) if path else None
    try:
        with tarfile.open(path, "r:") as archive:
            return sum(1 for member in archive if member.isfile())
    except tarfile.ReadError:
        return None


def files(source: Source) -> Iterator[tuple[str, int, str]]:
    """(name, bytes, SHA-256) of every file inside a folder or tar; none for other kinds."""
    if source["kind"] == "folder":
        for name, content in archives.contents(located(source)):
            yield name, len(content), hashlib.sha256(content).hexdigest()
