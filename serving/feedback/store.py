"""Flags: pictures that were answered wrongly, kept with what they really show, as data that training reads.

data/feedback/<family>/ holds what a `folder` source of the family reads, laid out by serving/<family>/flags.py, and flags.jsonl: a line
for every correction, the oldest first. A picture is known by the SHA-256 of its bytes, and has the last correction that it was given.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.configs import Serving
from serving.inputs import pictures

ROOT = Path("data", "feedback")
LOG = "flags.jsonl"
MOST, MOST_MB = 10_000, 2_000  # corrections of one family, and megabytes of their pictures
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp"}
STEP = re.compile(r"[^./\\\0][^/\\\0]*")  # of a path below the folder: nothing hidden, nothing above


class Full(RuntimeError):
    """A family that has as many flags as are kept, or as many megabytes."""


class BrokenLog(ValueError):
    """A flags.jsonl that was changed by hand into something else."""


class Picture(NamedTuple):
    """A flagged picture: its bytes as they were sent, their SHA-256, the ending of its kind, its size in pixels as a person sees it,
    and [height, width] in grey, perhaps reduced."""

    content: bytes
    hash: str
    suffix: str
    width: int
    height: int
    grey: NDArray[np.uint8]

    @property
    def name(self) -> str:
        """The name of its file; the one that it was sent with is nobody's to trust."""
        return f"{self.hash}{self.suffix}"


class Kept(NamedTuple):
    """A flag that is kept: the picture's hash, whether it had been flagged before, and how many pictures are flagged now."""

    hash: str
    again: bool
    flagged: int


Files = Callable[[Picture, Any, Path], Mapping[str, bytes]]
"""(picture, correction, folder) -> {path below the folder: content}: how a family lays a flag out; asked while nobody else writes."""


def read(content: bytes, limits: Serving) -> Picture:
    """A picture from a stranger, decoded to its end. Raises Refusal 413, 415 or 422."""
    opened = pictures.opened(content, limits.limit_megapixels)
    size, kind, grey = opened.size, str(opened.format), pictures.grey(opened)
    return Picture(content, hashlib.sha256(content).hexdigest(), SUFFIXES[kind], *pictures.upright(size, grey), grey)


def keep(family: str, picture: Picture, correction: Any, files: Files, about: Mapping[str, Any]) -> Kept:
    """Keep a picture with its correction, a JSON value, in place of the one it had; `about` says in flags.jsonl who flagged what.

    Raises Full, BrokenLog, or OSError where the disk refuses. All is as it was then, unless it was a rename that failed, or the process
    was killed between two: flags.jsonl comes first, and the same flag again puts the rest right.
    """
    folder = ROOT / family
    with folders.locked(ROOT / f".{family}.lock"):
        log = _log(folder / LOG)
        known = [row for row in log if row["hash"] == picture.hash]
        filed = dict(files(picture, correction, folder))
        if known and known[-1]["correction"] == correction:
            filed = _differing(folder, filed)
        else:
            _bounded(folder, log, len(picture.content))
            log.append(_row(picture, correction, filed, known, about))
            filed = {LOG: _lines(log), **filed}
        _published(folder, filed)
        _without_replaced(folder, log)
    return Kept(picture.hash, bool(known), len({row["hash"] for row in log}))


def _log(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [_flag(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line]


def _flag(line: bytes, where: str) -> dict[str, Any]:
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict) and {"hash", "correction", "files", "bytes"} <= set(row):
            return row
    raise BrokenLog(f"{where}, is no flag. Take the line out, or put the file back as it was.")


def _lines(log: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in log).encode()


def _differing(folder: Path, filed: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that are not there as they should be: somebody has taken them away, or nobody has put them there."""
    return {name: content for name, content in filed.items() if _content(folder / _checked(name)) != content}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _bounded(folder: Path, log: list[dict[str, Any]], size: int) -> None:
    megabytes = (sum({row["hash"]: int(row["bytes"]) for row in log}.values()) + size) / 1e6
    if len(log) >= MOST or megabytes > MOST_MB:
        holds = f"{len(log):,} corrections with {megabytes - size / 1e6:,.0f} MB of pictures"
        raise Full(f"{folder} holds {holds}; at most {MOST:,} and {MOST_MB:,} MB are kept. Move the folder to your data, and flag again.")


def _row(
    picture: Picture, correction: Any, filed: Mapping[str, bytes], known: list[dict[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """A line of flags.jsonl; `files` are those of this flag alone."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "hash": picture.hash,
        "files": [name for name in filed if picture.hash in name],
        "bytes": len(picture.content),
        "correction": correction,
        "replaced": known[-1]["correction"] if known else None,
        "again": bool(known),
        **about,
    }


def _published(folder: Path, files: Mapping[str, bytes]) -> None:
    """All files to the disk beside the folder, then each by name into place, in this order: renaming needs no space."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # what a killed process has left: the lock is ours
    try:
        for name, content in files.items():
            folders.write(draft / _checked(name), content)
        for name in files:
            _placed(draft, folder, PurePosixPath(name))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _checked(name: str) -> str:
    if not all(STEP.fullmatch(step) for step in name.split("/")):
        raise ValueError(f"{name!r} is no path below a folder of flags.")
    return name


def _placed(draft: Path, folder: Path, name: PurePosixPath) -> None:
    """One rename: of the file, or of the highest folder above it that is not there yet, with all that it holds."""
    missing = [step for step in (name, *name.parents) if not (folder / step).exists()]
    if (draft / name).exists():
        top = missing[-1] if missing else name
        (draft / top).rename(folder / top)


def _without_replaced(folder: Path, log: list[dict[str, Any]]) -> None:
    """Where a picture has another correction now, take away what was filed for the one before, and the folder that is left empty."""
    latest = {row["hash"]: row["files"] for row in log}
    standing = {name for names in latest.values() for name in names}
    for name in {name for row in log for name in row["files"]} - standing:
        path = folder / _checked(name)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # others are in it
            path.parent.rmdir()
