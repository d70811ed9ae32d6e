"""The files of a promotion where they lie, in a folder of the project or in DVC's cache, and what they hash to.

The cache is read in place: nothing is copied out of it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import hashing
from pipelines.artifacts import cache
from pipelines.hashing import Wanted


class Copy(NamedTuple):
    """{name: file} of a folder, and where that is in words."""

    where: str
    files: Mapping[str, Path]

    def read(self, name: str) -> Any:
        """What a JSON file of it holds. Raises FileNotFoundError or ValueError, naming the place."""
        if name not in self.files:
            raise FileNotFoundError(f"{self.where} has no {name}")
        try:
            return json.loads(self.files[name].read_bytes())
        except ValueError as error:
            raise ValueError(f"{self.where}: {name} is not JSON ({error})") from error


def of_folder(folder: Path) -> Copy:
    """Every file below a folder; of one that is not there, none."""
    return Copy(folder.as_posix(), {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()})


def of_cache(name: str) -> Copy:
    """The folder that DVC's cache holds under a hash such as "1f…c2.dir". Raises cache.NotHere or cache.BrokenCache."""
    names = cache.listing(name)
    missing = [file for file, md5 in names.items() if not cache.path_of(md5).is_file() and not cache.put_back(md5)]
    if missing:
        some = ", ".join(missing[:3])
        raise cache.NotHere(f"{len(missing)} of {len(names)} files of {name} ({some}) are not in DVC's cache. `make rebuild` fetches them.")
    return Copy(f"DVC's cache, {name}", {file: cache.path_of(md5) for file, md5 in names.items()})


def dvc_hash(folder: Path) -> str:
    """The hash under which DVC keeps, or would keep, this folder."""
    copy = of_folder(folder)
    return _dvc_hash(_hashes(copy, "md5", copy.files))


def wrong(copy: Copy, sha256: Mapping[str, str], dvc: str | None) -> list[str]:
    """The files that are missing or other ones: of {name: SHA-256}, and all that this does not name by DVC's listing `dvc`.

    The listing has the MD5 of the manifest or card that `sha256` is read from: so DVC's hash vouches for everything, and large files are
    hashed once. Where DVC's cache has no such listing, all files are hashed for it, and its own name is what differs.
    """
    found = _hashes(copy, "sha256", sha256)
    return [name for name in sha256 if found.get(name) != sha256[name]] + (_unlisted(copy, set(sha256), dvc) if dvc else [])


def listed(copy: Copy, name: str, dvc: str) -> bool:
    """Is this file of a folder the one that DVC's listing `dvc` names? Without that listing, as in wrong(), all files are hashed for it."""
    try:
        md5 = cache.listing(dvc)
    except cache.NotHere:
        return not wrong(copy, {}, dvc)
    return name in copy.files and cache.intact(copy.files[name], md5.get(name, ""))


def _unlisted(copy: Copy, known: set[str], dvc: str) -> list[str]:
    try:
        listed = cache.listing(dvc)
    except cache.NotHere:
        return [] if _dvc_hash(_hashes(copy, "md5", copy.files)) == dvc else [f"what DVC's hash {dvc} names"]
    names = {*listed, *copy.files} - known
    found = _hashes(copy, "md5", names)
    return sorted(name for name in names if found.get(name) != listed.get(name))


def _hashes(copy: Copy, algorithm: str, names: Iterable[str]) -> dict[str, str | None]:
    """{name: hash} of those files that are there, read in parallel."""
    wanted = {name: Wanted(copy.files[name], algorithm) for name in names if name in copy.files}
    found = hashing.hashes(wanted.values())
    return {name: found[file] for name, file in wanted.items()}


def _dvc_hash(md5: Mapping[str, str | None]) -> str:
    """The hash under which DVC keeps a folder of these files: the MD5 of its listing."""
    listing = json.dumps([{"md5": md5[name], "relpath": name} for name in sorted(md5)], sort_keys=True)
    return f"{hashlib.md5(listing.encode(), usedforsecurity=False).hexdigest()}.dir"
