"""What git knows of a candidate is a run in MLflow where its model folder is not: as in a fresh clone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import discovery, folders
from pipelines.artifacts import lock
from pipelines.registry import reconcile, reports
from pipelines.tracking import client as tracking
from pipelines.tracking import tags, views
from tests.conftest import ROOT, embedded_data, evaluate, promoted_project, tiny_model

RECIPE = {
    "conf/config.yaml": {"seed": 1},
    "conf/candidate/digits-sgd.yaml": {"candidate": "digits-sgd", "fit": {"epochs": 8, "batch": 128}},
}


@pytest.fixture
def cloned(project: Path) -> Path:
    """Version 1 and another candidate, as a clone has them: reports and ledger, no models, no runs."""
    promoted_project(("digits-adam", 1, 0.6))
    tiny_model("digits-sgd", 2)
    evaluate("digits-sgd", 0.5)
    known = yaml.safe_load(lock.LOCK.read_text())
    known["stages"]["train@digits-sgd"] = {
        "cmd": "false",
        "params": RECIPE | {"conf/run/short.yaml": {"run": "short", "fit": {"epochs": 2}}},
    }
    lock.LOCK.write_text(yaml.safe_dump(known))
    Path("models").rename("elsewhere")
    shutil.rmtree("mlruns")
    embedded_data()  # an MLflow without runs
    return project


def runs(family: str = "digits") -> dict[str, Any]:
    """{candidate: its run}; each has one."""
    store = tracking.client()
    found = store.search_runs([tracking.experiment(store, family)])
    assert len({run.info.run_name for run in found}) == len(found)
    return {run.info.run_name: run for run in found}


def test_a_report_is_a_run_with_recipe_curve_scores_and_plots(cloned: Path) -> None:
    reconcile.reconcile("digits")
    run, store = runs()["digits-sgd"], tracking.client()
    report = folders.read_json(reports.path_of("digits", "digits-sgd"))
    assert {name: run.data.params[name] for name in ("seed", "run", "fit.epochs", "fit.batch")} == {
        **{"seed": "1", "run": "short"},
        **{"fit.epochs": "2", "fit.batch": "128"},
    }
    assert run.data.metrics["final_test_accuracy"] == report["test"]["accuracy"]
    assert run.data.metrics["size_mb"] == report["size_mb"]
    assert [(point.step, point.value) for point in store.get_metric_history(run.info.run_id, "valid_accuracy")] == [(1, 0.4)]
    assert "epoch" not in run.data.metrics
    assert "plots/history.csv" in [found.path for found in store.list_artifacts(run.info.run_id, "plots")]
    assert run.info.status == "FINISHED" and run.data.tags[tags.DIGEST] == report["digest"]
    assert [experiment.name for experiment in store.search_experiments()] == ["digits"]


def test_the_promoted_candidate_and_its_report_are_one_run(cloned: Path) -> None:
    reconcile.reconcile("digits")
    [line] = [json.loads(line) for line in Path("registry/digits.jsonl").read_text().splitlines()]
    run = runs()["digits-adam"]
    assert run.data.tags[tags.KEY] == line["run"] and run.data.tags[tags.COMMIT] == (line["commit"] or tags.UNKNOWN)
    assert "plots/classes.csv" in [found.path for found in tracking.client().list_artifacts(run.info.run_id, "plots")]


def test_reconciling_again_changes_nothing(cloned: Path) -> None:
    reconcile.reconcile("digits")
    before = {name: run.to_dictionary() for name, run in runs().items()}
    reconcile.reconcile("digits")
    assert {name: run.to_dictionary() for name, run in runs().items()} == before


def test_a_model_that_comes_later_completes_its_run(cloned: Path) -> None:
    reconcile.reconcile("digits")
    before = {name: run.info.run_id for name, run in runs().items()}
    Path("elsewhere").rename("models")
    reconcile.reconcile("digits")
    assert {name: run.info.run_id for name, run in runs().items()} == before
    store, key = tracking.client(), folders.read_json(Path("models/digits-sgd/record.json"))["key"]
    for name, run in runs().items():
        assert "model/model.json" in [found.path for found in store.list_artifacts(run.info.run_id, "model")], name
        assert len(store.get_metric_history(run.info.run_id, "valid_accuracy")) == 1
    assert runs()["digits-sgd"].data.tags[tags.KEY] == key


def test_an_altered_report_is_no_run(cloned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports.path_of("digits", "digits-sgd").write_text("{}")
    reconcile.reconcile("digits")
    assert set(runs()) == {"digits-adam"}
    assert "digits-sgd has no run in MLflow" in capsys.readouterr().err


def test_the_figures_that_people_compare_are_a_saved_view(cloned: Path) -> None:
    reconcile.reconcile("digits")
    store = tracking.client()
    experiment = store.get_experiment_by_name("digits")
    state = json.loads(json.loads(experiment.tags[views.TAG])["state"])
    assert state["selectedColumns"][:2] == ["metrics.`final_valid_accuracy`", "metrics.`final_test_accuracy`"]
    named = {column.removeprefix("metrics.`").removesuffix("`") for column in state["selectedColumns"]}
    assert all(named <= set(run.data.metrics) for run in runs().values())
    assert views.address(experiment.experiment_id) in experiment.tags["mlflow.note.content"]


@pytest.mark.slow
def test_mlflow_of_a_clone_shows_every_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("registry", "released", "reports"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / lock.LOCK, tmp_path)
    monkeypatch.chdir(tmp_path)
    reconcile.main()
    store = tracking.client()
    assert sorted(found.name for found in store.search_experiments()) == discovery.names()
    for family in discovery.names():
        digests = {run.data.tags[tags.DIGEST]: run for run in store.search_runs([tracking.experiment(store, family)])}
        for candidate in discovery.candidates(family):
            report = folders.read_json(reports.path_of(family, candidate))
            run = digests[report["digest"]]
            assert run.info.run_name == candidate and int(run.data.params["fit.epochs"]) > 0
            curve = store.get_metric_history(run.info.run_id, f"valid_{reports.compared(family)[0]}")
            assert [point.step for point in curve] == list(range(1, len(curve) + 1)) and len(curve) > 1
            assert {"plots/classes.csv", "plots/history.csv"} <= {found.path for found in store.list_artifacts(run.info.run_id, "plots")}
