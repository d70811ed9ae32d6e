"""Append-only, chained, one line a decision: whatever kills the writer or alters the file."""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines import discovery
from pipelines.ledger import lines as ledger
from tests.conftest import ROOT, decided, environment


def append(event: str, key: str, facts: dict[str, object]) -> dict[str, object]:
    """A decision made looking at the present head."""
    return ledger.append("digits", event, key, facts, after=ledger.head("digits"))


FACTS = {"digest": "d", "candidate": "digits-adam", "data": "x"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_versions_count_promotions_and_the_last_line_decides() -> None:
    assert ledger.champion(ledger.read("digits")) is None
    one, two = (append("promote", key, FACTS) for key in "ab")
    back = append("rollback", "c", {**FACTS, "version": 1})
    assert [one["version"], two["version"], back["version"]] == [1, 2, 1]
    assert ledger.champion(ledger.read("digits")) == one
    assert [line["previous"] for line in ledger.read("digits")] == [None, one["hash"], two["hash"]]
    assert append("promote", "d", FACTS)["version"] == 3


def test_the_same_decision_never_makes_a_second_line() -> None:
    first = append("promote", "a", FACTS)
    assert append("promote", "a", {**FACTS, "digest": "other"}) == first
    assert len(ledger.read("digits")) == 1


def test_what_is_refused_or_challenged_changes_nothing_that_stands() -> None:
    """`version` is what stands after a line; a new version is a promotion's alone."""
    assert append("refuse", "a", FACTS)["version"] is None
    assert ledger.champion(ledger.read("digits")) is None
    one, two = (append("promote", key, {**FACTS, "digest": key}) for key in "ab")
    back = append("rollback", "c", {**FACTS, "digest": "a", "version": 1})
    later = [append(event, "d", {**FACTS, "digest": "other"}) for event in ("refuse", "challenge")]
    lines = ledger.read("digits")
    assert [line["seq"] for line in later] == [5, 6]
    assert [line["version"] for line in lines] == [None, 1, 2, 1, 1, 1]
    assert ledger.decisions(lines) == [one, two, back]
    assert (ledger.decision(lines), ledger.champion(lines), ledger.versions(lines)) == (back, one, {1: one, 2: two})
    assert ledger.rolled_back(lines) == {"b": 2}


@pytest.mark.parametrize("event", ["refuse", "challenge"])
def test_the_same_refusal_makes_one_line_and_bars_no_promotion(event: str) -> None:
    first = append(event, "a", FACTS)
    assert append(event, "a", {**FACTS, "figures": "measured again"}) == first
    assert append("promote", "a", FACTS)["version"] == 1
    assert append(event, "a", FACTS) == first
    assert [line["event"] for line in ledger.read("digits")] == [event, "promote"]


@pytest.mark.parametrize("event", ["refuse", "challenge"])
def test_what_changes_no_champion_overtakes_nobody(event: str) -> None:
    seen = str(append("promote", "a", FACTS)["hash"])
    append(event, "b", FACTS)
    assert ledger.append("digits", "promote", "c", FACTS, after=seen)["version"] == 2
    with pytest.raises(ledger.Overtaken):
        ledger.append("digits", event, "d", FACTS, after=seen)


def test_a_clock_that_jumps_back_never_turns_the_order_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line says the time of the one before until the clock has caught up."""
    hours = iter([10, 8, 9, 11])
    monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2026, 11, 1, next(hours), 0, 0, 6, 305, 0)))
    times = [append("promote", key, FACTS)["time"] for key in "abcd"]
    assert times == [f"2026-11-01T{hour}:00:00Z" for hour in (10, 10, 10, 11)]
    assert [line.get("clock") for line in ledger.read("digits")] == [None, "2026-11-01T08:00:00Z", "2026-11-01T09:00:00Z", None]
    assert [line["key"] for line in ledger.read("digits")] == list("abcd")


@pytest.mark.parametrize("family", discovery.names())
def test_the_ledgers_of_the_project_are_whole(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = ledger.read(decided(family))
    standing = ledger.champion(lines)
    assert standing
    assert ledger.decisions(lines)[-1]["version"] == standing["version"]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("field", ["digest", "time", "version", "hash"])
def test_an_altered_line_is_named(number: int, field: str) -> None:
    for key in "abc":
        append("promote", key, FACTS)
    lines = ledger.path("digits").read_text().splitlines()
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), field: "altered"})
    ledger.path("digits").write_text("\n".join(lines) + "\n")
    with pytest.raises(ledger.AlteredLedger, match=f"line {number}.*make verify family=digits"):
        ledger.read("digits")


@pytest.mark.parametrize("change", ["drop", "swap", "garbage", "blank"])
def test_a_dropped_moved_or_foreign_line_is_found(change: str) -> None:
    for key in "abc":
        append("promote", key, FACTS)
    a, b, c = ledger.path("digits").read_text().splitlines()
    altered = {"drop": [a, c], "swap": [b, a, c], "garbage": [a, "?", b, c], "blank": [a, "", b, c]}[change]
    ledger.path("digits").write_text("\n".join(altered) + "\n")
    with pytest.raises(ledger.AlteredLedger):
        append("promote", "d", FACTS)


def test_a_torn_last_line_was_never_committed() -> None:
    """A writer killed in the middle of its write: at any byte, the line is absent and the next append repairs the file."""
    append("promote", "a", FACTS)
    whole = ledger.path("digits").read_bytes()
    append("promote", "b", FACTS)
    both = ledger.path("digits").read_bytes()
    for cut in range(len(whole), len(both) - 1):
        ledger.path("digits").write_bytes(both[:cut])
        assert len(ledger.read("digits")) == 1
    again = append("promote", "b", FACTS)
    assert (again["version"], len(ledger.read("digits"))) == (2, 2)


def test_a_full_disk_is_told_and_undoes_nothing() -> None:
    """The line is as torn as a killed writer leaves it."""
    first = append("promote", "a", FACTS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.path("digits").stat().st_size + 10, hard))
    try:
        with pytest.raises(ledger.NotWritten, match=r"line 2: File too large.*Free some space"):
            append("promote", "b", FACTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ledger.read("digits") == [first]
    assert append("promote", "b", FACTS)["seq"] == 2


def test_two_promotions_at_once_make_two_lines_or_one() -> None:
    """Ten processes, five decisions: each decision has one line, and the chain holds."""
    code = (
        "import sys; from pipelines.ledger import lines as ledger\n"
        "while True:\n"
        "    try: ledger.append('digits', 'promote', sys.argv[1], {'digest': sys.argv[1]}, after=ledger.head('digits')); break\n"
        "    except ledger.Overtaken: pass"
    )
    keys = [str(index % 5) for index in range(10)]
    writers = [subprocess.Popen([sys.executable, "-c", code, key], env=environment()) for key in keys]
    assert [writer.wait() for writer in writers] == [0] * 10
    lines = ledger.read("digits")
    assert sorted(line["key"] for line in lines) == list("01234")
    assert sorted(line["version"] for line in lines) == [1, 2, 3, 4, 5]


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(ledger.UnknownVersion, match="make train"):
        ledger.version("digits", 1)
    append("promote", "a", FACTS)
    with pytest.raises(ledger.UnknownVersion, match=r"no version 7.*1\."):
        ledger.version("digits", 7)


def test_an_editor_that_drops_the_last_newline_undoes_nothing() -> None:
    append("promote", "a", FACTS)
    ledger.path("digits").write_bytes(ledger.path("digits").read_bytes().rstrip(b"\n"))
    assert len(ledger.read("digits")) == 1
    assert append("promote", "b", FACTS)["version"] == 2
    assert [line["seq"] for line in ledger.read("digits")] == [1, 2]


def test_a_decision_that_was_overtaken_is_not_committed() -> None:
    """Decided against one champion, another stood by the time of the commit."""
    seen = append("promote", "a", FACTS)["hash"]
    append("promote", "b", FACTS)
    append("rollback", "c", {**FACTS, "version": 1})
    with pytest.raises(ledger.Overtaken, match="make promote"):
        ledger.append("digits", "promote", "d", FACTS, after=str(seen))
    assert len(ledger.read("digits")) == 3


def test_what_was_rolled_back_is_known_until_it_is_brought_back() -> None:
    append("promote", "a", {**FACTS, "digest": "one"})
    append("promote", "b", {**FACTS, "digest": "two"})
    assert ledger.rolled_back(ledger.read("digits")) == {}
    append("rollback", "c", {**FACTS, "digest": "one", "version": 1})
    assert ledger.rolled_back(ledger.read("digits")) == {"two": 2}
    append("rollback", "d", {**FACTS, "digest": "two", "version": 2})
    assert ledger.rolled_back(ledger.read("digits")) == {}  # forward again: nobody rolled back from version 1
