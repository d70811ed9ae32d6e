"""What was decided, in order, and what served at any moment, and why: read from the ledger alone.

`make history family=digits` lists every decision, the refused ones too; `at=` asks for a moment or a day, in UTC. The end
is 1 where a line was altered, dropped or moved: the chain and whoever has seen the lines say so.
"""

import argparse
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines import discovery, errors
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger
from pipelines.ledger.cross_checks import Contradiction
from pipelines.ledger.lines import Line

FORMS = "2026-11-01 (the whole day), 2026-11-01T12:00, 2026-11-01T12:00:30, in UTC"
TIME = "%Y-%m-%dT%H:%M:%SZ"
WORDS = {"promote": "promoted", "rollback": "rolled back", "refuse": "refused", "challenge": "challenger"}
COLOURS = {"promote": "green", "rollback": "yellow", "refuse": "red", "challenge": "cyan"}


class BadMoment(ValueError):
    """No moment that history can tell of."""


class Span(NamedTuple):
    """From the first to the last second that is asked for, both in it, as the ledger writes them."""

    first: str
    last: str


def served(lines: list[Line], span: Span) -> list[dict[str, Any]]:
    """Which versions stood in a span, oldest first, each with all that was decided while it stood.

    {"version", "since", "until": None where it still stands, "promotion": the line that made it, "decision": the line by which it
    stood, "ended": the decision that ended it or None, "refused": the lines in between, "challenges": those, and before them the
    one that stood already}. Order is by `seq`, so that
    two decisions of one second, or of a clock that jumped back, stand as they were made.
    """
    return [period for period in periods(lines) if period["since"] <= span.last and (period["until"] or "9") > span.first]


def periods(lines: list[Line]) -> list[dict[str, Any]]:
    """What has stood, one after the other, to this day."""
    promoted, decisions = ledger.versions(lines), ledger.decisions(lines)
    return [_period(promoted, lines, *pair) for pair in zip(decisions, [*decisions[1:], None], strict=True)]


def _period(promoted: dict[int, Line], lines: list[Line], decision: Line, ended: Line | None) -> dict[str, Any]:
    between = lines[decision["seq"] : ended["seq"] - 1 if ended else None]
    return {
        "version": decision["version"],
        "since": decision["time"],
        "until": ended and ended["time"],
        "promotion": promoted[decision["version"]],
        "decision": decision,
        "ended": ended,
        "refused": [line for line in between if line["event"] == "refuse"],
        "challenges": [
            *([still] if (still := ledger.challenger(lines[: decision["seq"]])) else []),
            *(line for line in between if line["event"] == "challenge"),
        ],
    }


def refused_before(lines: list[Line], span: Span) -> list[Line]:
    """What was refused before anything stood, up to the end of a span that begins there."""
    first = next(iter(ledger.decisions(lines)), None)
    if first and first["time"] <= span.first:
        return []
    before = lines[: first["seq"] - 1] if first else lines
    return [line for line in before if line["event"] == "refuse" and line["time"] <= span.last]


def span_of(at: str, lines: list[Line]) -> Span:
    """The span that a person means: a moment, or a day. Raises BadMoment for what is neither, or has not come yet."""
    try:
        moment = datetime.fromisoformat(at)
        first = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
        last = first + timedelta(days=1, seconds=-1) if re.fullmatch(r"[\d-]+", at) else first
    except (ValueError, OverflowError):
        raise BadMoment(f"at={at!r} is not a moment. Write it as one of: {FORMS}.") from None
    span = Span(first.strftime(TIME), last.strftime(TIME))
    now = max([datetime.now(UTC).strftime(TIME), *(line["time"] for line in lines[-1:])])
    if span.first > now:
        raise BadMoment(f"at={at!r} has not come yet: it is {now}. Without at=, history tells what stands now.")
    return span


def all_of(family: str, lines: list[Line]) -> Table:
    """Every decision as a row; `stands` is the version after it."""
    table = Table(title=f"{family}: every decision", show_lines=True)
    for name in ("line", "time, UTC", "decision", "candidate", "stands"):
        table.add_column(name, no_wrap=True)
    table.add_column("why")
    for line in lines:
        event = Text(WORDS.get(line["event"]) or str(line["event"]), COLOURS.get(line["event"], ""))
        model = f"{line.get('candidate') or 'none'}\n{str(line.get('digest') or '')[:12]}"
        stands = str(line["version"] or "nothing")
        table.add_row(str(line["seq"]), line["time"], event, model, stands, Text("\n".join([*why(line), *_clock(line)])))
    return table


def why(line: Line) -> list[str]:
    """A line's reasons."""
    return [str(reason) for reason in line.get("reasons", [])]


def _clock(line: Line) -> list[str]:
    """Where the line could not have the time that its machine's clock said."""
    return [f"the clock was ahead when a line before was written: at this one it said {line['clock']}"] if "clock" in line else []


def _refused(line: Line) -> str:
    """A refusal with every condition that failed: the line has those first."""
    return f"Refused at {line['time']}, {line['candidate']}: {'; '.join(why(line)[: len(line.get('failed', [1]))])}."


def told(family: str, at: str, lines: list[Line], span: Span) -> list[str]:
    """What served in a span, and why, in sentences."""
    early = [_refused(line) for line in refused_before(lines, span)]
    found = served(lines, span)
    if not found:
        first = next(iter(ledger.decisions(lines)), None)
        later = f"version 1 was promoted at {first['time']}" if first else f"no version has been promoted. `make train family={family}`"
        return [f"{family} at {at}: nothing served; {later}.", *early]
    return [*early, *(words for period in found for words in _told(family, at, period))]


def _told(family: str, at: str, period: dict[str, Any]) -> list[str]:
    line, decision, ended = period["promotion"], period["decision"], period["ended"]
    until = f" until {ended['time']}, when version {ended['version']} was {_standing(ended)}" if ended else ", and still stands"
    back = [f"It stood by a rollback: {'; '.join(why(decision))}."] if decision["event"] == "rollback" else []
    return [
        f"{family} at {at}: version {period['version']} ({line['candidate']}), from {period['since']}{until}.",
        f"digest {line['digest'][:12]}, data {line['data'][:12]}, commit {str(line['commit'])[:12]}; line {decision['seq']} of the ledger.",
        *(f"Of line {decision['seq']}: {words}." for words in _clock(decision)),
        *back,
        f"Promoted at {line['time']}, because:",
        *(f"  {reason}" for reason in why(line)),
        *([f"Ended by line {ended['seq']}: {'; '.join(why(ended))}."] if ended else []),
        *map(_refused, period["refused"]),
        *(f"Challenger at {other['time']}, {other['candidate']}: {'; '.join(why(other))}." for other in period["challenges"]),
        f"Walk back to the data: make lineage of={family}@v{period['version']}",
    ]


def _standing(decision: Line) -> str:
    return "promoted" if decision["event"] == "promote" else "brought back"


def show(family: str, at: str | None, lines: list[Line]) -> None:
    """The table of all, or what served then."""
    console = Console(width=max(110, Console().width), highlight=False)
    if at:
        for words in told(family, at, lines, span_of(at, lines)):
            console.print(Text(words), soft_wrap=True)
    elif lines:
        console.print(all_of(family, lines))
    else:
        console.print(f"{family}: nothing has been decided yet. `make train family={family}` makes the first version.")


def as_json(family: str, at: str | None, lines: list[Line], against: list[Contradiction]) -> dict[str, Any]:
    """The same for programs."""
    span = span_of(at, lines) if at else None
    found = (
        {"at": span._asdict(), "served": served(lines, span), "refused_before": refused_before(lines, span)} if span else {"lines": lines}
    )
    return {"family": family, **found, "contradictions": [{**told._asdict(), "path": str(told.path)} for told in against]}


def main() -> None:
    """`--family NAME [--at WHEN] [--json]`; exit 1 when the ledger is not what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--at", default=None, help=FORMS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with errors.printed_once():
        lines = ledger.read(discovery.validate(asked.family))
        against = cross_checks.contradictions(asked.family)
        if asked.json:
            print(json.dumps(as_json(asked.family, asked.at, lines, against), indent=2, ensure_ascii=False))
        else:
            show(asked.family, asked.at, lines)
    for found in against:
        print(f"{found.path}: {found.words}.\n  {found.repair}", file=sys.stderr)
    sys.exit(bool(against))


if __name__ == "__main__":
    main()
