"""DVC's cache: its files and folders by hash, and the hard links that retain what the ledgers name."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

LIST = ".dir"  # suffix of a folder's list of files
REMOTE = re.compile(r"^\s*remote\s*=", re.MULTILINE)  # the default one
CONFIG = (Path(".dvc/config"), Path(".dvc/config.local"))


class NotHere(FileNotFoundError):
    """An output that is not in this machine's cache."""


class UnknownCache(OSError):
    """DVC does not say where its cache is."""


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
    """As listing(), but restores nothing and raises nothing: {} where the list is absent or damaged."""
    path = path_of(name)
    with suppress(OSError):
        return _listed(path) if intact(path, name) else {}
    return {}


def _listed(path: Path) -> dict[str, str]:
    return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}


def cached(name: str) -> Path:
    """The cached file of this MD5, checked, restored where a garbage collection took it. Raises NotHere or BrokenCache."""
    path = path_of(name)
    if not path.is_file() and not put_back(name):
        raise NotHere(f"{name} is not in DVC's cache. {fetching()} Or train again.")
    if not intact(path, name):
        raise BrokenCache(f"{path} is damaged: its MD5 is not its name. Delete it. {fetching()}")
    return path


def has_remote() -> bool:
    """Does DVC's configuration name a default remote?"""
    return any(REMOTE.search(file.read_text()) for file in CONFIG if file.is_file())


def fetching() -> str:
    """How to get what the cache lacks, as a sentence."""
    if has_remote():
        return "`make rebuild` fetches it where the DVC remote has it."
    return "No DVC remote is configured here: `dvc remote add -d store <its folder or address>`, then `make rebuild`."


def intact(path: Path, name: str) -> bool:
    """Has this file the MD5 that DVC names it by?"""
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return found == name.removesuffix(LIST)


def put_back(name: str) -> bool:
    """Link a retained file into the cache again; False where there is none, or a damaged one, which is removed."""
    retained = retained_path(name)
    if not retained.is_file():
        return False
    if intact(retained, name):
        _link(retained, path_of(name))
        return True
    retained.unlink(missing_ok=True)
    return False


def retain(name: str) -> None:
    """Hard-link a cached file where no garbage collection looks; a damaged one is replaced by an intact retained one. Raises OSError."""
    path, retained = path_of(name), retained_path(name)
    if retained.exists() and retained.samefile(path):
        return
    if retained.exists() and not intact(path, name) and intact(retained, name):
        _link(retained, path)
    else:
        _link(path, retained)


def _link(source: Path, target: Path) -> None:
    """Replace `target` by a hard link, made under another name first: where the file system refuses it, `target` stays."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = cache().parents[1] / f".{target.name}.draft-{uuid.uuid4().hex}"
    try:
        os.link(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)  # os.replace leaves it where both are one file


def path_of(name: str) -> Path:
    """The file of this MD5 in the cache."""
    return cache() / name[:2] / name[2:]


def retained_path(name: str) -> Path:
    """Its hard link: on the cache's disk, and outside the layout that DVC collects."""
    return cache().parents[1] / "held" / name


def cache() -> Path:
    """The folder of DVC's cache, by the configuration of the project, the user or the machine."""
    from dvc import dirs

    shared = [Path(folder, "config") for folder in (dirs.global_config_dir(), dirs.system_config_dir())]
    config = "".join(file.read_text() for file in (*CONFIG, *shared) if file.is_file())
    return _configured(Path.cwd(), config) if "cache" in config else Path(".dvc", "cache", "files", "md5")


@lru_cache(maxsize=1)
def _configured(_: Path, __: str) -> Path:
    """As DVC itself says, which takes a second: once, and only where its configuration mentions a cache."""
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    if found.returncode or not found.stdout.strip():
        raise UnknownCache(f"`dvc cache dir` fails ({found.stderr.strip() or 'no answer'}): repair DVC's configuration, .dvc/config.")
    return Path(found.stdout.strip()) / "files" / "md5"
