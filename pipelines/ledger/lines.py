"""registry/<family>.jsonl, the ledger: one line per decision, append-only, each with the hash of the line before.

An append commits the decision; MLflow, the model store, the pointers and champion.json are rebuilt from here. `event` is "promote",
"rollback" or "merge" (they set the champion), "refuse" (the gate rejected a candidate) or "challenge" (a challenger was set or removed).
`version` is the champion's after the line, null before the first promotion. A merge brought in the lines of another branch, renumbered
(`was` has what was replaced): these, and the merge, name in `after` the lines that they were decided after.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import folders

ROOT = Path("registry")
CHAMPION_EVENTS = ("promote", "rollback", "merge")  # events that set the champion
MARKER = re.compile(rb"(<{7}|={7}|>{7}|\|{7})( .*)?")  # of a conflict that git leaves in a file
STAMPS = Path("mlruns", "reconciled")  # <family>.json: the ledger's head at the last reconcile
Line = dict[str, Any]


class AlteredLedger(ValueError):
    """A line that is not what was written."""


class Overtaken(RuntimeError):
    """Another decision was committed first."""


class NotWritten(OSError):
    """The line could not be written to disk."""


class UnknownVersion(LookupError):
    """A version that the ledger does not have."""


def path(family: str) -> Path:
    return ROOT / f"{family}.jsonl"


def read(family: str) -> list[Line]:
    """Every line, oldest first; an incomplete last line was never committed and is left out. Raises AlteredLedger."""
    file = path(family)
    content = complete(file.read_bytes()) if file.exists() else b""
    return list(_validated(file, content.removesuffix(b"\n").split(b"\n") if content else []))


def complete(content: bytes) -> bytes:
    """Without the partial line that a killed writer left; a last line that lost only its newline to an editor stays."""
    lines, newline, tail = content.rpartition(b"\n")
    return content + b"\n" if tail and parse(tail).get("hash") else lines + newline


def _validated(file: Path, raw: list[bytes]) -> Iterator[Line]:
    if any(map(MARKER.fullmatch, raw)):
        raise AlteredLedger(f"{file} has a merge conflict. `make merge family={file.stem}` keeps the decisions of both branches.")
    previous = None
    for number, line in enumerate(map(parse, raw), 1):
        if not follows(line, previous, number):
            dropped = f"does not follow line {number - 1}: it was written as line {line.get('seq')}, lines were dropped or moved"
            fault = dropped if line.get("hash") == hash_of(line) else "is not what was written: its hash does not match"
            raise AlteredLedger(f"{file}, line {number}, {fault}. `make verify family={file.stem}` names the repair.")
        previous = line["hash"]
        yield line


def follows(line: Line, previous: str | None, seq: int) -> bool:
    """Is this line unaltered, and number `seq` after the line with the hash `previous`?"""
    return (line.get("hash"), line.get("previous"), line.get("seq")) == (hash_of(line), previous, seq)


def hash_of(line: Line) -> str:
    """The hash that belongs to a line."""
    return folders.hash_of({key: value for key, value in line.items() if key != "hash"})


def parse(text: bytes) -> Line:
    """A JSON object; {} for anything else."""
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def append(family: str, event: str, key: str, facts: dict[str, Any], after: str | None) -> Line:
    """Commit a decision that was made when `after` was the last line's hash; an existing line of this event and key is returned instead.

    `facts` are the line's other fields. A promotion gets a new version here; a rollback passes its version in `facts`.
    Raises Overtaken when the champion has changed since `after`, and NotWritten.
    """
    ROOT.mkdir(exist_ok=True)
    with folders.locked(ROOT / ".lock"):
        lines = read(family)
        known = next((line for line in lines if (line["event"], line["key"]) == (event, key)), None)
        heads = [None, *(line["hash"] for line in lines)]
        if not known and (after not in heads or decisions(lines[heads.index(after) :])):
            raise Overtaken(
                f"the champion of {family} has changed meanwhile ({path(family)}, line {len(lines)}). "
                f"See `make history family={family}`, then decide again: `make promote` or `make rollback`."
            )
        return known or write(path(family), _next(family, event, key, facts, lines))


def _next(family: str, event: str, key: str, facts: dict[str, Any], lines: list[Line]) -> Line:
    current = champion(lines)
    version = len(versions(lines)) + 1 if event == "promote" else current and current["version"]
    return chained(lines, {**now(lines), "event": event, "family": family, "version": version, "key": key, **facts})


def chained(lines: list[Line], facts: dict[str, Any]) -> Line:
    """A line that follows these."""
    line = {**facts, "seq": len(lines) + 1, "previous": lines[-1]["hash"] if lines else None}
    return {**line, "hash": hash_of(line)}


def now(lines: list[Line]) -> dict[str, str]:
    """Now, in UTC, never before the last line's time; where the clock is behind that, `clock` is what it says."""
    clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    latest = max((line["time"] for line in lines), default="")
    return {"time": latest, "clock": clock} if clock < latest else {"time": clock}


def write(file: Path, line: Line) -> Line:
    """Cut off an incomplete last line, append this one and sync. Raises NotWritten."""
    try:
        with file.open("ab+") as handle:
            handle.seek(0)
            content = handle.read()
            intact = complete(content)
            handle.truncate(min(len(content), len(intact)))
            handle.write(intact[len(content) :] + (folders.canonical(line) + "\n").encode())
            handle.flush()
            os.fsync(handle.fileno())
    except OSError as fault:
        words = f"{file} cannot be extended by line {line['seq']}: {fault.strerror}. What it held is unchanged"
        raise NotWritten(f"{words}. Free some space, or make it writable, and decide again.") from fault
    return line


def versions(lines: list[Line]) -> dict[int, Line]:
    """{version: the line that promoted it}."""
    return {line["version"]: line for line in lines if line["event"] == "promote"}


def decisions(lines: list[Line]) -> list[Line]:
    """The lines that set the champion, in their order; merged ones are older than those before them."""
    return [line for line in lines if _decides(line)]


def _decides(line: Line) -> bool:
    return line["event"] in CHAMPION_EVENTS and line["version"] is not None


def in_force(lines: list[Line]) -> dict[int, list[Line]]:
    """{seq: the decision in force after that line}, none before the first; 0 is before the first line."""
    found: dict[int, list[Line]] = {0: []}
    for line in lines:
        found[line["seq"]] = [line] if _decides(line) else before(line, found)
    return found


def before(line: Line, in_force: dict[int, list[Line]]) -> list[Line]:
    """The decision that was in force when a line was decided; two for a merge."""
    found = [decision for seq in line.get("after", [line["seq"] - 1]) for decision in in_force[seq]]
    return list({decision["seq"]: decision for decision in found}.values())


def decision(lines: list[Line]) -> Line | None:
    """The promotion, rollback or merge that made the current champion."""
    return next(reversed(decisions(lines)), None)


def champion(lines: list[Line]) -> Line | None:
    """The promotion of the current champion's version."""
    last = decision(lines)
    return versions(lines)[last["version"]] if last else None


def challenger(lines: list[Line]) -> Line | None:
    """The current challenge: the last one, unless it was removed (it has no share) or its model has become champion since."""
    challenges = [line for line in lines if line["event"] == "challenge"]
    last = max(challenges, key=lambda line: (line["time"], line["seq"]), default=None)
    if last is None or not last["share"]:
        return None
    promoted = any(line["digest"] == last["digest"] for line in decisions(lines[last["seq"] :]))
    return None if promoted else last


def version(family: str, number: int) -> Line:
    """The line that promoted a version. Raises UnknownVersion, naming the existing ones."""
    known = versions(read(family))
    if number not in known:
        existing = ", ".join(map(str, known)) or "none yet (`make train` makes the first)"
        raise UnknownVersion(f"{family} has no version {number}. There are: {existing}.")
    return known[number]


def head(family: str) -> str | None:
    """The hash of the last line, which identifies the state of the ledger; None for an empty one."""
    lines = read(family)
    return lines[-1]["hash"] if lines else None


def rolled_back(lines: list[Line]) -> dict[str, int]:
    """{digest: version} of the versions that were rolled back from and not made champion by a rollback since."""
    gone: dict[str, int] = {}
    known = in_force(lines)
    for line in (line for line in decisions(lines) if line["event"] == "rollback"):
        gone |= {left["digest"]: left["version"] for left in before(line, known) if left["version"] > line["version"]}
        gone.pop(line["digest"], None)
    return gone
