"""Two ledgers that went on from the same lines, each on a branch of its own, as one that has the decisions of both.

The branch that decided first keeps its lines. Those of the other follow, with new numbers and hashes; `was` has what each line said before,
so a prediction, a release or a pointer that names it is still known. The last line is the merge: it lists the new numbers, and the latest
decision of both branches, by its time, is the champion. Whoever merges, the lines before it are the same.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pipelines import folders
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import AlteredLedger, Line

REPLACED = ("seq", "previous", "version", "after", "renumbered", "was", "hash")  # what merging changes in a line


class Octopus(ValueError):
    """More than two branches at once."""


def merge(one: list[Line], other: list[Line], by: str) -> list[Line]:
    """The ledger with the decisions of both; the longer one where it has all of them already."""
    mine, theirs = missing(one, other), missing(other, one)
    if not mine or not theirs:
        return other if theirs else one
    turned = (theirs[0]["time"], theirs[0]["hash"]) < (mine[0]["time"], mine[0]["hash"])
    return _joined(other, one, by) if turned else _joined(one, other, by)


def missing(lines: list[Line], among: list[Line]) -> list[Line]:
    """The lines of a ledger that another has neither as they are nor merged."""
    known = known_as(among)
    return [line for line in lines if _find(line, known) is None]


def known_as(lines: Iterable[Line]) -> dict[str, Line]:
    """{hash: line}, also by the hashes that a line had before a merge, and those of the same decision on another branch."""
    found = {each["hash"]: line for line in lines for each in as_written(line)}
    return found | {other: found[kept] for line in lines for other, kept in line.get("same", {}).items() if kept in found}


def as_written(line: Line) -> Iterator[Line]:
    """A line as it is, then as it was before each merge, newest first."""
    yield line
    earlier = {key: value for key, value in line.items() if key not in REPLACED} | line.get("was", {})
    if "was" in line and earlier.get("hash") == ledger.hash_of(earlier):
        yield from as_written(earlier)


def _find(line: Line, known: dict[str, Line]) -> Line | None:
    return next((known[each["hash"]] for each in as_written(line) if each["hash"] in known), None)


def decision(line: Line) -> tuple[str, ...]:
    """What was decided: the same on two branches where both ran the same command on the same models."""
    return tuple(str(line.get(name)) for name in ("event", "key", "digest", "data"))


def _joined(first: list[Line], second: list[Line], by: str) -> list[Line]:
    """The first, then the lines of the second that it lacks, then the line of the merge."""
    lines, known, made = list(first), known_as(first), {decision(line): line for line in first}
    seqs, numbers = {0: 0}, dict[int, int]()  # those of the second: those here
    facts: dict[str, dict[str, Any]] = {"renumbered": {}, "same": {}}
    for line in second:
        here = _find(line, known) or made.get(decision(line))
        if here is None:
            here = _moved(line, lines, seqs, numbers)
            lines.append(here)
            facts["renumbered"] |= {str(line["version"]): here["version"]} if line["event"] == "promote" else {}
        elif line["hash"] not in known:
            facts["same"][line["hash"]] = here["hash"]
        seqs[line["seq"]] = here["seq"]
        numbers |= {line["version"]: here["version"]} if line["event"] == "promote" else {}
    return [*lines, _merge(lines, [len(first), seqs[len(second)]], facts, by)]


def _moved(line: Line, lines: list[Line], seqs: dict[int, int], numbers: dict[int, int]) -> Line:
    """A line of the second branch as the next one of the first."""
    after = [seqs[seq] for seq in line.get("after", [line["seq"] - 1])]
    number = len(ledger.versions(lines)) + 1 if line["event"] == "promote" else numbers.get(line["version"])
    facts = {key: value for key, value in line.items() if key not in REPLACED}
    facts |= {"version": number, "was": {key: line[key] for key in REPLACED if key in line}}
    facts |= {"after": after} if after != [len(lines)] else {}
    if "renumbered" in line:
        facts["renumbered"] = {old: numbers[new] for old, new in line["renumbered"].items()}
    return ledger.chained(lines, facts)


def _merge(lines: list[Line], heads: list[int], facts: dict[str, dict[str, Any]], by: str) -> Line:
    """The line that ends a merge: new numbers, what both branches decided alike, and what serves."""
    known = ledger.in_force(lines)
    sides = [known[head] for head in heads]
    latest = max((each for side in sides for line in side for each in _decided(line, known)), key=_moment, default=None)
    seqs = [line["seq"] for line in lines[heads[0] :]]
    moved = f"{len(seqs)} decisions of another branch, from line {seqs[0]} on" if seqs else "both branches decided the same"
    renumbered = [f"version {new} was version {old} there" for old, new in facts["renumbered"].items() if int(old) != new]
    line = {
        **ledger.now(lines),
        "event": "merge",
        "family": lines[0]["family"],
        "version": latest and latest["version"],
        "key": folders.hash_of(["merge", *(lines[head - 1]["hash"] for head in heads)]),
        **{key: latest and latest.get(key) for key in ("candidate", "digest", "data")},
        **facts,
        "after": list(dict.fromkeys(heads)),
        "reasons": [f"merged by {by}: {moved}", *renumbered, *_why(latest, sides)],
    }
    return ledger.chained(lines, line)


def _decided(line: Line, known: dict[int, list[Line]]) -> Iterator[Line]:
    """The promotions and rollbacks that were in force on the branches that led to a decision: a merge decides nothing itself."""
    if line["event"] == "merge":
        yield from (each for earlier in ledger.before(line, known) for each in _decided(earlier, known))
    else:
        yield line


def _moment(line: Line) -> tuple[str, int, str]:
    """When a line was decided; within a second, by what it was first, which no order of merging changes."""
    first = [*as_written(line)][-1]
    return line["time"], first["seq"], first["hash"]


def _why(latest: Line | None, sides: list[list[Line]]) -> list[str]:
    if latest is None:
        return []
    left = {line["version"] for side in sides for line in side} - {latest["version"]}
    return [
        f"version {latest['version']} serves: line {latest['seq']}, {latest['time']}, is the latest decision of both branches",
        *(f"version {version} served on the other branch, and no gate has held the two against each other" for version in left),
    ]


def chains(content: bytes) -> list[list[Line]]:
    """The ledgers in a file: two where git left a conflict, or a union merge the lines of both branches; none in an empty one.

    Raises AlteredLedger where a line is not just as it was written, or one is missing.
    """
    rows = {row for row in ledger.complete(content).splitlines() if not ledger.MARKER.fullmatch(row)}
    lines = {line["hash"]: line for line in map(ledger.parse, rows) if line.get("hash") == ledger.hash_of(line)}
    if len(lines) < len(rows):
        raise AlteredLedger("a line is not what was written, or incomplete")
    tips = lines.keys() - {line["previous"] for line in lines.values()}
    return [_chain(lines, lines[tip]) for tip in sorted(tips)]


def _chain(lines: dict[str, Line], tip: Line) -> list[Line]:
    found = [tip]
    while previous := found[-1]["previous"]:
        if previous not in lines:
            raise AlteredLedger(f"line {found[-1]['seq'] - 1} is missing")
        found.append(lines[previous])
    return found[::-1]


def version(family: str, number: int, digest: str) -> Line:
    """The line that promoted a version with this digest, also where the number is that of a branch merged since. Raises UnknownVersion."""
    known = [line for line in ledger.versions(ledger.read(family)).values() if line["digest"] == digest]
    then = [line for line in known if number in {each["version"] for each in as_written(line)}]
    return next(iter(then or known), None) or ledger.version(family, number)


def render(lines: list[Line]) -> bytes:
    """The content of a ledger."""
    return "".join(f"{folders.canonical(line)}\n" for line in lines).encode()
