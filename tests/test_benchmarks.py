"""The harness: sides in turn, medians, spreads, and ratios that say how many times better ours is."""

import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from benchmarks import __main__ as command
from benchmarks import drawing, example, harness, services, signatures, signatures_large, training
from benchmarks.peers import onnx_fastapi
from pipelines import configs, folders
from pipelines.families.gravures.predict import Predictor as Matcher
from pipelines.families.objects import data, predict
from pipelines.families.signatures.predict import Predictor
from pipelines.models import manifests
from pipelines.registry import store
from tests import browsers
from tests.conftest import ROOT, environment
from tests.services import stored

pytestmark = pytest.mark.slow

SHAPES = ("family=objects", "run=smoke", "data.sources=[embedded]")
NETWORK = ("model.network=yolov4-tiny", "model.side=128", "model.anchors=standard")
TINY = ("candidate=objects-fast", *SHAPES, "model.widths=[16,16,16]", "fit.batch=50", "fit.epochs=8")


class Tiny(NamedTuple):
    """What a training of objects printed on a few drawn shapes, their folder, and the model."""

    figures: training.Figures
    shapes: Path
    model: Path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    room = tmp_path_factory.mktemp("tiny")
    with folders.replacing(room / "shapes") as out:
        data.prepare(configs.compose(SHAPES), out)
    words = [sys.executable, "-m", "benchmarks.trained", str(room / "shapes"), str(room), *TINY]
    done = subprocess.run(words, cwd=room, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Tiny(json.loads(done.stdout.splitlines()[-1]), room / "shapes", room / "model")


def test_sides_are_measured_in_turn_after_a_warm_up() -> None:
    asked: list[str] = []

    def side(name: str) -> int:
        asked.append(name)
        return len(asked)

    found = harness.in_turn({"ours": lambda: side("ours"), "peer": lambda: side("peer")}, rounds=2)
    assert asked == ["ours", "peer"] * 3
    assert found == {"ours": [3, 5], "peer": [4, 6]}
    assert harness.in_turn({"ours": lambda: side("ours")}, rounds=1, warm=0) == {"ours": [7]}


@pytest.mark.parametrize(("better", "ratio", "spread"), [("more", 2.0, [1.0, 3.0]), ("less", 0.5, [0.3333, 1.0])])
def test_a_ratio_above_one_means_that_ours_is_better(better: harness.Better, ratio: float, spread: list[float]) -> None:
    line = harness.row("speed", "ms", better, ours=[10, 20, 30], peer=[10, 10, 10])
    assert (line["ours"], line["peer"], line["ratio"]) == (20, 10, ratio)
    assert line["spread"] == {"ours": [10, 30], "peer": [10, 10], "ratio": spread}


def test_a_figure_without_a_peer_has_no_ratio() -> None:
    line = harness.row("dvc repro", "s", "less", ours=[1.5])
    assert (line["ours"], line["peer"], line["ratio"]) == (1.5, None, None)


def test_a_benchmark_replaces_its_own_rows_and_keeps_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for bench, value in (("http", 1), ("start", 2), ("http", 3)):
        harness.record(bench, [harness.row("row", "s", "less", [value])])
    rows = json.loads(harness.REPORT.read_text())
    assert [(row["bench"], row["ours"]) for row in rows] == [("start", 2), ("http", 3)]
    assert all(row["command"] == f"make bench name={row['bench']}" for row in rows)
    assert all(row["hardware"]["cores"] and row["versions"]["onnxruntime"] for row in rows)


def test_rows_that_were_not_measured_now_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for values in ({"Keras": 1, "ONNX": 2}, {"ONNX": 3}):
        harness.record("http", [harness.row(name, "s", "less", [value]) for name, value in values.items()])
    assert [(row["name"], row["ours"]) for row in harness.read()] == [("Keras", 1), ("ONNX", 3)]


@pytest.mark.parametrize(
    ("family", "peers", "left_out"),
    [
        ("digits", {"FastAPI + ONNX", "stock BentoML + ONNX"}, "FastAPI + Keras; mlflow models serve. models/digits-"),
        (
            "objects",
            {"FastAPI + ONNX, in threads", "FastAPI + ONNX, on the loop"},
            "FastAPI + torch, in threads and on the loop. models/objects-",
        ),
    ],
)
def test_peers_whose_files_are_not_here_are_left_out_by_name(
    family: str, peers: set[str], left_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("registry", "released"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PEER_MODEL", "")
    monkeypatch.setattr(services, "wrk", lambda: "wrk")
    assert set(services.sides(family, tmp_path)) == {"Atelier", *peers}
    assert f"Left out: {left_out}" in (printed := capsys.readouterr().out)
    assert f"is not here. Train it: make train family={family}" in printed


def test_what_cannot_be_measured_here_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setattr(command, "NAMES", ("training", "queue"))
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    command.main()
    assert re.findall(r"^Left out: (\w+)\. ", capsys.readouterr().out, re.MULTILINE) == ["training", "queue"]
    assert harness.read() == []


def test_without_wrk_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(harness.Absent, match="apt install wrk"):
        services.wrk()


def test_versions_are_those_of_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "PACKAGES", ("numpy", "no-such-package"))
    assert harness._versions() == {"numpy": np.__version__}


@pytest.mark.parametrize("name", command.NAMES)
def test_every_benchmark_can_be_measured(name: str) -> None:
    assert callable(command.module(name).measure)


def test_a_name_that_is_no_benchmark_names_the_choices(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert all(name in done.stderr for name in ("'speed'", *command.NAMES))
    assert "Traceback" not in done.stderr


def test_a_service_that_dies_is_named_with_its_words(tmp_path: Path) -> None:
    side = services.Side([sys.executable, "-c", "raise SystemExit('no such luck')"], services.picture("digits"))
    with pytest.raises(harness.Stopped, match=r"did not answer.*\n.*no such luck"):
        services.Service(side, tmp_path / "log")


def test_a_side_in_a_process_of_its_own_measures_when_it_is_asked() -> None:
    words = [sys.executable, "-m", "benchmarks.child", "onnx", str(ROOT / "released/digits")]
    with harness.children({"ours": words}) as running:
        found = [running["ours"].measure() for _ in range(2)]
    assert all(0 < line["value"] < 1000 and line["peak_mb"] > 10 for line in found)


def test_the_onnx_peer_answers_as_ours_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_MODEL", str(ROOT / "released/digits"))
    sent = services.picture("digits")
    answer = TestClient(onnx_fastapi.application()).post(sent.path, content=sent.body, headers={"Content-Type": sent.kind}).json()
    assert answer["prediction"] == example.LABELS["digits"]
    assert len(answer["ranking"]) == 10


@pytest.mark.parametrize("peer", ["torch_in_threads", "torch_on_the_loop", "onnx_in_threads", "onnx_on_the_loop"])
def test_the_peers_of_objects_answer_as_ours_does(peer: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_MODEL", str(tiny.model))
    monkeypatch.setenv("PEER_NETWORK", str(tiny.model / "native/model.safetensors"))
    with services.started({peer: services.uvicorn(f"objects_fastapi:{peer}", "objects")}) as running:
        sent, address = running[peer].side.request, running[peer].address
        said = httpx.post(address + sent.path, content=sent.body, headers={"Content-Type": sent.kind}, timeout=30).json()
    ours = predict.Predictor(tiny.model)
    probabilities = ours.predict(example.pixels("objects")[None])[0]
    top = np.argsort(-probabilities)[:3]
    assert [rank["class"] for rank in said["top3_predictions"]] == [ours.labels[index] for index in top]
    assert [rank["confidence"] for rank in said["top3_predictions"]] == pytest.approx(probabilities[top], abs=1e-3)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLOv4-tiny of random weights for small pages."""
    folder = tmp_path_factory.mktemp("untrained") / "model"
    signatures_large.untrained(folder, 4, NETWORK)
    return folder


def test_every_runtime_is_timed_and_finds_the_boxes_of_opencv(untrained: Path) -> None:
    rows = list(signatures.runtimes(untrained, signatures.sample(2), "signatures", rounds=1))
    assert [row["name"] for row in rows] == [
        f"signatures one page, yolov4-tiny 128, {runtime}: cv2.dnn" for runtime in ("openvino", "onnxruntime", "opencv")
    ]
    assert all(row["ours"] > 0 and row["peer"] > 0 and row["boxes"] > 0 and row["iou"] > 0.99 for row in rows)


@pytest.mark.parametrize("peer", ["one_network", "a_network_a_core"])
def test_the_peers_of_signatures_answer_as_ours_does(peer: str, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, (page,) = Predictor(untrained, "opencv"), signatures.sample(1).squares(128)
    boxes = [box for box in ours.predict(page[None])[0] if box[4] >= ours.convention.threshold]
    monkeypatch.setenv("PEER_MODEL", str(untrained))
    stream = io.BytesIO()
    Image.fromarray(page).save(stream, "PNG")
    with services.started({peer: services.uvicorn(f"signatures_fastapi:{peer}", "signatures")}) as running:
        sent, address = services.upload("page.png", "image/png", stream.getvalue()), running[peer].address
        said = httpx.post(address + sent.path, content=sent.body, headers={"Content-Type": sent.kind}, timeout=30).json()
    assert said["count"] == len(boxes) > 0
    assert said["scores"] == pytest.approx([box[4] for box in boxes], abs=1e-3)
    np.testing.assert_allclose(said["prediction"], np.array(boxes)[:, :4] * 128, atol=1)


@pytest.fixture(scope="module")
def engraved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose store holds a tiny encoder of engravings."""
    folder = tmp_path_factory.mktemp("engraved")
    with chdir(folder):
        store.write_pointer("gravures", stored(folder, 1, "gravures"))
    return folder


@pytest.mark.parametrize("peer", ["in_threads", "on_the_loop"])
def test_the_peers_of_gravures_answer_as_ours_does(peer: str, engraved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_MODEL", str(engraved / "model-1"))
    with services.started({peer: services.uvicorn(f"gravures_fastapi:{peer}", "gravures")}) as running:
        sent, address = running[peer].side.request, running[peer].address
        said = httpx.post(address + sent.path, content=sent.body, headers={"Content-Type": sent.kind}, timeout=30).json()
    ours = Matcher(engraved / "model-1")
    embedding = ours.predict(ours.convention.from_grey(example.pixels("gravures"))[None])[0]
    wanted = ours.nearest(embedding, 10)
    assert [match["engraving"] for match in said["matches"]] == [match.engraving for match in wanted]
    assert [match["similarity"] for match in said["matches"]] == pytest.approx([match.similarity for match in wanted], abs=1e-3)
    assert {match["lenses_total"] for match in said["matches"]} == {2}
    assert example.seen(said) == wanted[0].engraving


def test_a_drawing_on_the_page_is_timed_until_its_matches_are_painted(engraved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browsers.found("chromium")
    monkeypatch.chdir(engraved)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with services.started({"Atelier": services.ours("gravures")}) as running:
        found = drawing.milliseconds(running["Atelier"].address, 2)
    assert [(line["matches"], line["shown"]) for line in found] == [(10, 0)] * 2
    assert all(0 < line["grid"] <= line["pictures"] for line in found)


def test_boxes_agree_but_for_those_at_the_threshold() -> None:
    one, moved = [[0.1, 0.1, 0.2, 0.2, 0.9]], [[0.15, 0.1, 0.2, 0.2, 0.9]]
    assert signatures.agreement([one], [one], 0.5) == (pytest.approx(1), 2)
    assert signatures.agreement([one], [[*one, [0.7, 0.7, 0.1, 0.1, 0.505]]], 0.5) == (pytest.approx(1), 2)
    assert signatures.agreement([one], [[*one, [0.7, 0.7, 0.1, 0.1, 0.6]]], 0.5)[0] == 0
    assert signatures.agreement([one], [moved], 0.5)[0] == pytest.approx(0.6)
    assert signatures.agreement([one, []], [[], one], 0.5)[0] == 0
    with pytest.raises(harness.Stopped, match=r"score of 0\.96 or more"):
        signatures.agreement([one], [one], 0.95)


def test_other_boxes_than_the_peer_has_stop_the_benchmark(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signatures, "SAME", 1.1)
    with pytest.raises(harness.Stopped, match=r"openvino does not find the boxes of cv2\.dnn: the least overlap is"):
        list(signatures.runtimes(untrained, signatures.sample(2), "signatures", rounds=1))


def test_a_training_says_when_it_reached_what(tiny: Tiny) -> None:
    seconds = [epoch["seconds"] for epoch in tiny.figures["epochs"]]
    assert len(seconds) == 8
    assert 0 < seconds[0] < seconds[-1] < tiny.figures["seconds"]
    assert tiny.figures["test"] > 0.15
    assert 100 < tiny.figures["peak_mb"] < 3000


def test_both_recipes_are_taken_to_the_same_accuracy(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "trained", lambda *_: tiny.figures)
    line = training.quickest(tiny.shapes, good=0.15, rounds=1, recipe=TINY, peer=SHAPES[1:])
    assert all(line["epoch"][side][0] >= 1 and line["valid"][side][0] >= 0.15 for side in ("ours", "peer"))
    assert line["ours"] > 0
    assert line["workers"][0] in {0, 1, 2}


def test_a_recipe_that_does_not_get_there_is_named_with_its_best() -> None:
    figures = {"epochs": [{"valid": 0.7, "seconds": 1.0}, {"valid": 0.74, "seconds": 2.0}, {"valid": 0.76, "seconds": 3.0}]}
    assert training.reached(figures, 0.74) == {"epoch": 2, "valid": 0.74, "seconds": 2.0}
    with pytest.raises(harness.Stopped, match=r"ended at 76\.00% on validation, and 80\.00%"):
        training.reached(figures, 0.8)


def test_seeds_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(_: Path, *words: str) -> dict[str, Any]:
        return {"test": 0.7 + float(words[-1].removeprefix("seed=")) / 100, "seconds": 9.6, "peak_mb": 900}

    monkeypatch.setattr(training, "trained", trained)
    line = training.over_seeds(Path("data"), ("candidate=objects-simple",), (1, 2, 6))
    assert (line["ours"], line["values"], line["spread"]["ours"], line["rounds"]) == (0.73, [0.71, 0.72, 0.76], [0.71, 0.76], 3)
    assert line["seconds"]["ours"] == [10, 10, 10]


def load(folder: Path, family: str = "digits") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "benchmarks.load", "--family", family, "--users", "2", "--seconds", "4"]
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def test_users_are_sent_and_their_answers_looked_at(tmp_path: Path) -> None:
    for name in ("registry", "released"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = load(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* requests, 0 failures, \d+ requests/s, p50 ", done.stdout, re.MULTILINE)


def test_users_of_objects_are_sent_their_picture(tiny: Tiny, tmp_path: Path) -> None:
    manifest = manifests.read(tiny.model)
    origin = {"version": 1, **{key: manifest[key] for key in ("family", "digest", "data")}, "commit": None, "run_id": "run-1"}
    with chdir(tmp_path):
        store.write_pointer("objects", {"tag": store.put(tiny.model, 1), "model": origin, "released": False})
    done = load(tmp_path, "objects")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* requests, 0 failures, ", done.stdout, re.MULTILINE)


def test_a_wrong_answer_is_a_failure(tmp_path: Path) -> None:
    pointer = stored(tmp_path, 1)
    with chdir(tmp_path):
        store.write_pointer("digits", pointer)
    done = load(tmp_path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"^\d+ of \d+ requests failed", done.stderr, re.MULTILINE)
    assert "wrong: " in done.stdout + done.stderr


def test_the_committed_report_has_rows_of_benchmarks_that_there_are() -> None:
    rows = json.loads((ROOT / "reports/benchmarks.json").read_text())
    assert {row["bench"] for row in rows} <= set(command.NAMES)
    assert all({"name", "ours", "peer", "unit", "ratio", "hardware"} <= set(row) for row in rows)


def test_the_example_is_a_digit_in_the_convention() -> None:
    pixels = example.pixels("digits")
    assert (pixels.shape, pixels.dtype) == ((28, 28), np.uint8)
    assert pixels.max() > 200
    assert pixels[0].max() == pixels[-1].max() == 0


def test_the_example_of_objects_is_a_small_picture_in_colour() -> None:
    pixels = example.pixels("objects")
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)
    np.testing.assert_array_equal(pixels, example.pixels("objects"))


def test_the_example_of_gravures_is_a_drawing_as_the_page_sends_it() -> None:
    pixels = example.pixels("gravures")
    assert (pixels.shape, pixels.dtype) == ((560, 560), np.uint8)
    assert pixels[0].min() == pixels[-1].min() == 255
    assert 0.02 < (pixels < 128).mean() < 0.2


def test_the_example_of_signatures_is_a_signed_letter_as_large_as_a_scan() -> None:
    name, kind, content = example.file("signatures")
    assert (name, kind, Image.open(io.BytesIO(content)).size) == ("picture.jpeg", "image/jpeg", (940, 1216))
    assert example.file("signatures")[2] == content
    assert [example.file(family)[:2] for family in ("digits", "objects")] == [("picture.png", "image/png")] * 2
