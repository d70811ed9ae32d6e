"""Two branches that each decided: both decisions stay, the later branch's versions get new numbers, and what serves follows a rule."""

import functools
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import folders
from pipelines import git as system
from pipelines.artifacts import lock
from pipelines.audit import consistency, dvc_files
from pipelines.ledger import cross_checks, driver, history, merge
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import AlteredLedger, Line
from pipelines.registry import merge as command
from tests.conftest import commit, environment, git

FILE = Path("registry/digits.jsonl")
ATTRIBUTES = "registry/*.jsonl merge=atelier-ledger\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def decide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Line]:
    """Append a decision at an hour of 1 November 2026; a promotion's digest is its name."""

    def append(hour: int, event: str, name: str, **more: Any) -> Line:
        monkeypatch.setattr(time, "gmtime", lambda: time.struct_time((2026, 11, 1, hour, 0, 0, 6, 305, 0)))
        facts = {"candidate": name, "digest": name * 12, "data": "d" * 64, "commit": "c" * 40, "dvc": None, "reasons": [name], **more}
        return ledger.append("digits", event, folders.hash_of([hour, event, name]), facts, after=ledger.head("digits"))

    return append


def written(lines: list[Line]) -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_bytes(merge.render(lines))


def branch(base: list[Line], *decisions: Callable[[], Line]) -> list[Line]:
    """The ledger of a branch that began with `base`."""
    written(base)
    for decision in decisions:
        decision()
    return ledger.read("digits")


def merged(one: list[Line], other: list[Line]) -> list[Line]:
    """The merge, which is the same whichever branch is merged into the other, and a ledger."""
    found, turned = merge.merge(one, other, "ada"), merge.merge(other, one, "ada")
    assert found == turned
    written(found)
    assert ledger.read("digits") == found
    assert not merge.missing(one, found) and not merge.missing(other, found)
    return found


def served(lines: list[Line]) -> str:
    champion = ledger.champion(lines)
    assert champion
    return str(champion["candidate"])


@pytest.fixture
def base(decide: Callable[..., Line]) -> list[Line]:
    return branch([], lambda: decide(1, "promote", "a"))


@pytest.fixture
def pair(base: list[Line], decide: Callable[..., Line]) -> tuple[list[Line], list[Line]]:
    """Two branches that each promoted a version 2."""
    return branch(base, lambda: decide(2, "promote", "b")), branch(base, lambda: decide(3, "promote", "c"))


def test_both_decisions_stay_and_the_later_branch_is_renumbered(pair: tuple[list[Line], list[Line]]) -> None:
    one, other = pair
    lines = merged(one, other)
    assert lines[:2] == one
    assert {number: line["candidate"] for number, line in ledger.versions(lines).items()} == {1: "a", 2: "b", 3: "c"}
    assert [*merge.as_written(lines[2])][1] == other[1]
    last = lines[-1]
    assert (last["event"], last["after"], last["renumbered"], last["version"]) == ("merge", [2, 3], {"2": 3}, 3)
    assert "version 3 was version 2 there" in last["reasons"]
    assert served(lines) == "c"


def test_decisions_go_on_after_a_merge(pair: tuple[list[Line], list[Line]], decide: Callable[..., Line]) -> None:
    merged(*pair)
    assert decide(4, "promote", "d")["version"] == 4
    with pytest.raises(ledger.Overtaken):
        ledger.append("digits", "promote", "in flight", {"digest": "e"}, after=pair[1][-1]["hash"])


@pytest.mark.parametrize(("rolled", "promoted", "serves"), [(4, 3, "a"), (3, 4, "c")])
def test_a_rollback_on_one_and_a_promotion_on_the_other(
    base: list[Line], decide: Callable[..., Line], rolled: int, promoted: int, serves: str
) -> None:
    """The later of the two decides; the version that was rolled back from is the right one, not the one that a branch stood at."""
    base = branch(base, lambda: decide(2, "promote", "b"))
    one = branch(base, lambda: decide(rolled, "rollback", "a", version=1))
    other = branch(base, lambda: decide(promoted, "promote", "c"))
    lines = merged(one, other)
    assert served(lines) == serves
    assert ledger.rolled_back(lines) == {"b" * 12: 2}


def test_history_names_what_served_on_either_branch(pair: tuple[list[Line], list[Line]], decide: Callable[..., Line]) -> None:
    lines = merged(*pair)
    assert [(each["version"], each["since"][11:13], each["until"] and each["until"][11:13]) for each in history.periods(lines)] == [
        *((1, "01", "03"), (2, "02", "03"), (3, "03", "03"), (3, "03", None)),
    ]
    at = history.Span("2026-11-01T02:30:00Z", "2026-11-01T02:30:00Z")
    assert {each["version"] for each in history.served(lines, at)} == {1, 2}
    shown = "\n".join(history.report("digits", "2026-11-01", lines, history.span_of("2026-11-01", lines)))
    assert "written on another branch as line 2, version 2" in shown
    assert "Champion by a merge: merged by ada" in shown


def test_three_branches_merged_in_any_order_have_every_decision_once(
    pair: tuple[list[Line], list[Line]], base: list[Line], decide: Callable[..., Line]
) -> None:
    one, other = pair
    third = branch(base, lambda: decide(2, "refuse", "x"), lambda: decide(4, "promote", "d"), lambda: decide(5, "rollback", "a", version=1))
    ways = [merged(merged(one, other), third), merged(merged(third, other), one), merged(merged(one, other), merged(other, third))]
    for lines in ways:
        assert sorted(line["candidate"] for line in ledger.versions(lines).values()) == ["a", "b", "c", "d"]
        assert list(ledger.versions(lines)) == [1, 2, 3, 4]
        assert sorted(line["event"] for line in lines if line["event"] != "merge") == ["promote"] * 4 + ["refuse", "rollback"]
        assert served(lines) == "a"
        assert list(ledger.rolled_back(lines)) == ["d" * 12]
    assert merge.merge(ways[0], one, "ada") == ways[0]


def test_a_branch_that_went_on_is_merged_again(pair: tuple[list[Line], list[Line]], decide: Callable[..., Line]) -> None:
    one, other = pair
    first = merged(one, other)
    later = branch(other, lambda: decide(6, "promote", "e"))
    lines = merged(first, later)
    assert {number: line["candidate"] for number, line in ledger.versions(lines).items()} == {1: "a", 2: "b", 3: "c", 4: "e"}
    assert (lines[-2]["after"], lines[-2]["was"]["version"], lines[-1]["renumbered"]) == ([3], 3, {"3": 4})


def test_the_same_decision_on_both_branches_is_one(base: list[Line], decide: Callable[..., Line], monkeypatch: pytest.MonkeyPatch) -> None:
    """As where both ran the same `make promote`, or both merged the same."""
    one = branch(base, lambda: decide(2, "promote", "b"))
    again = {key: value for key, value in one[1].items() if key not in {"seq", "previous", "hash"}} | {"time": "2026-11-01T03:00:00Z"}
    other = [*base, ledger.chained(base, again)]
    lines = merged(one, other)
    assert list(ledger.versions(lines)) == [1, 2]
    assert lines[-1]["same"] == {other[1]["hash"]: one[1]["hash"]}
    two = merge.merge(one, other, "bob")
    assert len(merged(lines, two)) == len(lines) + 1


def grown(rng: random.Random, lines: list[Line], name: str) -> list[Line]:
    """A ledger with one more decision of any kind, in this second or a later one."""
    champion, promoted = ledger.champion(lines), [*ledger.versions(lines).values()]
    event = rng.choice(["promote", "promote", "rollback", "refuse", "challenge"] if promoted else ["promote", "refuse"])
    target = rng.choice(promoted) if event == "rollback" else {"digest": name}
    version = {"promote": len(promoted) + 1, "rollback": target.get("version")}.get(event, champion and champion["version"])
    when = {"time": max([f"2026-11-01T00:00:{rng.randrange(60):02}Z", *(line["time"] for line in lines)])}
    facts = {"event": event, "family": "digits", "version": version, "key": name, "digest": target["digest"], "share": 0.1, "reasons": []}
    return [*lines, ledger.chained(lines, {**when, **facts})]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_merged_in_whatever_order_nothing_is_lost_and_the_same_serves(seed: int) -> None:
    rng, base = random.Random(seed), list[Line]()  # noqa: S311
    for number in range(rng.randrange(4)):
        base = grown(rng, base, f"base{number}")
    branches = [base] * rng.randint(2, 4)
    for number in range(12):
        mine, theirs = rng.randrange(len(branches)), rng.choice(branches)
        branches[mine] = grown(rng, branches[mine], f"d{number}") if number % 2 else merge.merge(branches[mine], theirs, "ada")
    ways = [functools.reduce(lambda one, other: merge.merge(one, other, "ada"), order) for order in (branches, branches[::-1])]
    for lines in ways:
        written(lines)
        assert ledger.read("digits") == lines
        assert [merge.missing(branch, lines) for branch in branches] == [[]] * len(branches)
        former = [[*merge.as_written(line)][-1]["hash"] for line in lines if line["event"] != "merge"]
        assert len(former) == len(set(former))
        assert list(ledger.versions(lines)) == list(range(1, len(ledger.versions(lines)) + 1))
        assert len(history.periods(lines)) == len(ledger.decisions(lines))
    champions = [champion and champion["digest"] for champion in map(ledger.champion, ways)]
    assert champions[0] == champions[1]


def test_an_altered_former_line_is_not_known(pair: tuple[list[Line], list[Line]]) -> None:
    line = merged(*pair)[2]
    altered = {**line, "was": {**line["was"], "version": 7}}
    assert len([*merge.as_written(altered)]) == 1


def test_a_challenge_of_either_branch_goes_on(pair: tuple[list[Line], list[Line]], decide: Callable[..., Line]) -> None:
    one = branch(pair[0], lambda: decide(5, "challenge", "x", share=0.1))
    other = branch(pair[1], lambda: decide(4, "challenge", "y", share=0.1))
    challenger = ledger.challenger(merged(one, other))
    assert challenger and challenger["candidate"] == "x"


def test_a_prediction_of_either_branch_finds_its_version(pair: tuple[list[Line], list[Line]]) -> None:
    lines = merged(*pair)
    assert [merge.version("digits", 2, digest * 12) for digest in "bc"] == [lines[1], lines[2]]
    assert merge.version("digits", 1, "a" * 12) == lines[0]
    with pytest.raises(ledger.UnknownVersion):
        merge.version("digits", 9, "z" * 12)


# With git.


def repository(base: list[Line], one: list[Line], *others: list[Line], attributes: str = ATTRIBUTES) -> None:
    """A branch for each ledger: `main` has the first, `other0` and so on the others."""
    here = Path()
    git(here, "init", "-q", "-b", "main")
    Path(".gitattributes").write_text(attributes)
    Path(".gitignore").write_text("registry/.lock\n.store/\nmlruns/\n")
    for words in ("user.name test", "user.email test@localhost"):
        git(here, "config", *words.split())
    for number, lines in enumerate([base, *others]):
        if number:
            git(here, "checkout", "-q", "-b", f"other{number - 1}", "main")
        written(lines)
        commit(here)
    git(here, "checkout", "-q", "main")
    written(one)
    commit(here)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)


def repairs() -> list[str]:
    return [fault.repair for fault in consistency.decisions("digits")]


def test_git_merges_ledgers_by_the_driver_that_the_first_command_sets_up(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    repository(base, pair[1], pair[0])
    folders.write_json(Path(".store/champions/digits.json"), {"promotion": pair[1][1], "decision": pair[1][1]})
    folders.write_json(Path("released/digits/release.json"), {"hash": pair[1][1]["hash"]})
    assert run(sys.executable, "-m", "atelier", "history", "digits").returncode == 0
    done = run("git", "merge", "--no-edit", "other0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 3 was version 2 there; version 3 serves" in done.stderr
    lines = ledger.read("digits")
    assert [line["candidate"] for line in lines] == ["a", "b", "c", "c"]
    assert repairs() == []  # those who name a line by its former hash are no contradiction
    assert cross_checks.contradictions("digits") == []


def test_several_branches_at_once_are_refused(base: list[Line], pair: tuple[list[Line], list[Line]], decide: Callable[..., Line]) -> None:
    third = branch(base, lambda: decide(4, "promote", "d"))
    repository(base, pair[0], pair[1], third)
    driver.install()
    done = run("git", "merge", "--no-edit", "other0", "other1")
    assert done.returncode != 0
    assert ledger.read("digits") == pair[0]
    FILE.write_bytes(merge.render([*pair[0], pair[1][1], third[1]]))
    with pytest.raises(merge.Octopus, match="one branch after the other"):
        command.merge("digits")
    heads = [git(Path(), "rev-parse", name) for name in ("other0", "other1")]
    Path(".git/MERGE_HEAD").write_text("".join(heads))
    with pytest.raises(merge.Octopus, match="git merge --abort"):
        command.main("digits")


def test_a_conflict_names_its_remedy_which_ends_it(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    """The driver was not set up."""
    repository(base, pair[0], pair[1])
    assert run("git", "merge", "--no-edit", "other0").returncode == 1
    with pytest.raises(AlteredLedger, match=r"merge conflict\. `make merge family=digits`"):
        ledger.read("digits")
    assert repairs() == ["make merge family=digits"]
    assert "version 3 serves" in command.merge("digits")
    assert [line["candidate"] for line in ledger.read("digits")] == ["a", "b", "c", "c"]
    assert list(command.keep_ours(command.in_conflict(), [FILE])) == []
    assert command.in_conflict() == []
    git(Path(), "commit", "-q", "--no-edit")
    assert repairs() == []


def test_a_union_merge_is_repaired_by_merging(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    repository(base, pair[0], pair[1], attributes="registry/*.jsonl merge=union\n")
    assert run("git", "merge", "--no-edit", "other0").returncode == 0
    assert repairs() == ["make merge family=digits"]
    command.merge("digits")
    assert repairs() == []
    assert len(ledger.versions(ledger.read("digits"))) == 3


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_decision_that_a_merge_dropped_is_lost_till_it_is_back(base: list[Line], pair: tuple[list[Line], list[Line]], side: str) -> None:
    repository(base, pair[0], pair[1])
    run("git", "merge", "--no-edit", "other0")
    git(Path(), "checkout", f"--{side}", str(FILE))
    assert repairs() == ["make merge family=digits"]  # before it is committed, too
    commit(Path())
    assert repairs() == ["make merge family=digits"]
    command.merge("digits")
    assert repairs() == []
    assert [line["candidate"] for line in ledger.read("digits")] == ["a", "b", "c", "c"]


def test_what_another_branch_has_decided_is_reported_and_no_fault(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    repository(base, pair[0], pair[1])
    assert consistency.elsewhere("digits") == ["digits: branch other0 has 1 more decisions. `git merge other0` brings them in."]
    assert repairs() == []
    assert "version 3 serves" in command.merge("digits", "other0")
    assert consistency.elsewhere("digits") == []


def test_an_unknown_branch_is_named(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    repository(base, pair[0], pair[1])
    with pytest.raises(command.NothingToMerge, match="from='nobody'"):
        command.main("digits", "nobody")


def test_a_damaged_ledger_is_left_to_the_person(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    for name, content in {"ours": merge.render(pair[0]), "theirs": merge.render(pair[1]).replace(b'"c"', b'"x"')}.items():
        Path(name).write_bytes(content)
    assert driver.main("ours", "theirs", "registry/digits.jsonl") == 1
    assert Path("ours").read_bytes() == merge.render(pair[0])


def stages(**digests: str) -> str:
    return "schema: '2.0'\nstages:\n" + "".join(
        f"  {name}:\n    cmd: x\n    outs:\n    - path: {name}\n      md5: {md5}\n" for name, md5 in digests.items()
    )


def test_of_dvc_lock_each_stage_is_ours_or_where_only_they_changed_it_theirs() -> None:
    base, ours, theirs = stages(a="1", b="1", c="1"), stages(a="2", b="1", c="1"), stages(a="3", b="3", d="3")
    assert lock.merged(base, ours, theirs) == stages(a="2", b="3", d="3")


def test_reports_and_dvc_lock_in_conflict_stay_this_branchs(base: list[Line], pair: tuple[list[Line], list[Line]]) -> None:
    page = Path("reports/digits/candidates/adam.json")
    repository(base, pair[0], pair[1])
    for name in ("other0", "main"):
        git(Path(), "checkout", "-q", name)
        folders.write_json(page, {"of": name})
        lock.LOCK.write_text(stages(**{"train@adam": name, f"train@{name}": "1"}))
        Path("notes").write_text(name)
        commit(Path())
    assert run("git", "merge", "--no-edit", "other0").returncode == 1
    assert [found.repair for found in dvc_files.locked_outs(["digits"]) if isinstance(found, cross_checks.Fault)] == ["make merge"]
    assert list(command.keep_ours(command.in_conflict(), [FILE])) == [Path("notes")]
    assert json.loads(page.read_text()) == {"of": "main"}
    assert lock.LOCK.read_text() == stages(**{"train@adam": "main", "train@main": "1", "train@other0": "1"})
    assert system.output("ls-files", "-u", "--", "reports", "dvc.lock") == b""


def test_promoting_in_a_conflict_is_one_sentence(base: list[Line]) -> None:
    written(base)
    folders.write_json(ledger.STAMPS / "digits.json", {})
    folders.write(Path("reports/digits/promotion.json"), "<<<<<<< HEAD\n{}\n")
    done = run(sys.executable, "-m", "pipelines.stages.promote", "family=digits", "run=full")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "`make merge" in done.stderr
