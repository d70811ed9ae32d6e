"""registry/<family>.jsonl: every decision that changed the champion, append-only, each line chained to the one before.

The append is the commit point of a promotion; everything else (MLflow, the model store, the pointer that services
follow, champion.json) is rebuilt from here.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import folders

ROOT = Path("registry")
Line = dict[str, Any]


class AlteredLedger(ValueError):
    """A line that is not what was written."""


class UnknownVersion(LookupError):
    """A version that the ledger does not hold."""


def path(family: str) -> Path:
    return ROOT / f"{family}.jsonl"


def read(family: str) -> list[Line]:
    """Every line, oldest first, the chain checked. A last line without its end was never committed and is left out."""
    file = path(family)
    if not file.exists():
        return []
    whole = file.read_bytes().rpartition(b"\n")[0]
    return list(_checked(file, whole.split(b"\n") if whole else []))


def _checked(file: Path, raw: list[bytes]) -> Iterator[Line]:
    previous = None
    for number, text in enumerate(raw, 1):
        line = _parsed(text)
        own = folders.hash_of({key: value for key, value in line.items() if key != "hash"})
        if line.get("hash") != own or line.get("previous") != previous or line.get("seq") != number:
            raise AlteredLedger(
                f"{file}, line {number}, is not what was written: its hash or its link to line {number - 1} does not fit. "
                f"Put the file back with `git checkout {file}`; decisions are added with `make promote` and `make rollback` only."
            )
        previous = own
        yield line


def _parsed(text: bytes) -> Line:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def append(family: str, event: str, key: str, facts: dict[str, Any]) -> Line:
    """Commit a decision; the same key again returns the line it already has. One writer at a time.

    `facts` are the line's own; version numbers of promotions are given here, in order.
    """
    ROOT.mkdir(exist_ok=True)
    with folders.locked(ROOT / ".lock"):
        lines = read(family)
        known = next((line for line in lines if line["key"] == key), None)
        return known or _written(path(family), _next(family, event, key, facts, lines))


def _next(family: str, event: str, key: str, facts: dict[str, Any], lines: list[Line]) -> Line:
    line = {
        "seq": len(lines) + 1,
        "previous": lines[-1]["hash"] if lines else None,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "event": event,
        "family": family,
        "version": len(versions(lines)) + 1,
        "key": key,
        **facts,
    }
    return {**line, "hash": folders.hash_of(line)}


def _written(file: Path, line: Line) -> Line:
    """Cut off what a killed writer left behind the last whole line, then write the line in one call and sync it."""
    with file.open("ab+") as handle:
        handle.seek(0)
        handle.truncate(handle.read().rfind(b"\n") + 1)
        handle.write((folders.canonical(line) + "\n").encode())
        handle.flush()
        os.fsync(handle.fileno())
    return line


def versions(lines: list[Line]) -> dict[int, Line]:
    """{version: the line that promoted it}."""
    return {line["version"]: line for line in lines if line["event"] == "promote"}


def champion(lines: list[Line]) -> Line | None:
    """The promotion that stands: that of the last line's version."""
    return versions(lines)[lines[-1]["version"]] if lines else None


def version(family: str, number: int) -> Line:
    """The line that promoted a version. Raises UnknownVersion naming the ones there are."""
    known = versions(read(family))
    if number not in known:
        there = ", ".join(map(str, known)) or "none yet (`make train` makes the first)"
        raise UnknownVersion(f"{family} has no version {number}. There are: {there}.")
    return known[number]


def head(family: str) -> str | None:
    """The hash of the last line: names the state of all decisions."""
    lines = read(family)
    return lines[-1]["hash"] if lines else None
