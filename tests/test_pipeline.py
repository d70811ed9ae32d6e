"""The shrunken pipeline with real DVC, in a clone of its own: trained, killed, resumed, edited, tried out, restored."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.numpy import load_file

from benchmarks import models
from pipelines import discovery
from pipelines.families.ocr.parts.readings import Reading
from pipelines.models import manifests
from tests.conftest import commit, environment, git, worktree

pytestmark = [pytest.mark.first, pytest.mark.slow]

FAMILIES = discovery.names()
ROWS = [(family, candidate) for family in FAMILIES for candidate in discovery.candidates(family)]
CLASSIFIERS = [(family, candidate) for family, candidate in ROWS if family in {"digits", "objects"}]
SERVED = {  # others: model.onnx
    "gravures": ["model.onnx", "index.npy", "index.json", "catalogue.json"],
    "ocr-reader": ["model.onnx", "alphabet.json"],
    "ocr-trocr": ["encoder.onnx", "decoder.onnx", "tokenizer.json", "generation.json"],
    "signatures": ["model.onnx", "network.cfg", "opencv.weights"],
}
NATIVE = {
    "gravures": 2,
    "ocr-trocr": 5,
}  # not served: the weights, and what the folds answer; others: the weights
TUNED = {"gravures": 3, "ocr": 1}  # epochs beside those of the page: of the network that is served and of two folds, of generated lines
ALWAYS = {f"{stage}@{family}" for stage in ("look", "code", "promote") for family in FAMILIES}  # stages that DVC runs whatever there is
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "pipelines.stages.train")  # on a free port
EPOCHS = 40


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working tree as a repository of its own, set to few embedded pictures, small pages and few epochs; no decision is made yet."""
    folder = tmp_path_factory.mktemp("clone")
    worktree(folder, "registry/", "reports/", "released/", "dvc.lock")
    (folder / "conf/pipeline.yaml").write_text("run: short\n")
    page = "# @package _global_\nrun: short\ndata: {sources: [embedded], limit: 300}\nfit: {epochs: 2, batch: 64}\ngate: {floor: -100}\n"
    (folder / "conf/run/short.yaml").write_text(page)
    for name, epochs in {"long": EPOCHS, "both": 3}.items():
        (folder / f"conf/run/{name}.yaml").write_text(page.replace("run: short", f"run: {name}").replace("epochs: 2", f"epochs: {epochs}"))
    shrunken = {"side: 416": "side: 96", "symbols: 2000": "symbols: 20", "oversample: 80": "oversample: 2", "folds: 5": "folds: 2"}
    shrunken |= {"pretraining: 4": "pretraining: 1", "repeats: 3": "repeats: 1", "side: 128": "side: 32"}
    for path in (folder / "conf/candidate").glob("*.yaml"):
        for large, small in shrunken.items():
            path.write_text(path.read_text().replace(large, small))
    commit(folder)
    return folder


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


@pytest.mark.parametrize(("family", "candidate"), [("digits", "digits-adam"), ("objects", "objects-simple")])
def test_a_killed_training_goes_on_from_its_last_epoch(clone: Path, family: str, candidate: str) -> None:
    (clone / "conf/pipeline.yaml").write_text("run: long\n")
    words = ["dvc", "repro", f"train@{candidate}"]
    training = subprocess.Popen(words, cwd=clone, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    before = _killed_after(clone, training, 3)
    assert not (clone / "models" / candidate).exists()
    dvc(clone, "repro", f"train@{candidate}")
    (clone / "conf/pipeline.yaml").write_text("run: short\n")
    after = history(clone / "models" / candidate)
    assert [row["epoch"] for row in after] == list(range(1, EPOCHS + 1))
    assert [{**late, **early} for late, early in zip(after, before, strict=False)] == after[: len(before)]
    assert not list((clone / ".checkpoints").glob(f"{candidate}-*"))
    assert _runs(clone, family) == [[candidate, "FINISHED", EPOCHS, EPOCHS]]


def _killed_after(clone: Path, training: subprocess.Popen[bytes], epochs: int) -> list[dict[str, float]]:
    """Kill the training, and all it started, once it has saved so many epochs; return the last checkpoint's history."""
    for _ in range(3600):
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


def _runs(clone: Path, family: str) -> list[list[object]]:
    """[candidate, status, last epoch, number of values of valid_accuracy] of each run in MLflow."""
    code = (
        "import json; from pipelines.tracking import client as tracking; store = tracking.client();"
        f"runs = store.search_runs([tracking.experiment(store, '{family}')]);"
        "print(json.dumps([[run.info.run_name, run.info.status, run.data.metrics['epoch'],"
        " len(store.get_metric_history(run.info.run_id, 'valid_accuracy'))] for run in runs]))"
    )
    found: list[list[object]] = json.loads(python(clone, "-c", code).stdout)
    return found


@pytest.mark.timeout(1800)  # all candidates of all families, beside another file
def test_repro_trains_compares_and_promotes_every_family(clone: Path) -> None:
    printed = dvc(clone, "repro").replace("\n", " ")
    for family in FAMILIES:
        decision = json.loads((clone / f"reports/{family}/promotion.json").read_text())
        assert decision["open"], decision["words"]
        assert decision["words"].split(";")[0] in printed
        assert len((clone / f"registry/{family}.jsonl").read_text().splitlines()) == 1
        champion = json.loads((clone / f"reports/{family}/champion.json").read_text())
        assert set(champion) == {"family", "candidate", "version", "digest", "valid", "test", "examples", "seconds", "hardware"}
        assert (champion["version"], champion["candidate"]) == (1, decision["candidate"])
    assert [candidate for _, candidate in ROWS if candidate not in printed] == []
    commit(clone)


@pytest.mark.parametrize(("family", "candidate"), ROWS)
def test_every_candidate_keeps_the_contract(clone: Path, family: str, candidate: str) -> None:
    """Proven, verified, complete, and nothing in it that runs code when it is opened."""
    folder = clone / "models" / candidate
    manifest, record = (json.loads((folder / name).read_text()) for name in ("model.json", "record.json"))
    assert manifest == manifests.verified(folder)
    assert set(manifest) == {
        *("format", "family", "candidate", "files", "input", "output", "preprocessing", "proof", "data", "seed", "config", "digest")
    }
    assert 0 <= manifest["proof"]["difference"] <= manifest["proof"]["tolerance"] <= 1e-3
    assert manifest["proof"]["examples"] > 20
    assert (manifest["family"], manifest["candidate"]) == (family, candidate)
    assert manifest["data"] == json.loads((clone / f"data/{family}/card.json").read_text())["hash"]
    assert manifest["config"]["fit"]["epochs"] == 2 == len(history(folder)) - TUNED.get(family, 0)
    assert sorted(manifests.served(manifest)) == sorted(SERVED.get(candidate) or SERVED.get(family, ["model.onnx"]))
    assert len(manifest["files"]) == len(manifests.served(manifest)) + (NATIVE.get(candidate) or NATIVE.get(family, 1))
    assert {"key", "commit", "dirty", "code", "versions", "hardware", "seconds"} <= set(record)
    told = [path.name for path in folder.glob("*.onnx") if b'File "' in path.read_bytes()]
    assert told == [], "the graph tells of the machine it was exported on"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "model.json", "record.json", "history.jsonl"}


@pytest.mark.parametrize(("family", "candidate"), ROWS)
def test_every_candidate_is_scored_by_what_is_served(clone: Path, family: str, candidate: str) -> None:
    """The report is the Predictor's, and a picture has the same answer alone and among others."""
    predictor, test, scoring = answering(clone, family, candidate)
    report = json.loads((clone / f"reports/{family}/candidates/{candidate}.json").read_text())
    images = np.stack([image for image in test.images[:64] if image.shape == test.images[0].shape])
    together, alone = predictor.predict(images), [predictor.predict(image[None])[0] for image in images]
    for among_others, by_itself in zip(together, alone, strict=True):
        assert getattr(among_others, "text", None) == getattr(by_itself, "text", None)
        np.testing.assert_allclose(numbers(among_others), numbers(by_itself), atol=1e-5)
    metric, figures = scoring.HEADLINE, report["test"]
    assert report["digest"] == predictor.manifest["digest"]
    assert report["examples"]["test"] == len(test.images)
    assert scoring.metrics(scoring.outcomes(predictor, test))[metric] == figures[metric]
    assert figures[f"{metric}_low"] <= figures[metric] <= figures[f"{metric}_high"]


def numbers(answer: Any) -> Any:
    """An answer without its words."""
    return answer.confidence if isinstance(answer, Reading) else answer


def answering(clone: Path, family: str, candidate: str) -> tuple[Any, Any, Any]:
    """A candidate's Predictor, its test split, and how both are scored."""
    predict, examples, scoring = (discovery.part(family, name) for name in ("predict", "examples", "score"))
    return predict.Predictor(clone / "models" / candidate), examples.load(clone / "data" / family, "test"), scoring


@pytest.mark.parametrize(("family", "candidate"), CLASSIFIERS)
def test_a_classifier_answers_with_probabilities(clone: Path, family: str, candidate: str) -> None:
    predictor, test, _ = answering(clone, family, candidate)
    probabilities = predictor.predict(test.images[:64])
    assert probabilities.shape == (64, len(predictor.labels)) == (64, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("candidate", discovery.candidates("signatures"))
def test_weights_of_signatures_are_darknets(clone: Path, candidate: str) -> None:
    """What Darknet would go on from, and what OpenCV is served: as long as the cfg asks, alike but for the variances."""
    native, served = ((clone / "models" / candidate / name).read_bytes() for name in ("native/network.weights", "opencv.weights"))
    assert len(native) == len(served) > 20_000_000
    before, after = (np.frombuffer(content, "<f4", offset=20) for content in (native, served))
    assert np.isfinite(before).all()
    assert 0 < (before != after).mean() < 0.01
    assert np.abs(after - before).max() == pytest.approx(9e-6, rel=0.2)


@pytest.mark.parametrize("candidate", discovery.candidates("objects"))
def test_native_weights_of_objects_are_whole_and_finite(clone: Path, candidate: str) -> None:
    tensors = load_file(models.trained(clone / "models" / candidate))
    card = json.loads((clone / "data/objects/card.json").read_text())
    assert tensors["mean"].ravel() == pytest.approx(255 * np.array(card["mean"]))
    assert [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()] == []
    assert sum(tensor.size for name, tensor in tensors.items() if name.startswith("body.")) > 100_000


@pytest.mark.parametrize(("family", "candidate"), ROWS)
def test_the_mistakes_of_every_candidate_are_on_a_sheet(clone: Path, family: str, candidate: str) -> None:
    path = clone / f"reports/{family}/sheets/{candidate}/mistakes.png"
    with Image.open(path) as sheet:
        darkest, lightest = sheet.convert("L").getextrema()
        assert darkest < 64 < lightest == 255
        assert min(sheet.size) > 100
    assert f"reports/{family}/sheets/{candidate}" in (clone / "dvc.lock").read_text()
    ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=clone, check=False)
    assert ignored.returncode == 0  # a picture from a data set


@pytest.fixture(scope="module")
def shown(clone: Path) -> dict[str, dict[str, list[str]]]:
    """What MLflow has beside the runs of each family: {family: {candidate: paths}}."""
    code = (
        "import json; from pipelines import discovery; from pipelines.tracking import client as tracking; store = tracking.client();"
        "runs = {family: store.search_runs([tracking.experiment(store, family)], \"params.run = 'short'\")"
        " for family in discovery.names()};"
        "print(json.dumps({family: {run.info.run_name: [found.path for place in ('sheets', 'plots', 'model')"
        " for found in store.list_artifacts(run.info.run_id, place)] for run in rows} for family, rows in runs.items()}))"
    )
    found: dict[str, dict[str, list[str]]] = json.loads(python(clone, "-c", code).stdout)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_sheets_plots_and_model_are_beside_every_run(shown: dict[str, dict[str, list[str]]], family: str) -> None:
    assert sorted(shown[family]) == discovery.candidates(family)
    for paths in shown[family].values():
        assert {"sheets/mistakes.png", "plots/confusion.csv", "plots/history.csv", "model/model.json"} <= set(paths)
        assert {"model/model.onnx", "model/encoder.onnx"} & set(paths)


def test_nothing_changed_nothing_runs(clone: Path) -> None:
    lock = (clone / "dvc.lock").read_text()
    printed = dvc(clone, "repro")
    assert printed.count("nothing to decide") == len(FAMILIES)
    assert set(re.findall(r"Running stage '([^']+)'", printed)) == ALWAYS
    assert (clone / "dvc.lock").read_text() == lock


@pytest.mark.parametrize(("candidate", "value"), [("digits-sgd", "dropout: 0.3"), ("objects-simple", "dropout: 0.5")])
def test_editing_a_candidate_reruns_that_candidate_alone(clone: Path, candidate: str, value: str) -> None:
    page = clone / f"conf/candidate/{candidate}.yaml"
    text = page.read_text()
    assert value in text
    page.write_text(text.replace(value, "dropout: 0.2"))
    changed = yaml.safe_load(dvc(clone, "status", "--json"))
    page.write_text(text)
    assert set(changed) == {f"train@{candidate}", *ALWAYS}


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
    for _, candidate in ROWS:
        for name in ("confusion", "history", "reliability", "classes"):
            assert f"{candidate}/{name}.csv" in page.replace("\\\\", "/").replace("\\/", "/")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_deleted_comes_back_out_of_the_cache(clone: Path, family: str) -> None:
    """mlruns/, the model store and models/ gone: the walk back restores all of it, and every link is checked."""
    champion = json.loads((clone / f".store/champions/{family}.json").read_text())
    for name in ("mlruns", ".store", "models"):
        shutil.rmtree(clone / name)
    walked = python(clone, "-m", "pipelines.lineage", f"{family}@champion")
    assert walked.returncode == 0, walked.stdout + walked.stderr
    again = json.loads((clone / f".store/champions/{family}.json").read_text())
    assert {**again["model"], "run_id": ""} == {**champion["model"], "run_id": ""}
    assert "every file checked" in " ".join(walked.stdout.split())
    python(clone, "-m", "pipelines.registry", "reconcile")
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
    (clone / "dvc.yaml").write_text(pipeline.replace("foreach: &families [", "foreach: &families [broken, "))
    done = subprocess.run(["dvc", "repro", "--keep-going"], cwd=clone, env=environment(), capture_output=True, text=True, check=False)
    upstream = dvc(clone, "dag", "promote@digits")
    (clone / "dvc.yaml").write_text(pipeline)
    (clone / "conf/family/broken.yaml").unlink()
    assert done.returncode
    assert "ingest@broken" in done.stderr
    assert "nothing to decide" in done.stdout or "promote@digits" in done.stdout
    assert "train@digits-adam" in upstream
    assert "broken" not in upstream
    assert done.stdout.count("nothing to decide") == len(FAMILIES)


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


def test_two_processes_train_one_model(clone: Path) -> None:
    done = python(clone, *TORCHRUN, "family=objects", "candidate=objects-simple", "run=both")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("export proven") == 1
    folder = clone / "models/objects-simple"
    assert manifests.verified(folder)["config"]["run"] == "both"
    assert [row["epoch"] for row in history(folder)] == [1, 2, 3]
    assert [row for row in _runs(clone, "objects") if row[2] == 3] == [["objects-simple", "FINISHED", 3, 3]]
    assert not list((clone / ".checkpoints").glob("objects-simple-*"))
    assert not list((clone / "models").glob(".*"))


def test_a_family_that_trains_in_one_process_says_so_under_torchrun(clone: Path) -> None:
    before = manifests.read(clone / "models/digits-adam")
    done = python(clone, *TORCHRUN, "family=digits", "candidate=digits-adam", "run=both")
    assert done.returncode
    assert "digits trains in one process" in done.stderr
    assert "python -m pipelines.stages.train family=digits candidate=digits-adam" in done.stderr
    assert "AttributeError" not in done.stderr
    assert manifests.read(clone / "models/digits-adam") == before
    assert [row for row in _runs(clone, "digits") if row[2] == 3] == []
