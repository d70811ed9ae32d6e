"""What dvc.lock says: the DVC hash of every output, by its path, and of what each stage depends on."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pipelines import folders

LOCK = Path("dvc.lock")


class BrokenLock(ValueError):
    """A dvc.lock that is not what DVC wrote."""


def hash_of(path: Path) -> str | None:
    """The DVC hash of an output in dvc.lock, such as "1f…c2.dir"; None where the lock does not hold it. Raises BrokenLock."""
    if not LOCK.exists():
        return None
    now = LOCK.stat()
    return _locked(LOCK.absolute(), now.st_ino, now.st_mtime_ns, now.st_size).get(path.as_posix())


@lru_cache(maxsize=1)
def _locked(lock: Path, *_: int) -> dict[str, str]:
    """Parsed once for each state of the lock: it grows to thousands of lines."""
    return locked(lock.read_bytes())


def locked(lock: bytes) -> dict[str, str]:
    """{path of an output: its hash} of a dvc.lock's content, this one's or another branch's. Raises BrokenLock."""
    try:
        outs: list[dict[str, Any]] = [out for stage in _stages(lock).values() for out in stage.get("outs", [])]
        return {out["path"]: out["md5"] for out in outs}
    except (KeyError, TypeError, AttributeError) as fault:
        raise _broken(fault) from fault


def _stages(lock: bytes) -> dict[str, Any]:
    try:
        return dict((yaml.load(lock, yaml.CSafeLoader) or {}).get("stages", {}))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, AttributeError) as fault:
        raise _broken(fault) from fault


def _broken(fault: Exception) -> BrokenLock:
    words = f"A {LOCK} is not what DVC wrote, as a merge conflict leaves it ({' '.join(str(fault).split())})"
    return BrokenLock(f"{words}. `make verify` says how to put it right, on the branch that has it.")


def dependencies() -> dict[str, dict[str, str]]:
    """{stage: {path of a dependency: its hash}} of dvc.lock. Raises BrokenLock."""
    stages = _stages(LOCK.read_bytes()) if LOCK.exists() else {}
    try:
        return {name: {dep["path"]: dep["md5"] for dep in stage.get("deps", [])} for name, stage in stages.items()}
    except (KeyError, TypeError, AttributeError) as fault:
        raise _broken(fault) from fault


def renew(stage: str, path: Path, content: bytes) -> None:
    """Let dvc.lock name this content for a dependency of a stage, as DVC would had it run the stage. Raises BrokenLock."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    dep = rf"- path: {re.escape(path.as_posix())}\n +hash: md5\n +md5: "
    entry = rf"(^  {re.escape(stage)}:\n(?: {{4}}.*\n)*? {{4}}{dep})\w+(\n +size: )\d+"
    text, found = re.subn(entry, rf"\g<1>{md5}\g<2>{len(content)}", LOCK.read_text(), flags=re.MULTILINE)
    if found != 1:
        raise BrokenLock(f"{LOCK} does not name {path} once for {stage}. `dvc repro {stage}` writes it.")
    folders.write(LOCK, text)
