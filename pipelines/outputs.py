"""DVC's outputs by their hash: what dvc.lock says, and what the cache holds."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

LOCK = Path("dvc.lock")


class NotHere(FileNotFoundError):
    """An output that is not in this machine's cache."""


class BrokenCache(ValueError):
    """A cached file whose MD5 is not its name."""


def hash_of(path: Path) -> str | None:
    """The DVC hash of an output in dvc.lock, such as "1f…c2.dir"; None where the lock does not hold it."""
    stages = (yaml.safe_load(LOCK.read_text()) or {}).get("stages", {}) if LOCK.exists() else {}
    outs: list[dict[str, Any]] = [out for stage in stages.values() for out in stage.get("outs", [])]
    return next((out["md5"] for out in outs if out["path"] == path.as_posix()), None)


def restore(name: str, out: Path) -> None:
    """Copy a folder out of DVC's cache into the empty folder `out`, checking each file. Raises NotHere or BrokenCache."""
    for entry in json.loads(_cached(name).read_text()):
        target = out / entry["relpath"]
        if Path(entry["relpath"]).is_absolute() or ".." in Path(entry["relpath"]).parts:
            raise BrokenCache(f"{name} lists {entry['relpath']!r}, which leads outside its folder. Do not use this cache.")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_cached(entry["md5"]), target)


def _cached(name: str) -> Path:
    """The file that the cache holds under this MD5."""
    path = cache() / name[:2] / name[2:]
    if not path.is_file():
        raise NotHere(f"{name} is not in DVC's cache. Fetch it from a remote with `dvc fetch --all-commits`, or train again.")
    if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != name.removesuffix(".dir"):
        raise BrokenCache(f"{path} is damaged: its MD5 is not its name. Delete it and fetch it again with `dvc fetch --all-commits`.")
    return path


def cache() -> Path:
    """The folder of DVC's cache, as the project's own configuration says."""
    found = subprocess.run(["dvc", "cache", "dir"], capture_output=True, text=True, check=False)
    return Path(found.stdout.strip() or ".dvc/cache") / "files" / "md5"
