"""Flags: pictures that were answered wrongly, stored with their corrections as data that training reads.

data/feedback/<family>/ holds what a `folder` source of the family reads, written by serving/<family>/flags.py, and flags.jsonl: a line
for every correction, the oldest first. A picture is identified by the SHA-256 of its bytes, and its last correction counts.
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

from PIL import Image

from pipelines import folders
from pipelines.configs import Serving
from serving.inputs import pictures

ROOT = Path("data", "feedback")
LOG = "flags.jsonl"
MOST, MOST_MB = 10_000, 2_000  # corrections of one family, and megabytes of their pictures
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp"}
STEP = re.compile(r"[^./\\\0][^/\\\0]*")  # of a path below the folder: not hidden, not above


class Full(RuntimeError):
    """The family's flags have reached a limit."""


class BrokenLog(ValueError):
    """A flags.jsonl that cannot be parsed."""


class Picture(NamedTuple):
    """A flagged picture: its bytes, their SHA-256, the file suffix, its upright size in pixels, and it opened, maybe reduced."""

    content: bytes
    hash: str
    suffix: str
    width: int
    height: int
    opened: Image.Image

    @property
    def name(self) -> str:
        """The name of its file, which is not the name that the client sent."""
        return f"{self.hash}{self.suffix}"


class Stored(NamedTuple):
    """A stored flag: the picture's hash, whether it had been flagged before, and how many pictures are flagged now."""

    hash: str
    again: bool
    flagged: int


Files = Callable[[Picture, Any, Path], Mapping[str, bytes]]
"""(picture, correction, folder) -> {path below the folder: content}: the files of a flag in a family; called under the lock."""


def read(content: bytes, limits: Serving) -> Picture:
    """An untrusted picture, decoded completely. Raises Refusal 413, 415 or 422."""
    opened = pictures.opened(content, limits.limit_megapixels)
    size, kind, grey = opened.size, str(opened.format), pictures.grey(opened)
    return Picture(content, hashlib.sha256(content).hexdigest(), SUFFIXES[kind], *pictures.upright(size, grey), opened)


def add(family: str, picture: Picture, correction: Any, files: Files, about: Mapping[str, Any]) -> Stored:
    """Store a picture with its correction, a JSON value, which replaces an earlier one; `about` goes to flags.jsonl.

    Raises Full, BrokenLog or OSError, and changes nothing then, unless a rename failed or the process was killed between two renames:
    flags.jsonl comes first, and the same flag again completes the rest.
    """
    folder = ROOT / family
    with folders.locked(ROOT / f".{family}.lock"):
        log = _log(folder / LOG)
        known = [row for row in log if row["hash"] == picture.hash]
        filed = dict(files(picture, correction, folder))
        if known and known[-1]["correction"] == correction:
            filed = {name: content for name, content in filed.items() if not _holds(folder / _validated(name), content)}
        else:
            _check_capacity(folder, log, len(picture.content))
            log.append(_row(picture, correction, filed, known, about))
            lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in log]
            filed = {LOG: "".join(lines).encode(), **filed}
        _publish(folder, filed)
        _remove_replaced(folder, log)
    return Stored(picture.hash, bool(known), len({row["hash"] for row in log}))


def _log(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line]


def _parse(line: bytes, where: str) -> dict[str, Any]:
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict) and {"hash", "correction", "files", "bytes"} <= set(row):
            return row
    raise BrokenLog(f"{where}, is no flag. Remove the line, or restore the file.")


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _check_capacity(folder: Path, log: list[dict[str, Any]], size: int) -> None:
    megabytes = (sum({row["hash"]: int(row["bytes"]) for row in log}.values()) + size) / 1e6
    if len(log) >= MOST or megabytes > MOST_MB:
        holds = f"{len(log):,} corrections with {megabytes - size / 1e6:,.0f} MB of pictures"
        raise Full(f"{folder} holds {holds}; allowed: {MOST:,} and {MOST_MB:,} MB. Move the folder to your data, and flag again.")


def _row(
    picture: Picture, correction: Any, filed: Mapping[str, bytes], known: list[dict[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """A line of flags.jsonl; `files` are those of this picture."""
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


def _publish(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all files beside the folder, then rename each into place, in this order: renaming needs no space."""
    draft = folder.with_name(f".{folder.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed: the lock is ours
    try:
        for name, content in files.items():
            folders.write(draft / _validated(name), content)
        for name in files:
            _placed(draft, folder, PurePosixPath(name))
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _validated(name: str) -> str:
    if not all(STEP.fullmatch(step) for step in name.split("/")):
        raise ValueError(f"{name!r} is not a path below a folder of flags.")
    return name


def _placed(draft: Path, folder: Path, name: PurePosixPath) -> None:
    """Rename the file, or the highest folder above it that does not exist yet."""
    missing = [step for step in (name, *name.parents) if not (folder / step).exists()]
    if (draft / name).exists():
        top = missing[-1] if missing else name
        (draft / top).rename(folder / top)


def _remove_replaced(folder: Path, log: list[dict[str, Any]]) -> None:
    """Delete the files of replaced corrections, and the folders that are empty then."""
    latest = {row["hash"]: row["files"] for row in log}
    current = {name for names in latest.values() for name in names}
    for name in {name for row in log for name in row["files"]} - current:
        path = folder / _validated(name)
        path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            path.parent.rmdir()
