"""record.json beside model.json: what varies between trainings of a recipe."""

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines import devices, folders, git
from pipelines.fingerprints.modules import ROOT, Sources
from pipelines.training.session import Training

RECORD = "record.json"
UNKNOWN = "unknown_commit"  # key of a record: why `commit` and `dirty` are None


def write(folder: Path, training: Training, begun: dict[str, Any]) -> dict[str, Any]:
    """Write record.json: key, the facts of begun(), hardware, seconds, memory."""
    record = {
        "key": training.key,
        "started": training.started,
        **begun,
        "hardware": devices.hardware(),
        "seconds": training.seconds(),
        "peak_memory_mb": devices.peak_memory_mb(),
    }
    folders.write_json(folder / RECORD, record)
    return record


def read(folder: Path) -> dict[str, Any]:
    """The record of a model folder."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return record


def begun(family: str, module: str = "pipelines.stages.train") -> dict[str, Any]:
    """{"commit", "dirty", "code", "versions"} at the start of a training; where git tells no commit, both are None, and UNKNOWN says why.

    `code` is {path: SHA-256} of every module that `module` imports, lazily or not; reports and locks do not make it dirty.
    """
    return {**_commit(), "code": code(family, module), "versions": versions()}


def _commit() -> dict[str, Any]:
    try:
        head, changed = (git.output(*words.split()) for words in ("rev-parse HEAD", "status --porcelain -- pipelines conf serving"))
    except git.Unusable as fault:
        print(f"WARNING: the commit is recorded as unknown. {fault}", file=sys.stderr)
        return {"commit": None, "dirty": None, UNKNOWN: str(fault)}
    if head is None or changed is None:
        return {"commit": None, "dirty": None, UNKNOWN: "there was no commit in the working folder. Commit before you train."}
    return {"commit": head.decode().strip(), "dirty": bool(changed.strip())}


def code(family: str, module: str) -> dict[str, str]:
    """{path: SHA-256} of every module of this project that `module` imports for a family, and of the files beside it that it reads."""
    files = {file for found in Sources().closure(module, family).values() for file in (found.file, *found.resources)}
    return {file.relative_to(ROOT).as_posix(): folders.sha256(file) for file in sorted(files)}


def versions() -> dict[str, str]:
    """The version of Python and of every installed package."""
    installed = {package.name.lower(): package.version for package in metadata.distributions()}
    return {"python": sys.version.split()[0], **dict(sorted(installed.items()))}


def differing(then: dict[str, Any], now: dict[str, Any]) -> str:
    """What is not as it was, by name; how many names there were not then."""
    other = [f"{name} {now.get(name, 'missing')}, then {then[name]}" for name in then if then[name] != now.get(name)]
    added = len(now.keys() - then.keys())
    return "; ".join([*other, *([f"{added} more than then"] if added else [])]) or "as then"
