"""DVC's outputs by their hash: what the cache holds, and what is held beside it for the ledger."""

import hashlib
import json
import os
import shutil
import subprocess
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

LIST = ".dir"  # how the name of a folder's list of files ends
CONFIG = (Path(".dvc/config"), Path(".dvc/config.local"))


class NotHere(FileNotFoundError):
    """An output that is not in this machine's cache."""


class BrokenCache(ValueError):
    """A cached file whose MD5 is not its name."""


def restore(name: str, out: Path) -> None:
    """Copy a folder out of DVC's cache into the empty folder `out`, checking each file. Raises NotHere or BrokenCache."""
    for file, md5 in listing(name).items():
        if Path(file).is_absolute() or ".." in Path(file).parts:
            raise BrokenCache(f"{name} lists {file!r}, which leads outside its folder. Do not use this cache.")
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached(md5), out / file)


def listing(name: str) -> dict[str, str]:
    """{file: MD5} of a folder, by DVC's own list of its files. Raises NotHere or BrokenCache."""
    return _listed(cached(name))


def intact_listing(name: str) -> dict[str, str]:
    """The same for an audit, which puts nothing back; empty where the list is not in the cache, or damaged."""
    path = path_of(name)
    with suppress(OSError):
        return _listed(path) if intact(path, name) else {}
    return {}


def _listed(path: Path) -> dict[str, str]:
    return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}


def cached(name: str) -> Path:
    """The file that the cache holds under this MD5, checked; what a garbage collection took of it is put back. Raises as restore()."""
    path = path_of(name)
    if not path.is_file() and not put_back(name):
        raise NotHere(f"{name} is not in DVC's cache. Fetch it from a DVC remote with `make rebuild`, or train again.")
    if not intact(path, name):
        raise BrokenCache(f"{path} is damaged: its MD5 is not its name. Delete it and fetch it again with `make rebuild`.")
    return path


def intact(path: Path, name: str) -> bool:
    """Has this file the MD5 that DVC names it by?"""
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return found == name.removesuffix(LIST)


def put_back(name: str) -> bool:
    """Link what is held under this MD5 into the cache again. A held file that is damaged is forgotten."""
    path, held = path_of(name), retained_path(name)
    if not held.is_file():
        return False
    if not intact(held, name):
        held.unlink(missing_ok=True)
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    _link(held, path)
    return True


def retain(name: str) -> None:
    """Give what the cache holds under this MD5 a second name, where no garbage collection looks. It takes no room. Raises OSError.

    Where the two are not one file any more, the cache's is read: a damaged one gives way to a sound one that is held.
    """
    path, held = path_of(name), retained_path(name)
    if held.exists() and held.samefile(path):
        return
    if held.exists() and not intact(path, name) and intact(held, name):
        _link(held, path)
        return
    held.parent.mkdir(parents=True, exist_ok=True)
    _link(path, held)


def _link(source: Path, target: Path) -> None:
    """A hard link in the place of what is there: under a name of its own first, so that a file system that refuses it takes nothing."""
    draft = cache().parents[1] / f".{target.name}.draft-{uuid.uuid4().hex}"
    try:
        os.link(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)  # it is left where both were one file already


def path_of(name: str) -> Path:
    """Where the cache keeps the file of this MD5."""
    return cache() / name[:2] / name[2:]


def retained_path(name: str) -> Path:
    """Its second name: beside the cache's files, so that both are on one disk, and flat, so that DVC takes it for none of its own."""
    return cache().parents[1] / "held" / name


def cache() -> Path:
    """The folder of DVC's cache, as the project's own configuration, the user's or the machine's says."""
    from dvc import dirs

    shared = [Path(folder, "config") for folder in (dirs.global_config_dir(), dirs.system_config_dir())]
    pages = "".join(page.read_text() for page in (*CONFIG, *shared) if page.is_file())
    return _configured(Path.cwd(), pages) if "cache" in pages else Path(".dvc", "cache", "files", "md5")


@lru_cache(maxsize=1)
def _configured(_: Path, __: str) -> Path:
    """DVC itself is asked only where its configuration speaks of a cache, and once: it takes a second to answer."""
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip() or ".dvc/cache") / "files" / "md5"
