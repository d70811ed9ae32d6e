"""The ledger against the files that name its lines: git's last commit, pointers, stamps and releases; lost lines are restored from them."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipelines import folders, git
from pipelines.ledger import lines as ledger
from pipelines.ledger import merge
from pipelines.ledger.lines import Line

FOLLOWERS = {  # files that reconcile writes, and their keys that hold a line of the ledger, or its hash
    ".store/champions/{family}.json": ("promotion", "decision"),
    ".store/challengers/{family}.json": ("challenge",),
    f"{ledger.STAMPS}/{{family}}.json": ("head",),
}
RECORDS = {**FOLLOWERS, "released/{family}/release.json": ("hash",)}
LOST = Path(".store", "lost")  # <family>.json: {hash: line} of lines that the ledger has lost, saved before its followers are rewritten


class Fault(NamedTuple):
    """A file, what is wrong with it, and the command that repairs it."""

    path: Path
    words: str
    repair: str


def contradictions(family: str) -> list[Fault]:
    """Where git's last commit, a pointer, the stamp or the release names a line that the ledger does not have.

    The hash chain shows altered, dropped or moved lines, but not that the last ones are gone. Raises AlteredLedger where it is broken.
    """
    file = ledger.path(family)
    try:
        committed, unusable = [ledger.parse(text) for text in git.committed(file).splitlines()], []
    except git.Unusable as fault:
        committed, unusable = [], [Fault(file, f"cannot be held against git's last commit: {str(fault).rstrip('.')}", fault.remedy)]
    named = [*_named(family)]  # both before the ledger is read: a line is written before it is named
    lines = ledger.read(family)
    return [*unusable, *_against_git(file, committed, lines), *_against(family, named, lines)]


def _named(family: str, records: dict[str, tuple[str, ...]] = RECORDS) -> Iterator[tuple[Path, Line]]:
    """(file, line) for every line that another file names; some know only the hash."""
    lost = LOST / f"{family}.json"
    yield from ((lost, line) for line in _read(lost).values())
    for pattern, keys in records.items():
        file = Path(pattern.format(family=family))
        content = _read(file)
        for named in (content.get(key) for key in keys):
            yield file, named if isinstance(named, dict) else {"hash": named}


def _read(file: Path) -> Line:
    return ledger.parse(file.read_bytes()) if file.is_file() else {}


def _against_git(file: Path, committed: list[Line], lines: list[Line]) -> Iterator[Fault]:
    """The ledger has the committed lines, as they are or merged."""
    known = merge.known_as(lines)
    for number, line in enumerate(committed, 1):
        if "hash" in line and line["hash"] not in known:
            words = f"line {number} of git's last commit, {summary(line)}, is missing or another"
            repair = f"cp {file} {file}.broken && git checkout HEAD -- {file}"
            yield Fault(file, words, f"make merge family={file.stem}" if _went_on(lines, committed) else repair)
            return


def _went_on(lines: list[Line], committed: list[Line]) -> bool:
    """Has the ledger decisions of its own, none of them a committed one that was written anew?"""
    known = [line for line in committed if "hash" in line]
    own, made = ({(line.get("event"), line.get("key")) for line in some} for some in (merge.missing(lines, known), known))
    return bool(own) and not own & made


def _against(family: str, named: list[tuple[Path, Line]], lines: list[Line]) -> Iterator[Fault]:
    known = {None, *merge.known_as(lines)}
    complete = {line.get("hash") for _, line in named if "seq" in line}
    for (file, name), lost in {(file, line.get("hash")): line for file, line in named}.items():
        if name not in known and ("seq" in lost or name not in complete):  # a file with the complete line names its repair
            hint = f"on a branch with another history: `make reconcile family={family}`"
            hint = f"to give it up: `rm -f {file}`" if file == LOST / f"{family}.json" else hint
            words = f"names the line {summary(lost)}, which {ledger.path(family)} does not have ({hint})"
            yield Fault(file, words, _repair(lost, family, lines))


def summary(line: Line) -> str:
    more = f" ({line['event']} at {line['time']}, version {line['version']})" if "seq" in line else ""
    return f"{str(line.get('hash'))[:12]}{more}"


def _repair(lost: Line, family: str, lines: list[Line]) -> str:
    """The command that appends the lost line where it is the very next one, else the one that finds its commit."""
    if _is_next(lost, lines):
        return f"make restore-ledger family={family}"
    return shlex.join(["git", "log", "--all", "--oneline", f"-S{lost['hash']}", "--", str(ledger.path(family))])


def _is_next(line: Line, lines: list[Line]) -> bool:
    return ledger.follows(line, lines[-1]["hash"] if lines else None, len(lines) + 1)


def save_lost(family: str) -> None:
    """Save the lines that pointers and stamp name and neither the ledger nor any commit has, before reconciling overwrites them."""
    known = {None, *merge.known_as(ledger.read(family))}
    lost: dict[str, Line] = {}
    for _, line in _named(family, FOLLOWERS):
        if line.get("hash") not in known and "seq" not in lost.get(line["hash"], {}):
            lost[line["hash"]] = line
    lost = {name: line for name, line in lost.items() if not _in_git(family, name)}
    if lost:
        folders.write_json(LOST / f"{family}.json", lost)
    else:
        (LOST / f"{family}.json").unlink(missing_ok=True)


def _in_git(family: str, name: str) -> bool:
    """Has any commit the line with this hash? No, where git cannot be asked: the line is saved then."""
    with suppress(git.Unusable):
        return bool(git.output("log", "--all", "--format=%h", f"-S{name}", "--", str(ledger.path(family))))
    return False


def restore(family: str) -> list[Line]:
    """Append lost lines that other files hold complete, as long as each is the very next one; the restored lines."""
    ledger.ROOT.mkdir(exist_ok=True)
    restored: list[Line] = []
    with folders.locked(ledger.ROOT / ".lock"):
        named = [line for _, line in _named(family)]
        while line := next((line for line in named if _is_next(line, ledger.read(family))), None):
            restored.append(ledger.write(ledger.path(family), line))
    return restored


def report(found: list[Fault]) -> int:
    """Print what contradicts a ledger, and its repair; the exit code."""
    for fault in found:
        print(f"{fault.path}: {fault.words}.\n  {fault.repair}", file=sys.stderr)
    return int(bool(found))


def main(family: str) -> int:
    """Restore the last lines of a ledger that are lost and that the pointers, or .store/lost, still hold; the exit code."""
    for line in restore(family):
        print(f"{ledger.path(family)}: line {line['seq']}, {summary(line)}, is restored. Now `make serve family={family}`.")
    return report(contradictions(family))
