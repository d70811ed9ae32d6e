"""registry/<family>.jsonl: every decision ever made, append-only, each line chained to the one before.

The append is the commit point of a promotion; everything else (MLflow, the model store, the pointer that services
follow, champion.json) is rebuilt from here. `event` says what was decided: "promote" and "rollback" change the
champion; "refuse" (the gate stayed closed) and "challenge" (a challenger was set or taken away) do not. `version` is
what stands after the line: null where nothing does.
"""

import argparse
import itertools
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import errors, folders, git

ROOT = Path("registry")
CHANGE = ("promote", "rollback")  # events that change the champion
STAMPS = Path("mlruns", "reconciled")  # <family>.json: the head that everything was last made to follow
FOLLOWERS = {  # what reconcile moves, and names lines of a ledger: file -> where in it a line, or the hash of one, stands
    ".store/champions/{family}.json": ("promotion", "decision"),
    ".store/challengers/{family}.json": ("challenge",),
    f"{STAMPS}/{{family}}.json": ("head",),
}
WITNESSES = {**FOLLOWERS, "released/{family}/release.json": ("hash",)}
LOST = Path(".store", "lost")  # <family>.json: {hash: line} of what the ledger has lost, kept before everything follows it as it is
Line = dict[str, Any]


class Contradiction(NamedTuple):
    """A file that does not fit its ledger, what is wrong, and the command that puts it right."""

    path: Path
    words: str
    repair: str


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
    return content + b"\n" if tail and parsed(tail).get("hash") else lines + newline


def _checked(file: Path, raw: list[bytes]) -> Iterator[Line]:
    previous = None
    for number, text in enumerate(raw, 1):
        line = parsed(text)
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


def parsed(text: bytes) -> Line:
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
        return known or _written(path(family), _next(family, event, key, facts, lines))


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


def _written(file: Path, line: Line) -> Line:
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


def witnesses(family: str) -> list[Contradiction]:
    """What the rest of the project says against this ledger: git's last commit, pointers, stamp and release. Empty where all agree.

    The chain finds any line that was altered, dropped or moved, but not that the last ones are gone: whoever saw them does.
    Raises AlteredLedger where the chain itself does not hold.
    """
    committed, named = _committed(family), [*_named(family)]  # before the ledger is read: a line is written before it is named
    lines = read(family)
    return [*_against_git(family, committed, lines), *_against(family, named, lines)]


def _committed(family: str) -> list[Line]:
    """The ledger's lines in git's last commit."""
    return [parsed(text) for text in git.shown(path(family)).splitlines()]


def _named(family: str, places: dict[str, tuple[str, ...]] = WITNESSES) -> Iterator[tuple[Path, Line]]:
    """(file, line) for every line that another file names; of some the hash alone."""
    for line in _kept(family).values():
        yield LOST / f"{family}.json", line
    for pattern, keys in places.items():
        place = Path(pattern.format(family=family))
        told = _read(place)
        for named in (told.get(key) for key in keys):
            yield place, named if isinstance(named, dict) else {"hash": named}


def _read(place: Path) -> Line:
    """A JSON object; an empty one where there is none."""
    return parsed(place.read_bytes()) if place.is_file() else {}


def _kept(family: str) -> dict[str, Line]:
    return _read(LOST / f"{family}.json")


def _against_git(family: str, committed: list[Line], lines: list[Line]) -> Iterator[Contradiction]:
    """What is committed is the beginning of the ledger, or all of it."""
    for number, was in enumerate(committed, 1):
        if len(lines) < number or was.get("hash") != lines[number - 1]["hash"]:
            words = f"line {number} of git's last commit, {_told(was)}, is gone or another"
            yield Contradiction(path(family), words, f"cp {path(family)} {path(family)}.broken && git checkout HEAD -- {path(family)}")
            return


def _against(family: str, named: list[tuple[Path, Line]], lines: list[Line]) -> Iterator[Contradiction]:
    known = {None, *(line["hash"] for line in lines)}
    whole = {line.get("hash") for _, line in named if "seq" in line}
    for (place, name), lost in {(place, line.get("hash")): line for place, line in named}.items():
        if name not in known and ("seq" in lost or name not in whole):  # whoever has it whole tells how it comes back
            kept = place == LOST / f"{family}.json"
            gone = f"to let it go for good: `rm -f {place}`"
            other = f"where this is another branch, with another history: `python -m pipelines.registry reconcile --family {family}`"
            words = f"names the line {_told(lost)}, which {path(family)} does not hold ({gone if kept else other})"
            yield Contradiction(place, words, _repair(lost, family, lines))


def _told(line: Line) -> str:
    """A line in words; of some only the hash is known."""
    more = f" ({line['event']} at {line['time']}, version {line['version']})" if "seq" in line else ""
    return f"{str(line.get('hash'))[:12]}{more}"


def _repair(lost: Line, family: str, lines: list[Line]) -> str:
    """The command that adds the lost line, where it is whole and the very next one; else the one that finds its commit."""
    if _fits(lost, lines):
        return f"python -m pipelines.ledger --family {family}"
    return shlex.join(["git", "log", "--all", "--oneline", f"-S{lost['hash']}", "--", str(path(family))])


def _fits(line: Line, lines: list[Line]) -> bool:
    """Is this line, just as it was written, the very next one?"""
    own = folders.hash_of({key: value for key, value in line.items() if key != "hash"})
    before = lines[-1]["hash"] if lines else None
    return (line.get("hash"), line.get("previous"), line.get("seq")) == (own, before, len(lines) + 1)


def keep_lost(family: str) -> None:
    """Keep what the pointers and the stamp name and neither the ledger nor any commit holds, before they are made to follow the ledger."""
    named = [line for _, line in _named(family, FOLLOWERS)]
    known = {None, *(line["hash"] for line in read(family))}
    lost: dict[str, Line] = {}
    for line in named:
        if line.get("hash") not in known and "seq" not in lost.get(line["hash"], {}):
            lost[line["hash"]] = line
    lost = {name: line for name, line in lost.items() if not git.says("log", "--all", "--format=%h", f"-S{name}", "--", str(path(family)))}
    if lost:
        folders.write_json(LOST / f"{family}.json", lost)
    else:
        (LOST / f"{family}.json").unlink(missing_ok=True)


def restore(family: str) -> list[Line]:
    """Append again what was lost and whoever saw it holds whole, as far as each line is the very next one; return what came back."""
    ROOT.mkdir(exist_ok=True)
    back: list[Line] = []
    with folders.locked(ROOT / ".lock"):
        named = [line for _, line in _named(family)]
        while line := next((line for line in named if _fits(line, read(family))), None):
            back.append(_written(path(family), line))
    return back


def main() -> None:
    """Put back the last lines of a ledger that are lost and that the pointers, or .store/lost, still hold."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--family", required=True)
    family = parser.parse_args().family
    with errors.printed_once():
        for line in restore(family):
            print(f"{path(family)}: line {line['seq']}, {_told(line)}, is back. `make ui` or `make serve family={family}` follows it.")
        left = witnesses(family)
    for found in left:
        print(f"{found.path}: {found.words}.\n  {found.repair}", file=sys.stderr)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
