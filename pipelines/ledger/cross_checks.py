"""The ledger against the files that name its lines: git's last commit, pointers, stamps and releases; lost lines come back from them."""

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines import errors, folders, git
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line

FOLLOWERS = {  # what reconcile moves, and names lines of a ledger: file -> where in it a line, or the hash of one, stands
    ".store/champions/{family}.json": ("promotion", "decision"),
    ".store/challengers/{family}.json": ("challenge",),
    f"{ledger.STAMPS}/{{family}}.json": ("head",),
}
WITNESSES = {**FOLLOWERS, "released/{family}/release.json": ("hash",)}
LOST = Path(".store", "lost")  # <family>.json: {hash: line} of what the ledger has lost, kept before everything follows it as it is


class Contradiction(NamedTuple):
    """A file that does not fit its ledger, what is wrong, and the command that puts it right."""

    path: Path
    words: str
    repair: str


def contradictions(family: str) -> list[Contradiction]:
    """What the rest of the project says against this ledger: git's last commit, pointers, stamp and release. Empty where all agree.

    The chain finds any line that was altered, dropped or moved, but not that the last ones are gone: whoever saw them does.
    Raises AlteredLedger where the chain itself does not hold.
    """
    committed, named = _committed(family), [*_named(family)]  # before the ledger is read: a line is written before it is named
    lines = ledger.read(family)
    return [*_against_git(family, committed, lines), *_against(family, named, lines)]


def _committed(family: str) -> list[Line]:
    """The ledger's lines in git's last commit."""
    return [ledger.parse(text) for text in git.committed(ledger.path(family)).splitlines()]


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
    return ledger.parse(place.read_bytes()) if place.is_file() else {}


def _kept(family: str) -> dict[str, Line]:
    return _read(LOST / f"{family}.json")


def _against_git(family: str, committed: list[Line], lines: list[Line]) -> Iterator[Contradiction]:
    """What is committed is the beginning of the ledger, or all of it."""
    for number, was in enumerate(committed, 1):
        if len(lines) < number or was.get("hash") != lines[number - 1]["hash"]:
            words = f"line {number} of git's last commit, {_told(was)}, is gone or another"
            yield Contradiction(
                ledger.path(family),
                words,
                f"cp {ledger.path(family)} {ledger.path(family)}.broken && git checkout HEAD -- {ledger.path(family)}",
            )
            return


def _against(family: str, named: list[tuple[Path, Line]], lines: list[Line]) -> Iterator[Contradiction]:
    known = {None, *(line["hash"] for line in lines)}
    whole = {line.get("hash") for _, line in named if "seq" in line}
    for (place, name), lost in {(place, line.get("hash")): line for place, line in named}.items():
        if name not in known and ("seq" in lost or name not in whole):  # whoever has it whole tells how it comes back
            kept = place == LOST / f"{family}.json"
            gone = f"to let it go for good: `rm -f {place}`"
            other = f"where this is another branch, with another history: `python -m pipelines.registry reconcile --family {family}`"
            words = f"names the line {_told(lost)}, which {ledger.path(family)} does not hold ({gone if kept else other})"
            yield Contradiction(place, words, _repair(lost, family, lines))


def _told(line: Line) -> str:
    """A line in words; of some only the hash is known."""
    more = f" ({line['event']} at {line['time']}, version {line['version']})" if "seq" in line else ""
    return f"{str(line.get('hash'))[:12]}{more}"


def _repair(lost: Line, family: str, lines: list[Line]) -> str:
    """The command that adds the lost line, where it is whole and the very next one; else the one that finds its commit."""
    if _fits(lost, lines):
        return f"python -m pipelines.ledger --family {family}"
    return shlex.join(["git", "log", "--all", "--oneline", f"-S{lost['hash']}", "--", str(ledger.path(family))])


def _fits(line: Line, lines: list[Line]) -> bool:
    """Is this line, just as it was written, the very next one?"""
    own = folders.hash_of({key: value for key, value in line.items() if key != "hash"})
    before = lines[-1]["hash"] if lines else None
    return (line.get("hash"), line.get("previous"), line.get("seq")) == (own, before, len(lines) + 1)


def save_lost(family: str) -> None:
    """Keep what the pointers and the stamp name and neither the ledger nor any commit holds, before they are made to follow the ledger."""
    named = [line for _, line in _named(family, FOLLOWERS)]
    known = {None, *(line["hash"] for line in ledger.read(family))}
    lost: dict[str, Line] = {}
    for line in named:
        if line.get("hash") not in known and "seq" not in lost.get(line["hash"], {}):
            lost[line["hash"]] = line
    lost = {
        name: line
        for name, line in lost.items()
        if not git.output("log", "--all", "--format=%h", f"-S{name}", "--", str(ledger.path(family)))
    }
    if lost:
        folders.write_json(LOST / f"{family}.json", lost)
    else:
        (LOST / f"{family}.json").unlink(missing_ok=True)


def restore(family: str) -> list[Line]:
    """Append again what was lost and whoever saw it holds whole, as far as each line is the very next one; return what came back."""
    ledger.ROOT.mkdir(exist_ok=True)
    back: list[Line] = []
    with folders.locked(ledger.ROOT / ".lock"):
        named = [line for _, line in _named(family)]
        while line := next((line for line in named if _fits(line, ledger.read(family))), None):
            back.append(ledger.write(ledger.path(family), line))
    return back


def main() -> None:
    """Put back the last lines of a ledger that are lost and that the pointers, or .store/lost, still hold."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--family", required=True)
    family = parser.parse_args().family
    with errors.printed_once():
        for line in restore(family):
            print(
                f"{ledger.path(family)}: line {line['seq']}, {_told(line)}, is back. `make ui` or `make serve family={family}` follows it."
            )
        left = contradictions(family)
    for found in left:
        print(f"{found.path}: {found.words}.\n  {found.repair}", file=sys.stderr)
    sys.exit(bool(left))


if __name__ == "__main__":
    main()
