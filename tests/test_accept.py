"""`make accept`: a refactoring is proven by real trainings of both commits; a change that computes is refused."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.artifacts import lock
from pipelines.audit import accept, replay
from pipelines.fingerprints import accepted, fingerprint
from pipelines.fingerprints.fingerprint import Code
from pipelines.fingerprints.modules import ROOT
from pipelines.lineage import links, steps
from tests.conftest import environment

CANDIDATE = "digits-sgd"
LOCKED = """schema: '2.0'
stages:
  train@digits-adam:
    cmd: python -m pipelines.stages.train family=digits candidate=digits-adam run=full
    deps:
    - path: reports/digits/code/train.json
      hash: md5
      md5: ffffffffffffffffffffffffffffffff
      size: 1
  train@digits-sgd:
    cmd: python -m pipelines.stages.train family=digits candidate=digits-sgd run=full
    deps:
    - path: data/digits
      hash: md5
      md5: 11111111111111111111111111111111.dir
      size: 2
      nfiles: 8
    - path: reports/digits/code/train.json
      hash: md5
      md5: {train}
      size: 3
    outs:
    - path: models/digits-sgd
      hash: md5
      md5: 22222222222222222222222222222222.dir
      size: 4
      nfiles: 5
"""


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words], check=True, capture_output=True)


def head() -> str:
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()


def run(*words: str) -> "subprocess.CompletedProcess[str]":
    """A module of the code in the working directory, as `make` starts it."""
    return subprocess.run(
        [sys.executable, "-m", *words], env=environment(PYTHONPATH=str(Path.cwd())), capture_output=True, text=True, check=False
    )


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which digits-sgd was trained with the committed code, as dvc.lock says; its model is not at hand."""
    monkeypatch.chdir(tmp_path)
    for name in (*replay.CODE, "atelier"):
        shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
    Path(".gitignore").write_text("__pycache__/\n.store/\n")
    assert run("pipelines.stages.code", "family=digits").returncode == 0
    md5 = accept._md5(fingerprint.report("digits", "train").read_bytes())
    Path("dvc.lock").write_text(LOCKED.format(train=md5))
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "trained")
    return tmp_path


def edited(old: str, new: str) -> None:
    fit = Path("pipelines/families/digits/fit.py")
    assert old in fit.read_text()
    fit.write_text(fit.read_text().replace(old, new))


@pytest.mark.slow
def test_code_that_trains_the_same_is_accepted_and_nothing_is_stale(trained: Path) -> None:
    edited("    middle = (CONVENTION.side - 1) / 2\n", "    side = CONVENTION.side\n    middle = (side - 1) / 2\n")
    before = Path("dvc.lock").read_text()
    done = run("atelier", "accept", CANDIDATE)
    assert done.returncode == 0, done.stderr
    assert f"train@{CANDIDATE}: the same to the bit" in done.stdout
    now = Code("digits", trained).fingerprint("train")
    assert fingerprint.report("digits", "train").read_text() == now
    (line,) = accepted.of(CANDIDATE)
    renewed = f"md5: {accept._md5(now.encode())}\n      size: {len(now)}"
    assert Path("dvc.lock").read_text() == before.replace(f"md5: {line['was']['md5']}\n      size: 3", renewed)
    assert line["was"]["commit"] == head()
    assert {"model.onnx", "native/model.keras"} <= set(line["same"])
    assert [link.status for link in links._accepted(CANDIDATE)] == [steps.OK]


@pytest.mark.slow
def test_code_that_trains_something_else_is_refused_and_changes_nothing(trained: Path) -> None:
    edited("optimizers.SGD(rate, momentum=0.9", "optimizers.SGD(rate, momentum=0.8")
    before = Path("dvc.lock").read_text()
    done = run("atelier", "accept", CANDIDATE)
    assert done.returncode == 1
    assert f"NotAccepted: {CANDIDATE}: The present code computes something else than that of " in done.stderr
    assert "train: native/model.keras" in done.stderr
    assert (Path("dvc.lock").read_text(), accepted.read()) == (before, [])


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (CANDIDATE, rf"NothingToAccept: The code of {CANDIDATE} is what dvc.lock names: there is nothing to accept."),
        ("digits-rmsprop", r"NothingToAccept: digits-rmsprop was never trained, by dvc.lock. `make train family=digits` trains it."),
        ("leaves-adam", r"UnknownFamily: candidate='leaves-adam' is unknown. Choose one of: digits-adam, "),
        ("digits-adam", r"NotAccepted: digits-adam: No commit of this branch holds the code that dvc.lock names for digits-adam"),
    ],
)
def test_what_cannot_be_accepted_is_refused_by_name(trained: Path, candidate: str, words: str) -> None:
    done = run("atelier", "accept", candidate)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(words, done.stderr), done.stderr


def test_a_commit_whose_code_is_not_what_its_fingerprint_says_is_passed_over(trained: Path) -> None:
    first, right = head(), fingerprint.report("digits", "train").read_text()
    edited("momentum=0.9", "momentum=0.7")
    for text in ("{}", right):
        fingerprint.report("digits", "train").write_text(text)
        git("commit", "-qam", "edited")
    assert accept.recorded([accept.Stale(CANDIDATE, "digits", "train", accept._md5(right.encode()), "")]) == first


def test_code_that_is_edited_while_it_is_compared_is_not_accepted(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edited("momentum=0.9", "momentum=0.7")

    def compare(*_: object) -> dict[str, dict[str, str]]:
        edited("momentum=0.7", "momentum=0.8")
        replay.extract_code(None, accept.FOLDER / "digits")
        return {"train": {"model.onnx": "0"}}

    for module in (accept, fingerprint):
        monkeypatch.setattr(module, "Code", lambda family, root=trained: Code(family, root))
    monkeypatch.setattr(replay, "ROOT", trained)
    monkeypatch.setattr(accept, "compare", compare)
    before = Path("dvc.lock").read_text()
    with pytest.raises(accept.NotAccepted, match=r"The code of train was edited meanwhile\. Nothing was changed"):
        accept.accept(CANDIDATE)
    assert (Path("dvc.lock").read_text(), accepted.read()) == (before, [])


def test_of_all_candidates_one_that_is_refused_leaves_the_others_their_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(candidate: str) -> None:
        raise accept.NotAccepted("other tensors")

    monkeypatch.setattr(accept, "accept", refuse)
    monkeypatch.setattr(accept, "_candidates", lambda _: ["digits-adam", "digits-sgd"])
    with pytest.raises(accept.NotAccepted, match=r"^digits-adam: other tensors\ndigits-sgd: other tensors$"):
        accept.main("all")


@pytest.mark.parametrize("text", ["{", "null\n", '{"stage": "train"}\n'])
def test_a_broken_log_is_named_before_anything_is_trained(trained: Path, text: str) -> None:
    Path("registry").mkdir()
    accepted.LOG.write_text(text)
    with pytest.raises(accepted.BrokenLog, match="git checkout HEAD"):
        accept.accept(CANDIDATE)
    with pytest.raises(accepted.BrokenLog):
        accepted.append({})
    assert accepted.LOG.read_text() == text


def test_a_log_whose_last_line_has_no_end_grows_by_a_line(trained: Path) -> None:
    line = {"stage": "train", "candidate": CANDIDATE, "time": "now", "was": {"commit": "1"}, "data": "small"}
    accepted.append(line)
    accepted.LOG.write_text(accepted.LOG.read_text().rstrip("\n"))
    accepted.append(line)
    assert accepted.read() == [line, line]


def test_a_fingerprint_that_was_committed_before_its_code_is_found(trained: Path) -> None:
    fit = Path("pipelines/families/digits/fit.py")
    before = fit.read_text()
    edited("momentum=0.9", "momentum=0.7")
    assert run("pipelines.stages.code", "family=digits").returncode == 0
    right, after = accept._md5(fingerprint.report("digits", "train").read_bytes()), fit.read_text()
    for text, words in ((before, "the fingerprint"), (after, "its code")):
        fit.write_text(text)
        git("add", "-A")
        git("commit", "-qm", words)
    assert accept.recorded([accept.Stale(CANDIDATE, "digits", "train", right, "")]) == head()


def test_a_commit_is_judged_by_its_own_rules(trained: Path) -> None:
    """Its plumbing may stand in other modules than that of now: here it has one less, and one that is gone."""
    rules = Path("pipelines/fingerprints/fingerprint.py")
    Path("pipelines/old.py").write_text("")
    rules.write_text(rules.read_text().replace('    "pipelines.devices",\n', '    "pipelines.old",\n'))
    assert run("pipelines.stages.code", "family=digits").returncode == 0
    git("add", "-A")
    git("commit", "-qm", "other rules")
    right = accept._md5(fingerprint.report("digits", "train").read_bytes())
    assert right != accept._md5(Code("digits").fingerprint("train").encode())
    assert accept.recorded([accept.Stale(CANDIDATE, "digits", "train", right, "")]) == head()


def test_evidence_that_cannot_be_read_is_a_broken_link(trained: Path) -> None:
    Path("registry").mkdir()
    accepted.LOG.write_text('{"candidate": "digits-sgd"}\n')
    assert [(link.status, "git checkout HEAD" in link.words) for link in links._accepted(CANDIDATE)] == [(steps.BROKEN, True)]


def test_a_lock_without_the_dependency_is_not_renewed(trained: Path) -> None:
    with pytest.raises(lock.BrokenLock, match=r"does not name reports/digits/code/train\.json once for train@digits-rmsprop"):
        lock.renew("train@digits-rmsprop", Path("reports/digits/code/train.json"), b"{}")
