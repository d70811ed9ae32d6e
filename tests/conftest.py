"""A small project in a folder of its own: real stores, real MLflow, real ledger, and a model that needs no training framework."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from pipelines import cards, configs, folders, manifests, records, trainings
from pipelines.families.digits import data
from pipelines.families.digits.examples import LABELS
from pipelines.families.digits.picture import Convention

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as the working directory, with embedded data of 400 digits in data/digits/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    embedded_data()
    return tmp_path


def embedded_data() -> None:
    """data/digits/ in the working directory: at most 400 embedded digits a split."""
    cfg = configs.compose(["family=digits", "run=smoke", "data.sources=[embedded]"])
    with folders.replacing(cfg.data_folder) as out:
        data.prepare(cfg, out)


def tiny_model(candidate: str, seed: int) -> Path:
    """A complete model folder models/<candidate>/ whose network is one random layer."""
    cfg = configs.compose(["family=digits", f"candidate={candidate}", "run=smoke", "data.sources=[embedded]"])
    digest = cards.read(cfg.data_folder)["hash"]
    begun = records.begun()
    training = trainings.under_way(cfg, digest, begun["code"])
    training.epoch({"accuracy": 0.5, "valid_accuracy": 0.4}, lambda folder: None)
    with folders.replacing(cfg.model_folder) as out:
        (out / "native").mkdir()
        (out / "native/model.keras").write_bytes(b"resumed from, never served")
        onnx.save(random_network(seed), str(out / "model.onnx"))
        trainings.write_history(out, training.history)
        records.write(out, training, begun)
        manifests.write(out, cfg, digest, description())
    training.finish()
    return cfg.model_folder


def random_network(seed: int) -> onnx.ModelProto:
    """Pixels [n, 28, 28, 1] -> softmax of one random layer [n, 10]."""
    weights = np.random.default_rng(seed).normal(size=(784, 10)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 28, 28, 1])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])
    initial = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.tobytes(), raw=True)
    graph = helper.make_graph(nodes, "tiny", [pixels], [answer], [initial])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def description() -> manifests.Description:
    return manifests.Description(
        served={"model.onnx": "model"},
        native={"native/model.keras": "keras"},
        input={"shape": [None, 28, 28], "dtype": "uint8"},
        output={"kind": "probabilities", "labels": LABELS},
        preprocessing=Convention(),
        proof=manifests.Proof(256, 0.0, 1e-4),
    )


def evaluate(candidate: str, accuracy: float) -> None:
    """The real evaluate stage, then the validation accuracy that the test needs: a random layer has none to speak of."""
    run_stage("evaluate", "family=digits", f"candidate={candidate}", "run=smoke", "data.sources=[embedded]")
    page = Path("reports/digits/candidates", f"{candidate}.json")
    report = json.loads(page.read_text())
    report["valid"]["accuracy"] = accuracy
    folders.write_json(page, report)


def run_stage(stage: str, *words: str) -> str:
    """Run a stage as DVC does, in a process of its own, in the working directory's project."""
    done = subprocess.run(
        [sys.executable, "-m", f"pipelines.stages.{stage}", *words], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process: the project's code on its path, no mirror, no experiment."""
    kept = {key: value for key, value in os.environ.items() if key not in {"DATA_MIRROR", "DVC_EXP_NAME"}}
    scripts = str(Path(sys.executable).parent)
    return {**kept, "PYTHONPATH": str(ROOT), "PATH": f"{scripts}:{kept['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3", **more}


@pytest.fixture(scope="session", autouse=True)
def no_framework() -> Iterator[None]:
    """The tests' own process never imports a training framework: trainings run in processes of their own."""
    yield
    assert not {"tensorflow", "torch"} & set(sys.modules)
