"""The ledger is the truth; MLflow, the store and the pointer are made to follow it, whatever is deleted, moved or killed."""

import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines import configs, paths, predictions
from pipelines.artifacts import cache
from pipelines.audit import consistency
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger
from pipelines.ledger import merge as ledgers
from pipelines.lineage import starts, steps
from pipelines.models import manifests
from pipelines.registry import merge as merging
from pipelines.registry import promotion, reconcile, rollback
from pipelines.registry import store as model_store
from pipelines.registry import versions as registry_versions
from pipelines.tracking import client as tracking
from pipelines.tracking import tags
from tests.conftest import as_typed, commit, environment, evaluate, git, promoted_project, tiny_model

WORDS = ["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1"]


def promoted(candidate: str, seed: int, accuracy: float) -> dict[str, Any]:
    """Train a tiny model, evaluate it, promote it against what stands."""
    tiny_model(candidate, seed)
    evaluate(candidate, accuracy)
    return promotion.promote(configs.compose([*WORDS, "gate.confidence=0.001", "gate.gain=0"]))


def state(family: str = "digits") -> dict[str, Any]:
    """Everything that must come back: what MLflow shows, what is served."""
    store = tracking.client()
    versions = sorted(store.search_model_versions(f"name = '{family}'"), key=lambda version: int(version.version))
    runs = store.search_runs([tracking.experiment(store, family)])
    return {
        "versions": [(int(version.version), version.tags[tags.DIGEST]) for version in versions],
        "champion": int(store.get_model_version_by_alias(family, "champion").version),
        "runs": sorted((run.data.tags[tags.KEY], run.data.tags["candidate"], run.info.status) for run in runs),
        "scores": sorted(run.data.metrics["final_test_accuracy"] for run in runs if "final_test_accuracy" in run.data.metrics),
        "pointer": {key: value for key, value in model_store.read_pointer(family)["model"].items() if key != "run_id"},
        "served": manifests.verified(model_store.location(model_store.read_pointer(family)["tag"]))["digest"],
        "report": json.loads(Path("reports", family, "champion.json").read_text()),
    }


def state_seen_afresh() -> dict[str, Any]:
    """state(), from a process that has not had the deleted database open."""
    code = "import json; from tests.test_registry import state; print(json.dumps(state()))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture
def two_versions(project: Path) -> dict[str, Any]:
    promoted_project(("digits-adam", 1, 0.5), ("digits-sgd", 2, 0.6))
    assert [line["version"] for line in ledger.read("digits")] == [1, 2]
    return state()


def test_reconciling_again_changes_nothing(two_versions: dict[str, Any]) -> None:
    reconcile.reconcile("digits")
    assert state() == two_versions


def test_promotion_shows_everywhere(two_versions: dict[str, Any]) -> None:
    lines = ledger.read("digits")
    assert two_versions["versions"] == [(1, lines[0]["digest"]), (2, lines[1]["digest"])]
    assert two_versions["champion"] == two_versions["pointer"]["version"] == two_versions["report"]["version"] == 2
    assert two_versions["served"] == lines[1]["digest"]
    assert len(two_versions["runs"]) == len(two_versions["scores"]) == 2
    pointer = model_store.read_pointer("digits")
    run = tracking.client().get_run(pointer["model"]["run_id"])
    assert run.data.tags[tags.KEY] == lines[1]["run"]
    assert {"valid_accuracy", "final_test_accuracy", "final_valid_accuracy", "latency_ms", "size_mb"} <= set(run.data.metrics)
    assert "epoch" not in run.data.metrics
    assert run.data.params["fit.optimizer"] == "sgd"


@pytest.mark.slow
def test_the_registry_gives_the_model_without_a_pickle(two_versions: dict[str, Any], tmp_path: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(tracking.uri())
    folder = mlflow.artifacts.download_artifacts("models:/digits@champion", dst_path=str(tmp_path / "fetched"))
    assert manifests.verified(Path(folder))["digest"] == two_versions["served"]
    assert not [path for path in Path(folder).rglob("*") if path.suffix in {".pkl", ".pickle", ".pt"}]
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


@pytest.mark.slow
@pytest.mark.parametrize("lost", [[".store"], ["mlruns", ".store", "reports/digits/champion.json"]])
def test_what_is_deleted_comes_back(two_versions: dict[str, Any], lost: list[str]) -> None:
    for name in lost:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
    subprocess.run([sys.executable, "-m", "atelier", "reconcile"], env=environment(), check=True)
    assert state_seen_afresh() == json.loads(json.dumps(two_versions))


def test_a_damaged_model_in_the_store_is_replaced(two_versions: dict[str, Any]) -> None:
    served = model_store.location(model_store.read_pointer("digits")["tag"]) / "model.onnx"
    served.write_bytes(b"damaged")
    reconcile.reconcile("digits")
    assert state() == two_versions


AROUND: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("model.yaml", lambda content: b""),
    ("model.yaml", lambda content: b"\xff" + content),
    ("model.yaml", lambda content: content.replace(b"name:", b"nbme:")),
    ("model.json", lambda content: content.replace(b'"files"', b'"fjles"')),
    ("model.json", lambda content: content.replace(b'"served"', b'"sfrved"')),
]


def test_what_is_damaged_around_a_stored_model_is_mended_and_the_model_never_deleted(two_versions: dict[str, Any]) -> None:
    folder = model_store.location(model_store.read_pointer("digits")["tag"])
    before = (folder / "model.onnx").read_bytes()
    for name, damaged in AROUND:
        (folder / name).write_bytes(damaged((folder / name).read_bytes()))
        assert registry_versions.served_folder(ledger.read("digits")[1]) == Path("models/digits-sgd")
        reconcile.reconcile("digits")
    assert state() == two_versions
    assert [path.read_bytes() for path in model_store.ASIDE.glob("*/model.onnx")] == [before] * len(AROUND)


def test_a_manifest_that_lost_a_key_is_passed_over(two_versions: dict[str, Any]) -> None:
    shutil.rmtree(paths.ROOT / "models")
    shutil.copytree("models/digits-sgd", "released/digits")
    manifest = Path("models/digits-sgd", manifests.MANIFEST).read_bytes()
    for key in (b'"files"', b'"served"', b'"digest"'):
        for folder in ("models/digits-sgd", "released/digits"):
            Path(folder, manifests.MANIFEST).write_bytes(manifest.replace(key, b'"lost"'))
        with pytest.raises(manifests.BrokenModel, match=r"model\.json was altered"):
            registry_versions.served_folder(ledger.read("digits")[1])
        with pytest.raises(manifests.BrokenModel, match=r"model\.json was altered \(KeyError"):
            manifests.verified(Path("models/digits-sgd"))


def test_an_alias_moved_by_hand_is_put_back_and_the_command_is_named(
    two_versions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    tracking.client().set_registered_model_alias("digits", "champion", "1")
    reconcile.reconcile("digits")
    assert state() == two_versions
    assert "make rollback family=digits to=1" in capsys.readouterr().err
    reconcile.reconcile("digits")
    assert "WARNING" not in capsys.readouterr().err


def test_a_version_made_by_hand_does_not_shift_the_numbers(two_versions: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    tracking.client().create_model_version("digits", Path("models/digits-adam").absolute().as_uri())
    reconcile.reconcile("digits")
    assert state() == two_versions
    assert "make promote" in capsys.readouterr().err


def test_rollback_is_one_more_line_and_stays(two_versions: dict[str, Any]) -> None:
    line = rollback.rollback("digits", None, "it takes 7 for 1")
    assert (line["seq"], line["version"], line["event"]) == (3, 1, "rollback")
    assert line["reasons"] == [f"rolled back from version 2 by {getpass.getuser()}", "it takes 7 for 1"]
    assert state()["champion"] == state()["pointer"]["version"] == 1
    again = promotion.promote(configs.compose([*WORDS, "gate.confidence=0.001", "gate.gain=0"]))
    assert not again["open"]
    assert "make rollback family=digits to=2" in again["words"]
    assert rollback.rollback("digits", 2)["version"] == 2
    assert {key: value for key, value in state().items() if key != "runs"} == {k: v for k, v in two_versions.items() if k != "runs"}


UNRELATED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("models/digits-sgd/model.json", lambda content: content[:9]),
    ("models/digits-sgd/record.json", lambda content: content[:9]),
    ("reports/digits/candidates/digits-sgd.json", lambda content: b"<<<<<<< HEAD\n" + content),
    ("data/digits/card.json", lambda content: content[:9]),
    ("data/digits/card.json", lambda content: content.replace(b'"sources"', b'"sovrces"')),
    ("data/digits/croissant.json", lambda content: b"\xff" + content),
    ("dvc.lock", lambda content: b"<<<<<<< HEAD\n" + content),
]


def test_whatever_else_is_damaged_services_follow_a_rollback(two_versions: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    Path("dvc.lock").write_text("stages: {}\n")
    for turn, (name, damaged) in enumerate(UNRELATED):
        whole, to = Path(name).read_bytes(), 1 + turn % 2
        Path(name).write_bytes(damaged(whole))
        assert rollback.rollback("digits", to)["seq"] == 3 + turn
        assert (state()["champion"], state()["pointer"]["version"]) == (to, to)
        Path(name).write_bytes(whole)
    assert "digits-sgd has no run in MLflow" in capsys.readouterr().err


def test_a_version_deleted_by_hand_comes_back(two_versions: dict[str, Any]) -> None:
    tracking.client().delete_model_version("digits", "2")
    reconcile.reconcile("digits")
    assert state() == two_versions


def test_an_experiment_or_run_deleted_by_hand_comes_back(two_versions: dict[str, Any]) -> None:
    store = tracking.client()
    store.delete_run(model_store.read_pointer("digits")["model"]["run_id"])
    reconcile.reconcile("digits")
    assert state() == two_versions
    store.delete_experiment(tracking.experiment(store, "digits"))
    reconcile.reconcile("digits")
    assert state()["pointer"] == two_versions["pointer"]


def test_a_half_copied_model_or_pointer_is_mended(two_versions: dict[str, Any]) -> None:
    (model_store.location(model_store.read_pointer("digits")["tag"]) / "model.yaml").unlink()
    model_store.pointer_path("digits").write_text("{")
    reconcile.reconcile("digits")
    assert state() == two_versions


def test_rolling_back_to_files_that_are_not_here_changes_nothing(two_versions: dict[str, Any]) -> None:
    shutil.rmtree("models/digits-adam")
    shutil.rmtree(paths.ROOT / "models")
    with pytest.raises(cache.NotHere):
        rollback.rollback("digits", 1)
    with pytest.raises(ledger.UnknownVersion, match="is the champion already"):
        rollback.rollback("digits", 2)
    with pytest.raises(ledger.UnknownVersion, match="no version 0"):
        rollback.rollback("digits", 0)
    assert len(ledger.read("digits")) == 2


def test_rolling_back_goes_to_what_stood_before_and_never_to_what_was_rolled_back(two_versions: dict[str, Any]) -> None:
    assert rollback.rollback("digits", None)["version"] == 1
    with pytest.raises(ledger.UnknownVersion, match="no earlier champion"):
        rollback.rollback("digits", None)
    assert promoted("digits-rmsprop", 3, 0.9)["version"] == 3
    assert rollback.rollback("digits", None)["version"] == 1


def test_a_damaged_folder_is_passed_over_for_a_sound_one(two_versions: dict[str, Any]) -> None:
    """Where there is none, nothing is decided; where a release or DVC's cache has it, that serves."""
    shutil.rmtree(paths.ROOT / "models")
    shutil.copytree("models/digits-adam", "released/digits")
    Path("models/digits-adam/model.onnx").write_bytes(b"damaged")
    Path("released/digits/model.onnx").rename("sound")
    with pytest.raises(manifests.BrokenModel, match=r"released/digits/model\.onnx is missing"):
        rollback.rollback("digits", 1)
    assert len(ledger.read("digits")) == 2
    Path("sound").rename("released/digits/model.onnx")
    assert rollback.rollback("digits", 1)["seq"] == 3
    assert state()["served"] == ledger.read("digits")[0]["digest"]


def test_the_last_line_lost_before_a_commit_comes_back_after_reconciling(two_versions: dict[str, Any]) -> None:
    whole = ledger.path("digits").read_bytes()
    ledger.path("digits").write_bytes(whole.splitlines(keepends=True)[0])
    for _ in range(2):
        reconcile.reconcile("digits")
        assert state()["champion"] == 1
        (found,) = cross_checks.contradictions("digits")
        assert found.path == cross_checks.LOST / "digits.json"
    subprocess.run(as_typed(found.repair), check=True, env=environment())
    assert ledger.path("digits").read_bytes() == whole
    reconcile.reconcile("digits")
    assert (state(), list(cross_checks.LOST.iterdir())) == (two_versions, [])


def test_rolled_back_stays_rolled_back_whatever_the_gate_says(two_versions: dict[str, Any]) -> None:
    rollback.rollback("digits", None)
    decision = promotion.promote(configs.compose([*WORDS, "gate.confidence=0.001", "gate.size_mb=24"]))
    assert (decision["open"], decision["version"]) == (False, 1)
    refused = ledger.read("digits")[3]
    assert (refused["event"], refused["version"], refused["digest"]) == ("refuse", 1, two_versions["served"])
    assert "make rollback family=digits to=2" in refused["reasons"][0]


def test_a_model_trained_anew_is_not_promoted_on_old_figures(project: Path) -> None:
    tiny_model("digits-adam", 1)
    evaluate("digits-adam", 0.5)
    tiny_model("digits-adam", 2)
    with pytest.raises(promotion.NothingToPromote, match="make train"):
        promotion.promote(configs.compose(WORDS))


def test_rebuilt_runs_have_their_data_and_recipe(two_versions: dict[str, Any]) -> None:
    for run in tracking.client().search_runs([tracking.experiment(tracking.client(), "digits")]):
        assert [found.dataset.name for found in run.inputs.dataset_inputs] == ["digits"]
        assert {"fit.optimizer", "data.sources", "seed"} <= set(run.data.params)


def test_rolling_back_to_what_is_not_there_names_the_choices(project: Path) -> None:
    with pytest.raises(ledger.UnknownVersion, match="make train"):
        rollback.rollback("digits", None)


def test_an_experiment_decides_but_never_promotes(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "trial")
    decision = promoted("digits-adam", 1, 0.5)
    assert decision["open"]
    assert "never promotes" in decision["words"]
    assert not ledger.read("digits")
    assert len(tracking.client().search_runs([tracking.experiment(tracking.client(), "digits")])) == 1
    monkeypatch.delenv("DVC_EXP_NAME")
    assert promotion.promote(configs.compose(WORDS))["version"] == 1


def test_a_champion_that_is_nowhere_closes_the_gate(two_versions: dict[str, Any]) -> None:
    shutil.rmtree(".store")
    shutil.rmtree("models/digits-sgd")
    shutil.rmtree("reports/digits/candidates")
    decision = promoted("digits-rmsprop", 3, 0.9)
    assert not decision["open"]
    assert "version 2, the champion to beat, is not here" in decision["words"]
    assert "make rebuild" in decision["words"]


@pytest.mark.slow
def test_two_promotions_at_once_make_one_version(project: Path) -> None:
    tiny_model("digits-adam", 1)
    evaluate("digits-adam", 0.5)
    words = [sys.executable, "-m", "pipelines.stages.promote", *WORDS]
    both = [subprocess.Popen(words, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    for process in both:
        words_said = process.communicate()[1]
        assert process.returncode == 0 or "Overtaken" in words_said, words_said
    assert len(ledger.read("digits")) == 1
    assert state()["champion"] == 1


def predicted(line: ledger.Line) -> str:
    """The id of an answer of this version, recorded."""
    model = {name: line[name] for name in ("family", "version", "digest", "data", "commit")}
    output = json.dumps({"prediction": 7, "model": model})
    row = {"id": predictions.new_id(), "time": line["time"], "input": "0" * 64, "output": output, "milliseconds": 1.0}
    predictions.Store().add([{**row, **{name: model[name] for name in ("family", "version", "digest")}}])
    return str(row["id"])


def test_two_branches_that_each_promoted_end_in_one_registry(two_versions: dict[str, Any]) -> None:
    """Each promoted a version 2, and git stops at ledger and reports; what was answered by either is walked back to its own."""
    here, one = Path(), ledger.read("digits")
    Path(".gitignore").write_text(".store/\nmlruns/\n/data/\n/models/\nregistry/.lock\n")
    git(here, "init", "-q", "-b", "main")
    for words in ("user.name test", "user.email test@localhost"):
        git(here, "config", *words.split())
    ledger.path("digits").write_bytes(ledgers.render(one[:1]))
    commit(here)
    git(here, "checkout", "-q", "-b", "other")
    ledger.path("digits").write_bytes(ledgers.render(one))
    Path("reports/digits/promotion.json").write_text("{}")
    commit(here)
    git(here, "checkout", "-q", "main")
    shutil.rmtree("models/digits-sgd")
    shutil.rmtree(".store")  # as another clone
    promoted("digits-rmsprop", 3, 0.7)
    Path("reports/digits/promotion.json").write_text('{"open": true}')
    commit(here)
    other = ledger.read("digits")
    answers = [predicted(line) for line in (one[1], other[1])]
    with pytest.raises(subprocess.CalledProcessError):
        git(here, "merge", "other")
    merging.main("digits")
    git(here, "commit", "-q", "--no-edit")
    assert git(here, "status", "--porcelain") == ""
    found = state()
    assert found["versions"] == [(1, one[0]["digest"]), (2, one[1]["digest"]), (3, other[1]["digest"])]
    assert (found["champion"], found["pointer"]["version"], found["served"], found["report"]["version"]) == (3, 3, other[1]["digest"], 3)
    assert consistency.faults("digits") == []
    assert not list(paths.ROOT.glob("lost/*"))
    for id, version in zip(answers, (2, 3), strict=True):
        links = {link.name: link for link in steps.flat(starts.walk(id))}
        assert links["prediction"].status == links["decision"].status == steps.OK, links["prediction"].words
        assert links["decision"].words.startswith(f"digits version {version}, ")
