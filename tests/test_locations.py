"""A project's folder is moved, renamed or copied: MLflow shows the files of its runs, and nothing is written to the old place."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from pipelines import configs
from pipelines.audit.verify import verify
from pipelines.fingerprints.fingerprint import PLUMBING
from pipelines.registry import promotion, reconcile
from pipelines.tracking import client, locations
from tests.conftest import embedded_data, evaluate, moved, tiny_model

WORDS = ["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1", "gate.confidence=0.001", "gate.gain=0"]


def promoted(candidate: str, seed: int, accuracy: float) -> None:
    tiny_model(candidate, seed)
    evaluate(candidate, accuracy)
    promotion.promote(configs.compose(WORDS))


def shown() -> list[set[str]]:
    """The top of what MLflow shows beside each run of digits, by its own client."""
    store = client.client()
    runs = store.search_runs([client.experiment(store, "digits")])
    return [{found.path for found in store.list_artifacts(run.info.run_id)} for run in runs]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a promoted version, in a folder with a blank and a percent sign in its name."""
    folder = tmp_path / "my project 100%"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    embedded_data()
    promoted("digits-adam", 1, 0.5)
    return folder


@pytest.mark.parametrize("way", ["moved", "copied"])
def test_the_addresses_follow_the_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    before, new = shown(), tmp_path / "renamed"
    assert {"model", "plots", "sheets", "data", "README.md"} <= before[0]
    home.rename(new) if way == "moved" else shutil.copytree(home, new, symlinks=True)
    monkeypatch.chdir(new)
    moved()
    files = sorted(path for path in home.rglob("*")) if home.exists() else []
    (notice,) = [notice for notice in verify().notices if notice.name == "mlruns/mlflow.db"]
    assert str(home / "mlruns/artifacts") in notice.words and notice.remedy == "make reconcile"
    reconcile.reconcile("digits")
    assert shown() == before
    assert not [notice for notice in verify().notices if notice.name == "mlruns/mlflow.db"]
    promoted("digits-sgd", 2, 0.6)
    assert len(shown()) == 2 and all("model" in names for names in shown())
    store = client.client()
    assert Path(store.get_model_version_download_uri("digits", "1").removeprefix("file://"), "model.json").is_file()
    assert (sorted(path for path in home.rglob("*")) if home.exists() else []) == files, "something was written to the old place"


def test_one_folder_under_two_names_and_other_stores_are_left_alone(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect("mlruns/mlflow.db") as database:
        database.execute("INSERT INTO experiments (experiment_id, name, artifact_location) VALUES (77, 'far', 's3://bucket/artifacts/far')")
    database.close()
    link = tmp_path / "link"
    link.symlink_to(home)
    monkeypatch.setattr(client, "ROOT", link / "mlruns")
    assert locations.elsewhere(client.ROOT) == locations.mend(client.ROOT) == []


def test_no_training_is_stale_for_it() -> None:
    assert locations.__name__ in PLUMBING
