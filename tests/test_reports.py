"""Reports decide only as dvc.lock names them, and a line of the ledger names a hash of DVC only where the folder has it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import configs, folders
from pipelines.artifacts import copies, lock
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.models import manifests
from pipelines.registry import challenge, promotion, reconcile, reports
from tests.conftest import evaluate, recorded, tiny_model

CFG = configs.compose(["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1"])
REPORT = reports.path_of("digits", "digits-adam")


@pytest.fixture
def evaluated(project: Path) -> Path:
    """A project with one evaluated candidate."""
    tiny_model("digits-adam", 1)
    evaluate("digits-adam", 0.5)
    return project


def better() -> None:
    folders.write_json(REPORT, json.loads(REPORT.read_text()) | {"valid": {"accuracy": 0.99}})


ALTERED: dict[str, tuple[Callable[[], object], str]] = {
    "a better figure": (better, "is not what dvc.lock names"),
    "a conflict": (lambda: REPORT.write_text("<<<<<<< HEAD\n"), "is not what dvc.lock names"),
    "no entry": (lambda: lock.LOCK.write_text("stages: {}\n"), "dvc.lock does not name"),
    "no lock": (lambda: lock.LOCK.unlink(), "dvc.lock does not name"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_a_report_that_is_not_as_it_was_written_decides_nothing(evaluated: Path, name: str) -> None:
    alter, words = ALTERED[name]
    alter()
    with pytest.raises(reports.NotRecorded, match=words) as error:
        promotion.promote(CFG)
    assert "dvc repro evaluate@digits-adam" in str(error.value)
    assert not ledger.read("digits")


def test_an_altered_report_is_not_shown_in_mlflow_either(evaluated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better()
    reconcile.reconcile("digits")
    assert "is not what dvc.lock names" in capsys.readouterr().err


@pytest.mark.parametrize(("folder", "own"), [("models/digits-adam", manifests.MANIFEST), ("data/digits", cards.CARD)])
def test_a_folder_that_was_made_without_dvc_is_in_no_line(evaluated: Path, folder: str, own: str) -> None:
    assert reports.hash_of(Path(folder), own) is None
    content, made = lock.LOCK.read_text(), copies.dvc_hash(Path(folder))
    lock.LOCK.write_text(f"{content}  make:\n    cmd: make\n    outs:\n    - {{path: {folder}, hash: md5, md5: {made}}}\n")
    assert reports.hash_of(Path(folder), own) == made
    Path(folder, own).write_text(Path(folder, own).read_text() + " ")
    with pytest.raises(reports.NotRecorded, match=r"is not what dvc\.lock names"):
        reports.hash_of(Path(folder), own)


def test_a_challenger_is_held_against_the_lock_too(evaluated: Path) -> None:
    promotion.promote(CFG)
    tiny_model("digits-sgd", 2)
    other = copies.dvc_hash(Path("models/digits-adam"))
    entry = f"  train@digits-sgd:\n    cmd: make\n    outs:\n    - {{path: models/digits-sgd, hash: md5, md5: {other}}}\n"
    lock.LOCK.write_text(lock.LOCK.read_text() + entry)
    with pytest.raises(reports.NotRecorded, match=r"dvc checkout --force models/digits-sgd"):
        challenge.challenge("digits", "digits-sgd", 0.1)


def test_a_report_that_was_scored_again_decides(evaluated: Path) -> None:
    better()
    recorded(REPORT)
    assert promotion.promote(CFG)["version"] == 1
