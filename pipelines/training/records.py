"""record.json beside model.json: what varies between trainings of a recipe."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines import devices, folders
from pipelines.fingerprints.modules import ROOT, Sources
from pipelines.training.session import Training

RECORD = "record.json"


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
    """{"commit", "dirty", "code", "versions"} at the start of a training; commit is None outside git.

    `code` is {path: SHA-256} of every module that `module` imports, lazily or not; reports and locks do not make it dirty.
    """
    dirty = bool(_git("status", "--porcelain", "--", "pipelines", "conf", "serving"))
    return {"commit": _git("rev-parse", "HEAD"), "dirty": dirty, "code": code(family, module), "versions": versions()}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


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
