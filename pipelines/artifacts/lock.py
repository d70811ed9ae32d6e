"""dvc.lock: the DVC hash of every output, by its path, and of each stage's dependencies."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines import folders
from pipelines.ledger import lines as ledger

LOCK = Path("dvc.lock")
ENTRY = re.compile(r"^  (\S.*):\n(?: {4}.*\n)*", re.MULTILINE)  # a stage


class BrokenLock(ValueError):
    """A dvc.lock that is not what DVC wrote."""


class Out(NamedTuple):
    """An output of a stage, such as data/<family> or models/<candidate>, and its hash, such as "1f…c2.dir"."""

    path: Path
    md5: str
    stage: str


def hash_of(path: Path) -> str | None:
    """The DVC hash of an output; None where dvc.lock has none. Raises BrokenLock."""
    out = outs(content()).get(path)
    return out.md5 if out else None


def content(root: Path = Path()) -> bytes:
    """The dvc.lock of a project; empty where there is none."""
    return (root / LOCK).read_bytes() if (root / LOCK).exists() else b""


def in_conflict() -> bool:
    """Has git left a conflict in it?"""
    return any(map(ledger.MARKER.fullmatch, content().splitlines()))


@lru_cache(maxsize=2)
def outs(lock: bytes) -> dict[Path, Out]:
    """{path: output} of a dvc.lock's content, cached: it has thousands of lines. Raises BrokenLock."""
    with _readable():
        found = [Out(Path(out["path"]), out["md5"], name) for name, stage in _stages(lock).items() for out in stage.get("outs", [])]
        return {out.path: out for out in found}


def dependencies() -> dict[str, dict[str, str]]:
    """{stage: {path of a dependency: its hash}} of dvc.lock. Raises BrokenLock."""
    with _readable():
        return {name: {dep["path"]: dep["md5"] for dep in stage.get("deps", [])} for name, stage in _stages(content()).items()}


def params(stage: str) -> dict[str, Any]:
    """{config file: what the stage read of it} of dvc.lock; empty where it has no such stage. Raises BrokenLock."""
    with _readable():
        return dict(_stages(content()).get(stage, {}).get("params", {}))


@lru_cache(maxsize=2)
def _stages(lock: bytes) -> dict[str, Any]:
    return dict((yaml.load(lock, yaml.CSafeLoader) or {}).get("stages", {}))


@contextmanager
def _readable() -> Iterator[None]:
    """Raises BrokenLock."""
    try:
        yield
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as fault:
        words = f"A {LOCK} is not what DVC wrote ({' '.join(str(fault).split())})"
        raise BrokenLock(f"{words}. `make merge` ends a merge conflict; else `make verify` on its branch names the repair.") from fault


def renew(stage: str, path: Path, now: bytes) -> None:
    """Record this content of a stage's dependency in dvc.lock, as DVC does after a run. Raises BrokenLock."""
    md5 = hashlib.md5(now, usedforsecurity=False).hexdigest()
    dep = rf"- path: {re.escape(path.as_posix())}\n +hash: md5\n +md5: "
    entry = rf"(^  {re.escape(stage)}:\n(?: {{4}}.*\n)*? {{4}}{dep})\w+(\n +size: )\d+"
    text, found = re.subn(entry, rf"\g<1>{md5}\g<2>{len(now)}", LOCK.read_text(), flags=re.MULTILINE)
    if found != 1:
        raise BrokenLock(f"{LOCK} does not name {path} once for {stage}. `dvc repro {stage}` writes it.")
    folders.write(LOCK, text)


def merged(base: str, ours: str, theirs: str) -> str:
    """Two branches' dvc.lock: each stage as ours has it, or as theirs where only that branch changed it."""
    before, mine, other = ({found[1]: found[0] for found in ENTRY.finditer(text)} for text in (base, ours, theirs))
    chosen = [other.get(name) if mine.get(name) == before.get(name) else mine.get(name) for name in {**mine, **other}]
    return ours[: ours.index("stages:")] + "stages:\n" + "".join(filter(None, chosen))
