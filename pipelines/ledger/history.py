"""`make history family=digits`: every decision in the ledger, in order; with `at=`, what served at that moment or day (UTC), and why."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines import discovery
from pipelines.ledger import cross_checks, merge
from pipelines.ledger import lines as ledger
from pipelines.ledger.cross_checks import Fault
from pipelines.ledger.lines import Line

FORMS = "2026-11-01 (the whole day), 2026-11-01T12:00, 2026-11-01T12:00:30, in UTC"
TIME = "%Y-%m-%dT%H:%M:%SZ"
WORDS = {"promote": "promoted", "rollback": "rolled back", "refuse": "rejected", "challenge": "challenger", "merge": "merged"}
BACK = ("rollback", "merge")  # they make a version champion that was promoted before
COLOURS = {"promote": "green", "rollback": "yellow", "refuse": "red", "challenge": "cyan", "merge": "magenta"}


class BadMoment(ValueError):
    """An `at` that is neither a moment nor a day, or in the future."""


class Span(NamedTuple):
    """The first and last second that are asked for, inclusive, in the ledger's format."""

    first: str
    last: str


def served(lines: list[Line], span: Span) -> list[dict[str, Any]]:
    """The periods() that overlap a span."""
    return [period for period in periods(lines) if period["since"] <= span.last and (period["until"] or "9") > span.first]


def periods(lines: list[Line]) -> list[dict[str, Any]]:
    """One period per champion, in the order of `seq`, whatever the clock said; those of a merged branch overlap others.

    {"version", "since", "until": None for the current one, "promotion": the line that made the version, "decision": the line that made
    it champion, "ended": the decision that ended it, where two branches did the last, or None, "refused": the lines in between,
    "challenges": likewise, with the one that was current at the start}
    """
    known, promoted = ledger.in_force(lines), ledger.versions(lines)
    enders, between = defaultdict[int, list[Line]](list), defaultdict[int, list[Line]](list)
    for line in lines:
        for decision in ledger.before(line, known):
            (between if decision in known[line["seq"]] else enders)[decision["seq"]].append(line)
    return [_period(lines, promoted, line, enders[line["seq"]], between[line["seq"]]) for line in ledger.decisions(lines)]


def _period(lines: list[Line], promoted: dict[int, Line], decision: Line, enders: list[Line], between: list[Line]) -> dict[str, Any]:
    ended = max(enders, key=lambda line: (line["time"], line["seq"]), default=None)
    current = ledger.challenger(lines[: decision["seq"]])
    return {
        "version": decision["version"],
        "since": decision["time"],
        "until": ended and ended["time"],
        "promotion": promoted[decision["version"]],
        "decision": decision,
        "ended": ended,
        "refused": [line for line in between if line["event"] == "refuse"],
        "challenges": [*([current] if current else []), *(line for line in between if line["event"] == "challenge")],
    }


def refused_before(lines: list[Line], span: Span) -> list[Line]:
    """The candidates rejected before the first promotion, up to the end of a span that begins there."""
    first = next(iter(ledger.decisions(lines)), None)
    if first and first["time"] <= span.first:
        return []
    before = lines[: first["seq"] - 1] if first else lines
    return [line for line in before if line["event"] == "refuse" and line["time"] <= span.last]


def span_of(at: str, lines: list[Line]) -> Span:
    """The span of a moment or a day. Raises BadMoment."""
    try:
        moment = datetime.fromisoformat(at)
        first = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        last = first + timedelta(days=1, seconds=-1) if re.fullmatch(r"[\d-]+", at) else first
    except (ValueError, OverflowError):
        raise BadMoment(f"at={at!r} is not a moment. Write it as one of: {FORMS}.") from None
    span = Span(first.strftime(TIME), last.strftime(TIME))
    now = max([datetime.now(UTC).strftime(TIME), *(line["time"] for line in lines[-1:])])
    if span.first > now:
        raise BadMoment(f"at={at!r} has not come yet: it is {now}.")
    return span


def table(family: str, lines: list[Line]) -> Table:
    """Every decision as a row, with the champion's version after it."""
    rows = Table(title=f"{family}: every decision", show_lines=True)
    for name in ("line", "time, UTC", "decision", "candidate", "champion"):
        rows.add_column(name, no_wrap=True)
    rows.add_column("why")
    for line in lines:
        event = Text(WORDS.get(line["event"]) or str(line["event"]), COLOURS.get(line["event"], ""))
        model = f"{line.get('candidate') or 'none'}\n{str(line.get('digest') or '')[:12]}"
        rows.add_row(
            str(line["seq"]), line["time"], event, model, str(line["version"] or "none"), Text("\n".join([*reasons(line), *_notes(line)]))
        )
    return rows


def reasons(line: Line) -> list[str]:
    return [str(reason) for reason in line.get("reasons", [])]


def _notes(line: Line) -> list[str]:
    """Notes: the sweep that chose the candidate; a machine's clock that was behind the time of the line before; a line from a merge."""
    clock = [f"the clock was ahead when a line before was written: at this one it said {line['clock']}"] if "clock" in line else []
    was = [f"written on another branch as line {each['seq']}, version {each['version']}" for each in [*merge.as_written(line)][1:]]
    chosen = [f"chosen among {study['trials']} trials of {study['name']}, {study['pruned']} pruned"] if (study := line.get("study")) else []
    return [*chosen, *clock, *was]


def _refused(line: Line) -> str:
    """A rejection with every condition that failed: the line has those first."""
    return f"Rejected at {line['time']}, {line['candidate']}: {'; '.join(reasons(line)[: len(line.get('failed', [1]))])}."


def report(family: str, at: str, lines: list[Line], span: Span) -> list[str]:
    """What served in a span, and why, in sentences."""
    early = [_refused(line) for line in refused_before(lines, span)]
    if found := served(lines, span):
        return [*early, *(sentence for period in found for sentence in _report(family, at, period))]
    first = next(iter(ledger.decisions(lines)), None)
    later = f"version 1 was promoted at {first['time']}" if first else f"no version has been promoted. `make train family={family}`"
    return [f"{family} at {at}: nothing served; {later}.", *early]


def _report(family: str, at: str, period: dict[str, Any]) -> list[str]:
    line, decision, ended = period["promotion"], period["decision"], period["ended"]
    event = {"promote": "promoted", "merge": "chosen by a merge"}.get(ended["event"], "restored") if ended else ""
    until = f"until {ended['time']}, when version {ended['version']} was {event}" if ended else "to now"
    commit = str(line["commit"] or "unknown")[:12]
    return [
        f"{family} at {at}: version {period['version']} ({line['candidate']}), from {period['since']} {until}.",
        f"digest {line['digest'][:12]}, data {line['data'][:12]}, commit {commit}; line {decision['seq']} of the ledger.",
        *(f"Of line {decision['seq']}: {note}." for note in _notes(decision)),
        *([f"Champion by a {decision['event']}: {'; '.join(reasons(decision))}."] if decision["event"] in BACK else []),
        f"Promoted at {line['time']}, because:",
        *(f"  {reason}" for reason in reasons(line)),
        *([f"Ended by line {ended['seq']}: {'; '.join(reasons(ended))}."] if ended else []),
        *map(_refused, period["refused"]),
        *(f"Challenger at {other['time']}, {other['candidate']}: {'; '.join(reasons(other))}." for other in period["challenges"]),
        f"Walk back to the data: make lineage of={family}@v{period['version']}",
    ]


def show(family: str, at: str | None, lines: list[Line]) -> None:
    """Print the table of all decisions, or what served at `at`."""
    console = Console(width=max(110, Console().width), highlight=False)
    if at:
        for sentence in report(family, at, lines, span_of(at, lines)):
            console.print(Text(sentence), soft_wrap=True)
    elif lines:
        console.print(table(family, lines))
    else:
        console.print(f"{family}: nothing has been decided yet. `make train family={family}` makes the first version.")


def as_json(family: str, at: str | None, lines: list[Line], against: list[Fault]) -> dict[str, Any]:
    """The same for programs."""
    found: dict[str, Any] = {"lines": lines}
    if at:
        span = span_of(at, lines)
        found = {"at": span._asdict(), "served": served(lines, span), "refused_before": refused_before(lines, span)}
    return {"family": family, **found, "contradictions": [{**fault._asdict(), "path": str(fault.path)} for fault in against]}


def main(family: str, at: str | None = None, json: bool = False) -> int:
    """Print the decisions, or what served at a time; the exit code: 1 when the ledger is not what was written."""
    lines = ledger.read(discovery.validate(family))
    against = cross_checks.contradictions(family)
    if json:
        print(dumps(as_json(family, at, lines, against), indent=2, ensure_ascii=False))
    else:
        show(family, at, lines)
    return cross_checks.report(against)
