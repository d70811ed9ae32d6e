"""The shrunken pipeline with real DVC, in a clone of its own: trained, killed, resumed, edited, tried out, restored."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipelines import families
from tests.conftest import ROOT, environment

CANDIDATES = families.candidates("digits")
EPOCHS = 40


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a repository of its own, set to few embedded digits and few epochs; no decision is made yet."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(("registry/", "reports/", "released/", "dvc.lock")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "conf/pipeline.yaml").write_text("run: short\n")
    page = "# @package _global_\nrun: short\ndata: {sources: [embedded], limit: 300}\nfit: {epochs: 2, batch: 64}\ngate: {floor: 0.05}\n"
    (folder / "conf/run/short.yaml").write_text(page)
    (folder / "conf/run/long.yaml").write_text(page.replace("run: short", "run: long").replace("epochs: 2", f"epochs: {EPOCHS}"))
    git(folder, "init", "-q")
    commit(folder)
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words], cwd=folder, check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "state")


def dvc(folder: Path, *words: str) -> str:
    done = subprocess.run(["dvc", *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(PYTHONPATH=str(folder)), capture_output=True, text=True, check=False
    )


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def test_a_killed_training_goes_on_from_its_last_epoch(clone: Path) -> None:
    (clone / "conf/pipeline.yaml").write_text("run: long\n")
    words = ["dvc", "repro", "train@digits-adam"]
    training = subprocess.Popen(words, cwd=clone, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    before = _killed_after(clone, training, 3)
    assert not (clone / "models/digits-adam").exists()
    dvc(clone, "repro", "train@digits-adam")
    (clone / "conf/pipeline.yaml").write_text("run: short\n")
    after = history(clone / "models/digits-adam")
    assert [row["epoch"] for row in after] == list(range(1, EPOCHS + 1))
    assert [row["seconds"] for row in after[: len(before)]] == [row["seconds"] for row in before]
    assert not list((clone / ".checkpoints").glob("digits-adam-*"))
    assert _runs(clone) == [["digits-adam", "FINISHED", EPOCHS, EPOCHS]]


def _killed_after(clone: Path, training: subprocess.Popen[bytes], epochs: int) -> list[dict[str, float]]:
    """Kill the training, and all it started, once it has saved so many epochs; return the last checkpoint's history."""
    for _ in range(1200):
        kept = sorted((clone / ".checkpoints").glob("*/epoch-*"))
        if kept and int(kept[-1].name.removeprefix("epoch-")) >= epochs:
            break
        assert training.poll() is None, "the training ended before it could be killed"
        time.sleep(0.05)
    os.killpg(training.pid, signal.SIGKILL)
    training.wait()
    last = max((clone / ".checkpoints").glob("*/epoch-*"))
    assert len(history(last)) < EPOCHS
    return history(last)


def _runs(clone: Path) -> list[list[object]]:
    """[candidate, status, last epoch, number of values of valid_accuracy] of each run in MLflow."""
    code = (
        "import json; from pipelines import tracking; store = tracking.client();"
        "runs = store.search_runs([tracking.experiment(store, 'digits')]);"
        "print(json.dumps([[run.info.run_name, run.info.status, run.data.metrics['epoch'],"
        " len(store.get_metric_history(run.info.run_id, 'valid_accuracy'))] for run in runs]))"
    )
    found: list[list[object]] = json.loads(python(clone, "-c", code).stdout)
    return found


def test_repro_trains_compares_and_promotes(clone: Path) -> None:
    printed = dvc(clone, "repro")
    decision = json.loads((clone / "reports/digits/promotion.json").read_text())
    assert decision["open"], decision["words"]
    assert decision["words"].split(";")[0] in printed.replace("\n", " ")
    assert all(candidate in printed for candidate in CANDIDATES)
    assert len((clone / "registry/digits.jsonl").read_text().splitlines()) == 1
    champion = json.loads((clone / "reports/digits/champion.json").read_text())
    assert set(champion) == {"family", "candidate", "version", "digest", "valid", "test", "examples", "seconds", "hardware"}
    assert (champion["version"], champion["candidate"]) == (1, decision["candidate"])
    commit(clone)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_every_candidate_keeps_the_contract(clone: Path, candidate: str) -> None:
    """Proven, verified, scored by what is served, and answering the same every time."""
    folder = clone / "models" / candidate
    manifest, record = (json.loads((folder / name).read_text()) for name in ("model.json", "record.json"))
    report = json.loads((clone / "reports/digits/candidates" / f"{candidate}.json").read_text())
    assert manifest["proof"]["difference"] <= manifest["proof"]["tolerance"] <= 1e-3
    assert manifest["digest"] == report["digest"]
    assert manifest["config"]["fit"]["epochs"] == 2 == len(history(folder))
    assert {"key", "commit", "dirty", "code", "versions", "hardware", "seconds"} <= set(record)
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle", ".pt", ".npy"}]
    module = families.part("digits", "predict")
    predictor = module.Predictor(folder)
    pictures = np.load(clone / "data/digits/test-images.npy")[:64]
    together, alone = predictor.predict(pictures), np.concatenate([predictor.predict(picture[None]) for picture in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    scored = families.part("digits", "score").score(predictor, families.part("digits", "data").load(clone / "data/digits", "test"))
    assert scored["accuracy"] == report["test"]["accuracy"]
    assert report["test"]["accuracy_low"] <= report["test"]["accuracy"] <= report["test"]["accuracy_high"]


def test_nothing_changed_nothing_runs(clone: Path) -> None:
    lock = (clone / "dvc.lock").read_text()
    printed = dvc(clone, "repro")
    assert "nothing to decide" in printed
    assert printed.count("Running stage") == 1
    assert (clone / "dvc.lock").read_text() == lock


def test_editing_a_candidate_reruns_that_candidate_alone(clone: Path) -> None:
    page = clone / "conf/candidate/digits-sgd.yaml"
    text = page.read_text()
    page.write_text(text.replace("dropout: 0.3", "dropout: 0.2"))
    changed = yaml.safe_load(dvc(clone, "status", "--json"))
    page.write_text(text)
    assert set(changed) == {"train@digits-sgd", "promote@digits"}


def test_an_experiment_compares_and_promotes_nothing(clone: Path) -> None:
    ledger = (clone / "registry/digits.jsonl").read_text()
    dvc(clone, "exp", "run", "-S", "conf/candidate/digits-adam.yaml:fit.learning_rate=0.01", "-n", "faster")
    assert (clone / "registry/digits.jsonl").read_text() == ledger
    assert "fit.learning_rate" in dvc(clone, "params", "diff", "HEAD")
    assert "valid.accuracy" in dvc(clone, "metrics", "diff", "HEAD")
    assert "faster" in dvc(clone, "exp", "show", "--csv")
    git(clone, "checkout", "--", ".")
    dvc(clone, "checkout", "--force")


def test_metrics_and_plots_show_something(clone: Path) -> None:
    assert "accuracy" in dvc(clone, "metrics", "show")
    assert "promote@digits" in dvc(clone, "dag")
    dvc(clone, "plots", "show", "-o", "plots")
    page = (clone / "plots/index.html").read_text()
    for name in ("confusion", "history", "reliability", "classes"):
        assert f"digits-adam/{name}.csv" in page.replace("\\\\", "/").replace("\\/", "/")


def test_what_was_deleted_comes_back_out_of_the_cache(clone: Path) -> None:
    """mlruns/, the model store and models/ gone: the walk back restores all of it, and every link is checked."""
    champion = json.loads((clone / ".store/champions/digits.json").read_text())
    for name in ("mlruns", ".store", "models"):
        shutil.rmtree(clone / name)
    walked = python(clone, "-m", "pipelines.lineage", "digits@champion")
    assert walked.returncode == 0, walked.stdout + walked.stderr
    again = json.loads((clone / ".store/champions/digits.json").read_text())
    assert {**again["model"], "run_id": ""} == {**champion["model"], "run_id": ""}
    assert "every file checked" in " ".join(walked.stdout.split())
    dvc(clone, "checkout", "--force")


def test_a_broken_link_is_found_and_ends_with_1(clone: Path) -> None:
    picture = clone / "data/digits/train-images.npy"
    picture.chmod(0o644)
    content = picture.read_bytes()
    picture.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    walked = python(clone, "-m", "pipelines.lineage", "digits@v1")
    picture.write_bytes(content)
    assert walked.returncode == 1
    assert "broken" in walked.stdout
    assert "train-images.npy" in walked.stdout


def test_a_family_whose_data_is_missing_stops_no_other(clone: Path) -> None:
    page = (clone / "conf/family/digits.yaml").read_text()
    (clone / "conf/family/broken.yaml").write_text(page.replace("family: digits", "family: broken"))
    pipeline = (clone / "dvc.yaml").read_text()
    (clone / "dvc.yaml").write_text(pipeline.replace("foreach: [digits]", "foreach: [broken, digits]"))
    done = subprocess.run(["dvc", "repro", "--keep-going"], cwd=clone, env=environment(), capture_output=True, text=True, check=False)
    upstream = dvc(clone, "dag", "promote@digits")
    (clone / "dvc.yaml").write_text(pipeline)
    (clone / "conf/family/broken.yaml").unlink()
    assert done.returncode
    assert "ingest@broken" in done.stderr
    assert "nothing to decide" in done.stdout or "promote@digits" in done.stdout
    assert "train@digits-adam" in upstream
    assert "broken" not in upstream


def test_two_repros_at_once_end_well(clone: Path) -> None:
    """Each ends with success or with DVC's own word about the lock; what they leave is whole."""
    (clone / "conf/run/short.yaml").write_text((clone / "conf/run/short.yaml").read_text().replace("limit: 300", "limit: 301"))
    words = ["dvc", "repro", "ingest@digits"]
    both = [
        subprocess.Popen(words, cwd=clone, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)
    ]
    printed = [process.communicate()[0] for process in both]
    assert any(process.returncode == 0 for process in both), printed
    for process, words_of in zip(both, printed, strict=True):
        assert process.returncode == 0 or "lock" in words_of or "busy" in words_of, words_of
    assert len(np.load(clone / "data/digits/train-labels.npy")) == 301
