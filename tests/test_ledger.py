"""Append-only, chained, one line a decision: whatever kills the writer or alters the file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import ledger
from tests.conftest import environment

FACTS = {"digest": "d", "candidate": "digits-adam", "data": "x"}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_versions_count_promotions_and_the_last_line_decides() -> None:
    assert ledger.champion(ledger.read("digits")) is None
    one, two = (ledger.append("digits", "promote", key, FACTS) for key in "ab")
    back = ledger.append("digits", "rollback", "c", {**FACTS, "version": 1})
    assert [one["version"], two["version"], back["version"]] == [1, 2, 1]
    assert ledger.champion(ledger.read("digits")) == one
    assert [line["previous"] for line in ledger.read("digits")] == [None, one["hash"], two["hash"]]
    assert ledger.append("digits", "promote", "d", FACTS)["version"] == 3


def test_the_same_decision_never_makes_a_second_line() -> None:
    first = ledger.append("digits", "promote", "a", FACTS)
    assert ledger.append("digits", "promote", "a", {**FACTS, "digest": "other"}) == first
    assert len(ledger.read("digits")) == 1


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("field", ["digest", "time", "version", "hash"])
def test_an_altered_line_is_named(number: int, field: str) -> None:
    for key in "abc":
        ledger.append("digits", "promote", key, FACTS)
    lines = ledger.path("digits").read_text().splitlines()
    lines[number - 1] = json.dumps({**json.loads(lines[number - 1]), field: "altered"})
    ledger.path("digits").write_text("\n".join(lines) + "\n")
    with pytest.raises(ledger.AlteredLedger, match=f"line {number}.*git checkout"):
        ledger.read("digits")


@pytest.mark.parametrize("change", ["drop", "swap", "garbage", "blank"])
def test_a_dropped_moved_or_foreign_line_is_found(change: str) -> None:
    for key in "abc":
        ledger.append("digits", "promote", key, FACTS)
    a, b, c = ledger.path("digits").read_text().splitlines()
    altered = {"drop": [a, c], "swap": [b, a, c], "garbage": [a, "?", b, c], "blank": [a, "", b, c]}[change]
    ledger.path("digits").write_text("\n".join(altered) + "\n")
    with pytest.raises(ledger.AlteredLedger):
        ledger.append("digits", "promote", "d", FACTS)


def test_a_torn_last_line_was_never_committed() -> None:
    """A writer killed in the middle of its write: at any byte, the line is absent and the next append repairs the file."""
    ledger.append("digits", "promote", "a", FACTS)
    whole = ledger.path("digits").read_bytes()
    ledger.append("digits", "promote", "b", FACTS)
    both = ledger.path("digits").read_bytes()
    for cut in range(len(whole), len(both)):
        ledger.path("digits").write_bytes(both[:cut])
        assert len(ledger.read("digits")) == 1
    again = ledger.append("digits", "promote", "b", FACTS)
    assert (again["version"], len(ledger.read("digits"))) == (2, 2)


def test_two_promotions_at_once_make_two_lines_or_one() -> None:
    """Ten processes, five decisions: each decision has one line, and the chain holds."""
    code = "import sys; from pipelines import ledger; ledger.append('digits', 'promote', sys.argv[1], {'digest': sys.argv[1]})"
    keys = [str(index % 5) for index in range(10)]
    writers = [subprocess.Popen([sys.executable, "-c", code, key], env=environment()) for key in keys]
    assert [writer.wait() for writer in writers] == [0] * 10
    lines = ledger.read("digits")
    assert sorted(line["key"] for line in lines) == list("01234")
    assert sorted(line["version"] for line in lines) == [1, 2, 3, 4, 5]


def test_an_unknown_version_names_the_known_ones() -> None:
    with pytest.raises(ledger.UnknownVersion, match="make train"):
        ledger.version("digits", 1)
    ledger.append("digits", "promote", "a", FACTS)
    with pytest.raises(ledger.UnknownVersion, match=r"no version 7.*1\."):
        ledger.version("digits", 7)
