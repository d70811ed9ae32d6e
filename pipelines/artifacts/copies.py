"""The files of a promotion, in a folder of the project or in place in DVC's cache, and their hashes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import hashing
from pipelines.artifacts import cache
from pipelines.hashing import Wanted


class FileSet(NamedTuple):
    """The files of a folder, {name: path}; `where` names the folder or cache entry in messages."""

    where: str
    files: Mapping[str, Path]

    def read(self, name: str) -> Any:
        """The content of a JSON file. Raises FileNotFoundError or ValueError, naming the place."""
        if name not in self.files:
            raise FileNotFoundError(f"{self.where} has no {name}")
        try:
            return json.loads(self.files[name].read_bytes())
        except ValueError as error:
            raise ValueError(f"{self.where}: {name} is not JSON ({error})") from error


def of_folder(folder: Path) -> FileSet:
    """Every file below a folder; none where it does not exist."""
    return FileSet(folder.as_posix(), {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()})


def of_cache(name: str) -> FileSet:
    """The folder with a hash such as "1f…c2.dir" in DVC's cache. Raises cache.NotHere or cache.BrokenCache."""
    names = cache.listing(name)
    missing = [file for file, md5 in names.items() if not cache.path_of(md5).is_file() and not cache.put_back(md5)]
    if missing:
        some = ", ".join(missing[:3])
        raise cache.NotHere(f"{len(missing)} of {len(names)} files of {name} ({some}) are not in DVC's cache. {cache.fetching()}")
    return FileSet(f"DVC's cache, {name}", {file: cache.path_of(md5) for file, md5 in names.items()})


def dvc_hash(folder: Path) -> str:
    """The hash that DVC gives this folder: the MD5 of its listing."""
    return _dvc_hash(of_folder(folder))


def altered(fileset: FileSet, sha256: Mapping[str, str], dvc: str | None) -> list[str]:
    """The names of missing and altered files: those of {name: SHA-256}, and all others by DVC's listing `dvc`.

    The listing has the MD5 of the manifest or card that `sha256` is read from, so large files are hashed once. Without it in the cache,
    all files are hashed, and the folder's hash is compared.
    """
    found = _hashes(fileset, "sha256", sha256)
    changed = [name for name in sha256 if found.get(name) != sha256[name]]
    if not dvc:
        return changed
    try:
        listing = cache.listing(dvc)
    except cache.NotHere:
        return changed + ([] if _dvc_hash(fileset) == dvc else [f"what DVC's hash {dvc} names"])
    others = {*listing, *fileset.files} - set(sha256)
    md5 = _hashes(fileset, "md5", others)
    return changed + sorted(name for name in others if md5.get(name) != listing.get(name))


def is_listed(fileset: FileSet, name: str, dvc: str) -> bool:
    """Is this file the one in DVC's listing `dvc`? Without that listing in the cache, all files are hashed, as in altered()."""
    try:
        md5 = cache.listing(dvc)
    except cache.NotHere:
        return not altered(fileset, {}, dvc)
    return name in fileset.files and cache.intact(fileset.files[name], md5.get(name, ""))


def _hashes(fileset: FileSet, algorithm: str, names: Iterable[str]) -> dict[str, str | None]:
    """{name: hash} of the existing files, read in parallel."""
    wanted = {name: Wanted(fileset.files[name], algorithm) for name in names if name in fileset.files}
    found = hashing.hashes(wanted.values())
    return {name: found[file] for name, file in wanted.items()}


def _dvc_hash(fileset: FileSet) -> str:
    md5 = _hashes(fileset, "md5", fileset.files)
    listing = json.dumps([{"md5": md5[name], "relpath": name} for name in sorted(md5)], sort_keys=True)
    return f"{hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest()}.dir"
