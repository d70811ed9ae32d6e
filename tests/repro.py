"""The shrunken pipeline with real DVC, in a repository of its own: chosen candidates, few embedded images, small pages, few epochs."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from pipelines import discovery
from pipelines.models import manifests
from serving.digits import demo
from tests.conftest import commit, environment, worktree

EPOCHS = 15  # of a training that is to be killed
SHORT = "# @package _global_\nrun: short\ndata: {sources: [embedded], limit: 300}\nfit: {epochs: 2, batch: 64}\ngate: {floor: -100}\n"
SHRUNKEN = {
    **{"side: 416": "side: 96", "side: 128": "side: 32", "symbols: 2000": "symbols: 20", "oversample: 80": "oversample: 2"},
    **{"folds: 5": "folds: 2", "pretraining: 4": "pretraining: 1", "repeats: 3": "repeats: 1"},
}
SERVED = {  # others: model.onnx
    "gravures": ["model.onnx", "index.npy", "index.json", "catalogue.json"],
    "ocr-reader": ["model.onnx", "alphabet.json"],
    "ocr-trocr": ["encoder.onnx", "decoder.onnx", "tokenizer.json", "generation.json"],
    "signatures": ["model.onnx", "network.cfg", "opencv.weights"],
}
NATIVE = {"gravures": 2, "ocr-trocr": 5}  # files that are not served: the weights, and the folds' answers; others: the weights
TUNED = {"gravures": 3, "ocr": 1}  # epochs beside those of the config file: of the served network and two folds, of generated lines
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "pipelines.stages.train")  # on a free port


def architectures(family: str) -> list[str]:
    """The first candidate of each network of a family: what differs in the training or in a rate, such as dropout, is left out."""
    found: dict[str, str] = {}
    for candidate in discovery.candidates(family):
        model = yaml.safe_load(Path(discovery.CONF, "candidate", f"{candidate}.yaml").read_text()).get("model", {})
        shape = {key: value for key, value in model.items() if not isinstance(value, float)}
        found.setdefault(json.dumps(shape, sort_keys=True), candidate)
    return list(found.values())


def clone(folder: Path, candidates: list[str]) -> Path:
    """The working tree with these candidates alone, and with no decision yet."""
    worktree(folder, "registry/", "reports/", "released/", "dvc.lock")
    (folder / "conf/pipeline.yaml").write_text("run: short\n")
    for name, epochs in {"short": 2, "both": 3, "long": EPOCHS}.items():
        (folder / f"conf/run/{name}.yaml").write_text(SHORT.replace("short", name).replace("epochs: 2", f"epochs: {epochs}"))
    demo.choose(folder, candidates)
    for path in (folder / "conf/candidate").glob("*.yaml"):
        for large, small in SHRUNKEN.items():
            path.write_text(path.read_text().replace(large, small))
    commit(folder)
    return folder


def always(*families: str) -> set[str]:
    """The stages that DVC runs each time."""
    return {f"{stage}@{family}" for stage in ("look", "code", "promote") for family in families}


def dvc(folder: Path, *words: str) -> str:
    done = subprocess.run(["dvc", *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def python(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(PYTHONPATH=str(folder), **more)
    return subprocess.run([sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, check=False)


def history(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def promoted(folder: Path, family: str) -> dict[str, Any]:
    """The first decision on a family: its best candidate is the champion. Returns the decision."""
    decision: dict[str, Any] = json.loads((folder / f"reports/{family}/promotion.json").read_text())
    assert decision["open"], decision["words"]
    assert len((folder / f"registry/{family}.jsonl").read_text().splitlines()) == 1
    champion = json.loads((folder / f"reports/{family}/champion.json").read_text())
    assert set(champion) == {"family", "candidate", "version", "digest", "valid", "test", "examples", "seconds", "hardware"}
    assert (champion["version"], champion["candidate"]) == (1, decision["candidate"])
    return decision


def killed_and_resumed(folder: Path, candidate: str) -> None:
    """A training that is killed goes on from its last epoch, in the same run of MLflow."""
    (folder / "conf/pipeline.yaml").write_text("run: long\n")
    words = ["dvc", "repro", f"train@{candidate}"]
    training = subprocess.Popen(words, cwd=folder, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    before = _killed_after(folder, training, 3)
    assert not (folder / "models" / candidate).exists()
    dvc(folder, "repro", f"train@{candidate}")
    (folder / "conf/pipeline.yaml").write_text("run: short\n")
    after = history(folder / "models" / candidate)
    assert [row["epoch"] for row in after] == list(range(1, EPOCHS + 1))
    assert [{**late, **early} for late, early in zip(after, before, strict=False)] == after[: len(before)]
    assert not list((folder / ".checkpoints").glob(f"{candidate}-*"))
    assert runs(folder, discovery.family_of(candidate)) == [[candidate, "FINISHED", EPOCHS, EPOCHS]]


def _killed_after(folder: Path, training: subprocess.Popen[bytes], epochs: int) -> list[dict[str, float]]:
    """Kill the training, and all it started, once it has saved so many epochs; return the last checkpoint's history."""
    for _ in range(3600):
        saved = sorted((folder / ".checkpoints").glob("*/epoch-*"))
        if saved and int(saved[-1].name.removeprefix("epoch-")) >= epochs:
            break
        assert training.poll() is None, "the training ended before it could be killed"
        time.sleep(0.05)
    os.killpg(training.pid, signal.SIGKILL)
    training.wait()
    last = max((folder / ".checkpoints").glob("*/epoch-*"))
    assert len(history(last)) < EPOCHS
    return history(last)


def the_same_elsewhere(folder: Path, candidate: str, place: Path) -> None:
    """Trained again in another folder, by a process that orders its sets differently: the served files are the same bytes."""
    made = {folder / name for name in ("mlruns", "models", ".checkpoints", ".store", ".dvc/cache")}  # pipelines/models is code
    shutil.copytree(folder, place, ignore=lambda at, names: [name for name in names if Path(at, name) in made])
    family = discovery.family_of(candidate)
    words = ["-m", "pipelines.stages.train", f"family={family}", f"candidate={candidate}", "run=short"]
    done = python(place, *words, PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stderr
    then, now = (manifests.verified(each / "models" / candidate) for each in (folder, place))
    assert {name: now["files"][name] for name in manifests.served(now)} == {name: then["files"][name] for name in manifests.served(then)}
    assert now["digest"] == then["digest"]


def runs(folder: Path, family: str) -> list[list[object]]:
    """[candidate, status, last epoch, number of values of valid_accuracy] of each run in MLflow."""
    code = (
        "import json; from pipelines.tracking import client as tracking; store = tracking.client();"
        f"runs = store.search_runs([tracking.experiment(store, '{family}')]);"
        "steps = [[point.step for point in store.get_metric_history(run.info.run_id, 'valid_accuracy')] for run in runs];"
        "print(json.dumps([[run.info.run_name, run.info.status, max(of, default=0), len(of)] for run, of in zip(runs, steps)]))"
    )
    found: list[list[object]] = json.loads(python(folder, "-c", code).stdout)
    return found


def complete(folder: Path, candidate: str) -> None:
    """A trained candidate is proven, verified, complete, and nothing in it runs code when it is opened."""
    family, model = discovery.family_of(candidate), folder / "models" / candidate
    manifest, record = (json.loads((model / name).read_text()) for name in ("model.json", "record.json"))
    assert manifest == manifests.verified(model)
    assert set(manifest) == {
        *("format", "family", "candidate", "files", "input", "output", "preprocessing", "proof", "data", "seed", "config", "digest")
    }
    assert 0 <= manifest["proof"]["difference"] <= manifest["proof"]["tolerance"] <= 1e-3
    assert manifest["proof"]["examples"] > 20
    assert (manifest["family"], manifest["candidate"]) == (family, candidate)
    assert manifest["data"] == json.loads((folder / f"data/{family}/card.json").read_text())["hash"]
    assert manifest["config"]["fit"]["epochs"] == 2 == len(history(model)) - TUNED.get(family, 0)
    assert sorted(manifests.served(manifest)) == sorted(SERVED.get(candidate) or SERVED.get(family, ["model.onnx"]))
    assert len(manifest["files"]) == len(manifests.served(manifest)) + (NATIVE.get(candidate) or NATIVE.get(family, 1))
    assert {"key", "commit", "dirty", "code", "versions", "hardware", "seconds"} <= set(record)
    assert [path.name for path in model.glob("*.onnx") if b'File "' in path.read_bytes()] == [], "the graph names paths of this machine"
    there = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "model.json", "record.json", "history.jsonl"}


def scored_by_what_is_served(folder: Path, candidate: str) -> None:
    """The report is the Predictor's, and an image has the same answer alone and among others."""
    family = discovery.family_of(candidate)
    predict, examples, scoring = (discovery.part(family, name) for name in ("predict", "examples", "score"))
    predictor, test = predict.Predictor(folder / "models" / candidate), examples.load(folder / "data" / family, "test")
    report = json.loads((folder / f"reports/{family}/candidates/{candidate}.json").read_text())
    images = np.stack([image for image in test.images[:64] if image.shape == test.images[0].shape])
    together, alone = predictor.predict(images), [predictor.predict(image[None])[0] for image in images]
    for among_others, by_itself in zip(together, alone, strict=True):
        assert getattr(among_others, "text", None) == getattr(by_itself, "text", None)
        np.testing.assert_allclose(_numbers(among_others), _numbers(by_itself), atol=1e-5)
    metric, figures = scoring.HEADLINE, report["test"]
    assert report["digest"] == predictor.manifest["digest"]
    assert report["examples"]["test"] == len(test.images)
    assert scoring.metrics(scoring.outcomes(predictor, test))[metric] == figures[metric]
    assert figures[f"{metric}_low"] <= figures[metric] <= figures[f"{metric}_high"]
    if family in {"digits", "objects"}:
        assert together.shape == (len(images), len(predictor.labels)) == (len(images), 10)
        np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)


def _numbers(answer: Any) -> Any:
    """An answer without its text."""
    return getattr(answer, "confidence", answer)


def mistakes_are_drawn(folder: Path, candidate: str) -> None:
    """The sheet of mistakes is an image with ink on paper, an output of DVC, and left out of git: it shows a data set."""
    sheets = f"reports/{discovery.family_of(candidate)}/sheets/{candidate}"
    with Image.open(folder / sheets / "mistakes.png") as sheet:
        darkest, lightest = sheet.convert("L").getextrema()
        assert darkest < 64 < lightest == 255
        assert min(sheet.size) > 100
    assert sheets in (folder / "dvc.lock").read_text()
    assert subprocess.run(["git", "check-ignore", "-q", sheets], cwd=folder, check=False).returncode == 0


def artifacts(folder: Path, family: str) -> dict[str, list[str]]:
    """What MLflow shows beside the short runs of a family: {candidate: paths}."""
    code = (
        "import json; from pipelines.tracking import client as tracking; store = tracking.client();"
        f"runs = store.search_runs([tracking.experiment(store, '{family}')], \"params.run = 'short'\");"
        "print(json.dumps({run.info.run_name: [found.path for place in ('sheets', 'plots', 'model')"
        " for found in store.list_artifacts(run.info.run_id, place)] for run in runs}))"
    )
    found: dict[str, list[str]] = json.loads(python(folder, "-c", code).stdout)
    return found


def in_mlflow(folder: Path, family: str, candidates: list[str]) -> None:
    shown = artifacts(folder, family)
    assert sorted(shown) == sorted(candidates)
    for paths in shown.values():
        assert {"sheets/mistakes.png", "plots/confusion.csv", "plots/history.csv", "model/model.json"} <= set(paths)
        assert {"model/model.onnx", "model/encoder.onnx"} & set(paths)


def restored_from_the_cache(folder: Path, family: str) -> None:
    """mlruns/, the model store and models/ gone: following the champion restores all of it, and every link is checked."""
    champion = json.loads((folder / f".store/champions/{family}.json").read_text())
    for name in ("mlruns", ".store", "models"):
        shutil.rmtree(folder / name)
    walked = python(folder, "-m", "atelier", "lineage", f"{family}@champion")
    assert walked.returncode == 0, walked.stdout + walked.stderr
    again = json.loads((folder / f".store/champions/{family}.json").read_text())
    assert {**again["model"], "run_id": ""} == {**champion["model"], "run_id": ""}
    assert "every file checked" in " ".join(walked.stdout.split())
    python(folder, "-m", "atelier", "reconcile")
    dvc(folder, "checkout", "--force")


def edited(folder: Path, candidate: str, value: str) -> set[str]:
    """The stages that DVC finds changed after an edit of a candidate's config file, which is undone."""
    path = folder / f"conf/candidate/{candidate}.yaml"
    text = path.read_text()
    assert value in text
    path.write_text(text.replace(value, "dropout: 0.2"))
    changed = yaml.safe_load(dvc(folder, "status", "--json"))
    path.write_text(text)
    return set(changed)
