"""registry/<family>.jsonl: every decision ever made, append-only, each line chained to the one before.

The append is the commit point of a promotion; everything else (MLflow, the model store, the pointer that services
follow, champion.json) is rebuilt from here. `event` says what was decided: "promote" and "rollback" change the
champion; "refuse" (the gate stayed closed) and "challenge" (a challenger was set or taken away) do not. `version` is
what stands after the line: null where nothing does.
"""

import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import folders

ROOT = Path("registry")
CHANGE = ("promote", "rollback")  # events that change the champion
STAMPS = Path("mlruns", "reconciled")  # <family>.json: the head that everything was last made to follow
Line = dict[str, Any]


class AlteredLedger(ValueError):
    """A line that is not what was written."""


class Overtaken(RuntimeError):
    """Another decision was committed first."""


class NotWritten(OSError):
    """A line that the disk did not take."""


class UnknownVersion(LookupError):
    """A version that the ledger does not hold."""


def path(family: str) -> Path:
    return ROOT / f"{family}.jsonl"


def read(family: str) -> list[Line]:
    """Every line, oldest first, the chain checked. A last line that is only a part was never committed and is left out."""
    file = path(family)
    whole = _whole(file.read_bytes()) if file.exists() else b""
    return list(_checked(file, whole.removesuffix(b"\n").split(b"\n") if whole else []))


def _whole(content: bytes) -> bytes:
    """Without the part of a line that a killed writer left; a last line that lost only its newline to an editor stays."""
    lines, newline, tail = content.rpartition(b"\n")
    return content + b"\n" if tail and parse(tail).get("hash") else lines + newline


def _checked(file: Path, raw: list[bytes]) -> Iterator[Line]:
    previous = None
    for number, text in enumerate(raw, 1):
        line = parse(text)
        own = folders.hash_of({key: value for key, value in line.items() if key != "hash"})
        fault = None if line.get("hash") == own else "is not what was written: its hash does not fit"
        if line.get("previous") != previous or line.get("seq") != number:
            fault = fault or f"does not follow line {number - 1}: it was written as line {line.get('seq')}, lines were dropped or moved"
        if fault:
            raise AlteredLedger(
                f"{file}, line {number}, {fault}. "
                f"`make verify family={file.stem}` says how to put it right and keep what was decided since; "
                "decisions are added with `make promote` and `make rollback` only."
            )
        previous = own
        yield line


def parse(text: bytes) -> Line:
    """A JSON object; an empty one where it is none."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def append(family: str, event: str, key: str, facts: dict[str, Any], after: str | None) -> Line:
    """Commit a decision that was made looking at head `after`; the same event and key again return the line they already have.

    `facts` are the line's own; `version` is given here, a new one to a promotion, but for a rollback, which names its own.
    One writer at a time. Raises Overtaken when the champion has changed since; what changed nothing is in nobody's way. Raises NotWritten.
    """
    ROOT.mkdir(exist_ok=True)
    with folders.locked(ROOT / ".lock"):
        lines = read(family)
        known = next((line for line in lines if (line["event"], line["key"]) == (event, key)), None)
        if not known and _overtaken(lines, after):
            words = f"the champion of {family} has changed while this was being decided: {path(family)} has grown to line {len(lines)}"
            raise Overtaken(f"{words}. See `make history family={family}`, then decide again: `make promote` or `make rollback`.")
        return known or write(path(family), _next(family, event, key, facts, lines))


def _overtaken(lines: list[Line], after: str | None) -> bool:
    """Has the champion changed since `after` was the last line, or is there no such line any more?"""
    heads = [None, *(line["hash"] for line in lines)]
    return after not in heads or bool(decisions(lines[heads.index(after) :]))


def _next(family: str, event: str, key: str, facts: dict[str, Any], lines: list[Line]) -> Line:
    standing = champion(lines)
    line = {
        "seq": len(lines) + 1,
        "previous": lines[-1]["hash"] if lines else None,
        **_time(lines),
        "event": event,
        "family": family,
        "version": len(versions(lines)) + 1 if event == "promote" else standing and standing["version"],
        "key": key,
        **facts,
    }
    return {**line, "hash": folders.hash_of(line)}


def _time(lines: list[Line]) -> dict[str, str]:
    """Now, in UTC; where the clock is behind the line before, that one's time, and `clock` is what the clock says: time never goes back."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"time": lines[-1]["time"], "clock": now} if lines and now < lines[-1]["time"] else {"time": now}


def write(file: Path, line: Line) -> Line:
    """Cut off what a killed writer left behind the last whole line, then write the line and sync it."""
    try:
        with file.open("ab+") as handle:
            handle.seek(0)
            content = handle.read()
            whole = _whole(content)
            handle.truncate(min(len(content), len(whole)))
            handle.write(whole[len(content) :] + (folders.canonical(line) + "\n").encode())
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as fault:
        words = f"{file} does not take line {line['seq']}: {fault.strerror}. What it held it still holds"
        raise NotWritten(f"{words}. Free some space, or let this user write it, and decide again: that makes one line.") from fault
    return line


def versions(lines: list[Line]) -> dict[int, Line]:
    """{version: the line that promoted it}."""
    return {line["version"]: line for line in lines if line["event"] == "promote"}


def decisions(lines: list[Line]) -> list[Line]:
    """Those that changed the champion, oldest first: promotions and rollbacks."""
    return [line for line in lines if line["event"] in CHANGE]


def decision(lines: list[Line]) -> Line | None:
    """The one by which the champion stands: a promotion or a rollback, whatever was refused or challenged since."""
    return next(reversed(decisions(lines)), None)


def champion(lines: list[Line]) -> Line | None:
    """The promotion that stands: that of the last decision's version."""
    last = decision(lines)
    return versions(lines)[last["version"]] if last else None


def challenger(lines: list[Line]) -> Line | None:
    """The challenge that stands: the last one, unless it was taken away (it has no share), or its model has become champion since."""
    last = next((line for line in reversed(lines) if line["event"] == "challenge"), None)
    if last is None or not last["share"]:
        return None
    crowned = any(line["digest"] == last["digest"] for line in decisions(lines[last["seq"] :]))
    return None if crowned else last


def version(family: str, number: int) -> Line:
    """The line that promoted a version. Raises UnknownVersion naming the ones there are."""
    known = versions(read(family))
    if number not in known:
        there = ", ".join(map(str, known)) or "none yet (`make train` makes the first)"
        raise UnknownVersion(f"{family} has no version {number}. There are: {there}.")
    return known[number]


def head(family: str) -> str | None:
    """The hash of the last line: names the state of the whole ledger. What stands is named by decision()."""
    lines = read(family)
    return lines[-1]["hash"] if lines else None


def rolled_back(lines: list[Line]) -> dict[str, int]:
    """{digest: version} of what somebody rolled back from and nobody has brought back."""
    gone: dict[str, int] = {}
    for before, line in itertools.pairwise(decisions(lines)):
        if line["event"] == "rollback":
            forward = line["version"] > before["version"]
            gone |= {} if forward else {before["digest"]: before["version"]}
            gone.pop(line["digest"], None)
    return gone
