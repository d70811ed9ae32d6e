"""What served when, and why, from a ledger with everything in it; and a ledger whose last lines are gone is found by who saw them."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines import folders
from pipelines.ledger import cross_checks, history
from pipelines.ledger import lines as ledger
from tests.conftest import as_typed, environment

STORY: list[
    tuple[int, int, int, str, str, list[str], dict[str, Any]]
] = [  # day of November 2026, hour and minute by the machine's clock, event, candidate, reasons, and what a rollback goes back to
    (1, 9, 0, "refuse", "lenet", ["accuracy 0.4, at least 0.9"], {}),
    (1, 10, 0, "promote", "adam", ["accuracy 0.98"], {}),
    (1, 12, 0, "refuse", "rmsprop", ["size 30 MB, at most 25 MB", "slow", "accuracy 0.99"], {"failed": ["size", "latency"]}),
    (3, 9, 0, "promote", "sgd", ["accuracy 0.99"], {}),
    (3, 10, 0, "challenge", "rmsprop", ["given 10 % of the requests"], {"share": 0.1}),
    (4, 9, 30, "rollback", "adam", ["rolled back from version 2 by ada", "it takes 7 for 1 [sic]"], {"version": 1}),
    (4, 8, 0, "refuse", "sgd", ["it was version 2 and was rolled back"], {}),  # the clock has jumped back
    (4, 8, 1, "promote", "rmsprop", ["accuracy 0.995"], {}),
]


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ledger.Line]:
    """registry/digits.jsonl in an empty project."""
    monkeypatch.chdir(tmp_path)
    for day, hour, minute, event, candidate, reasons, more in STORY:
        clock = time.struct_time((2026, 11, day, hour, minute, 0, 0, 0, 0))
        with monkeypatch.context() as patch:
            patch.setattr(time, "gmtime", lambda clock=clock: clock)
            facts = {"candidate": candidate, "digest": candidate * 12, "data": "d" * 64, "commit": "c" * 40, "reasons": reasons, **more}
            ledger.append("digits", event, folders.hash_of([day, hour, minute]), facts, after=ledger.head("digits"))
    return ledger.read("digits")


@pytest.mark.parametrize(
    ("at", "versions"),
    [
        ("2026-10-31", []),
        ("2026-11-01", [1]),
        ("20261101", [1]),
        ("2026-11-01T09:59:59", []),
        ("2026-11-01T10:00", [1]),
        ("2026-11-02", [1]),
        ("2026-11-03", [1, 2]),
        ("2026-11-03T08:59:59Z", [1]),
        ("2026-11-03T09:00", [2]),
        ("2026-11-04", [2, 1, 3]),
        ("2026-11-04T09:30", [3]),
        ("2026-11-04T10:30+01:00", [3]),
        ("2026-11-04T10:29:59+01:00", [2]),
        ("2026-11-05", [3]),
    ],
)
def test_what_served_at_a_moment_or_on_a_day(story: list[ledger.Line], at: str, versions: list[int]) -> None:
    """The rollback and the promotion of one second, by a clock that had jumped back, stand in the order they were made in."""
    found = history.served(story, history.span_of(at, story))
    assert [period["version"] for period in found] == versions
    assert (history.report("digits", at, story, history.span_of(at, story))[0].find("nothing served") > 0) == (not versions)


def test_why_it_served_and_what_was_refused_beside_it(story: list[ledger.Line]) -> None:
    words = "\n".join(history.report("digits", "2026-11-04", story, history.span_of("2026-11-04", story)))
    for told in (
        "version 2 (sgd), from 2026-11-03T09:00:00Z until 2026-11-04T09:30:00Z, when version 1 was restored.",
        "Champion by a rollback: rolled back from version 2 by ada; it takes 7 for 1 [sic].",
        "Rejected at 2026-11-04T09:30:00Z, sgd: it was version 2 and was rolled back.",
        "Challenger at 2026-11-03T10:00:00Z, rmsprop: given 10 % of the requests.",
        "version 3 (rmsprop), from 2026-11-04T09:30:00Z to now.",
        "make lineage of=digits@v3",
    ):
        assert told in words
    earlier = "\n".join(history.report("digits", "2026-11-01T11:00", story, history.span_of("2026-11-01T11:00", story)))
    assert "Rejected at 2026-11-01T12:00:00Z, rmsprop: size 30 MB, at most 25 MB; slow." in earlier


@pytest.mark.parametrize(
    ("at", "told"), [("2026-10-31", False), ("2026-11-01", True), ("2026-11-01T09:30", True), ("2026-11-01T10:00", False)]
)
def test_what_was_refused_before_anything_stood_is_told(story: list[ledger.Line], at: str, told: bool) -> None:
    span = history.span_of(at, story)
    assert ("lenet: accuracy 0.4, at least 0.9." in "\n".join(history.report("digits", at, story, span))) == told
    assert history.as_json("digits", at, story, [])["refused_before"] == (story[:1] if told else [])


def test_a_challenger_is_shown_in_every_period_in_which_it_answered(story: list[ledger.Line]) -> None:
    """Set beside version 2, it goes on beside version 1, until it is the champion."""
    assert [period["challenges"] for period in history.periods(story)] == [[], [story[4]], [story[4]], []]


def test_a_clock_that_was_ahead_is_told(story: list[ledger.Line]) -> None:
    (words,) = (words for words in history.report("digits", "2026-11-05", story, history.span_of("2026-11-05", story)) if "clock" in words)
    assert words.endswith("the clock was ahead when a line before was written: at this one it said 2026-11-04T08:01:00Z.")


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01", "2026-11-01T25:00", "9999-12-31", "0001-01-01T00:00+01:00", "2999-01-01", ""])
def test_what_is_no_moment_or_has_not_come_is_refused(story: list[ledger.Line], at: str) -> None:
    with pytest.raises(history.BadMoment, match=r"2026-11-01 \(the whole day\)|has not come yet"):
        history.span_of(at, story)


def asked(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "atelier", "history", "digits", *words]
    return subprocess.run(line, env=environment(COLUMNS="140"), capture_output=True, text=True, check=False)


def test_the_command_lists_every_decision_and_tells_programs_the_same(story: list[ledger.Line]) -> None:
    done = asked()
    assert done.returncode == 0, done.stderr
    for word in ("promoted", "rejected", "rolled back", "challenger", "the clock was ahead", "it takes 7 for 1 [sic]", "size 30 MB"):
        assert word in done.stdout
    assert json.loads(asked("--json").stdout) == {"family": "digits", "lines": story, "contradictions": []}
    answer = json.loads(asked("--json", "--at", "2026-11-03T12:00").stdout)
    assert [(period["version"], period["decision"], period["challenges"]) for period in answer["served"]] == [(2, story[3], [story[4]])]
    refused = asked("--at", "soon")
    assert (refused.returncode, refused.stderr.count("BadMoment: at='soon'")) == (1, 1)


def kept(lines: list[ledger.Line]) -> None:
    """The ledger, put there by hand."""
    ledger.path("digits").write_text("".join(folders.canonical(line) + "\n" for line in lines))


def pointed(line: ledger.Line) -> None:
    folders.write_json(Path(".store/champions/digits.json"), {"promotion": line, "decision": line})


def challenged(line: ledger.Line) -> None:
    folders.write_json(Path(".store/challengers/digits.json"), {"challenge": line})


def stamped(line: ledger.Line) -> None:
    folders.write_json(ledger.STAMPS / "digits.json", {"head": line["hash"]})


def released(line: ledger.Line) -> None:
    folders.write_json(Path("released/digits/release.json"), {"version": line["version"], "hash": line["hash"]})


def committed(line: ledger.Line) -> None:
    for words in (["init", "-q"], ["add", "registry"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a line"]):
        subprocess.run(["git", *words], check=True, capture_output=True)


WITNESSES = [pointed, challenged, stamped, released, committed]


@pytest.mark.parametrize("witness", WITNESSES)
def test_a_last_line_that_is_gone_is_told_by_who_saw_it_and_comes_back(story: list[ledger.Line], witness: Any) -> None:
    """The chain alone holds; the repair is run as it stands there, where the witness has the whole line."""
    witness(story[-1])
    whole = ledger.path("digits").read_bytes()
    assert cross_checks.contradictions("digits") == []
    kept(story[:-1])
    assert len(ledger.read("digits")) == 7
    (found,) = cross_checks.contradictions("digits")
    assert story[-1]["hash"][:12] in found.words
    if witness in (pointed, challenged, committed):
        for _ in range(2):  # a repair that is run again changes nothing more
            subprocess.run(as_typed(found.repair), check=True, capture_output=True, env=environment())
        assert ledger.path("digits").read_bytes() == whole
        assert cross_checks.contradictions("digits") == []
    else:
        assert f"git log --all --oneline -S{story[-1]['hash']}" in found.repair


def test_what_is_lost_is_kept_till_it_is_back_or_let_go(story: list[ledger.Line]) -> None:
    """Also once the pointers follow the ledger as it is; what git holds somewhere is not lost."""
    place = cross_checks.LOST / "digits.json"
    pointed(story[-1])
    stamped(story[-1])
    whole = ledger.path("digits").read_bytes()
    kept(story[:-1])
    for _ in range(2):  # the second time nobody but the place itself names it
        cross_checks.save_lost("digits")
        for pattern in cross_checks.FOLLOWERS:
            Path(pattern.format(family="digits")).unlink(missing_ok=True)
    (found,) = cross_checks.contradictions("digits")
    assert (found.path, f"rm -f {place}" in found.words, asked().returncode) == (place, True, 1)
    subprocess.run(as_typed(found.repair), check=True, capture_output=True, env=environment())
    assert (ledger.path("digits").read_bytes(), cross_checks.contradictions("digits")) == (whole, [])
    committed(story[-1])
    kept(story[:-1])
    pointed(story[-1])
    cross_checks.save_lost("digits")
    assert not place.exists()


def test_a_lost_line_that_no_longer_fits_is_told_and_not_appended(story: list[ledger.Line]) -> None:
    pointed(story[-1])
    kept(story[:-1])
    ledger.append("digits", "refuse", "later", {"reasons": []}, after=ledger.head("digits"))
    assert cross_checks.restore("digits") == []
    assert [found.repair.split()[:2] for found in cross_checks.contradictions("digits")] == [["git", "log"]]


def test_what_another_file_names_is_never_a_command(story: list[ledger.Line]) -> None:
    released({**story[-1], "hash": "x; touch pasted #"})
    (found,) = cross_checks.contradictions("digits")
    subprocess.run(as_typed(found.repair), check=False, capture_output=True)
    assert not Path("pasted").exists()


def test_without_git_the_others_are_still_asked(story: list[ledger.Line], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    pointed(story[-1])
    kept(story[:-1])
    assert len(cross_checks.contradictions("digits")) == 1
    cross_checks.save_lost("digits")
    assert (cross_checks.LOST / "digits.json").exists()


@pytest.mark.parametrize("witness", [pointed, committed])
def test_a_last_line_that_was_written_anew_with_its_hash_is_found(story: list[ledger.Line], witness: Any) -> None:
    witness(story[-1])
    forged = {key: value for key, value in story[-1].items() if key != "hash"} | {"reasons": ["because I say so"]}
    kept([*story[:-1], {**forged, "hash": folders.hash_of(forged)}])
    assert len(ledger.read("digits")) == 8
    done = asked()
    assert (done.returncode, story[-1]["hash"][:12] in done.stderr) == (1, True)


def test_what_was_decided_since_contradicts_nothing(story: list[ledger.Line]) -> None:
    for witness in WITNESSES:
        witness(story[-1])
    ledger.append("digits", "refuse", "later", {"reasons": []}, after=ledger.head("digits"))
    assert cross_checks.contradictions("digits") == []
    assert asked("--json").returncode == 0


@pytest.mark.parametrize("change", ["altered", "dropped", "moved"])
def test_a_line_that_is_not_what_was_written_ends_with_1(story: list[ledger.Line], change: str) -> None:
    changed = {
        "altered": [*story[:2], {**story[2], "candidate": "another"}, *story[3:]],
        "dropped": [*story[:2], *story[3:]],
        "moved": [*story[:2], story[3], story[2], *story[4:]],
    }
    kept(changed[change])
    done = asked("--at", "2026-11-03")
    words = "line 3, is not what was written" if change == "altered" else "line 3, does not follow line 2: it was written as line 4"
    assert (done.returncode, words in done.stderr, "make verify family=digits" in done.stderr) == (1, True, True)
