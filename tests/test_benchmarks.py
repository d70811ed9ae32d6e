"""The harness: sides in turn, medians, spreads, and ratios that say how many times better ours is."""

import json
import re
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from benchmarks import __main__ as command
from benchmarks import example, harness, services
from benchmarks.peers import onnx_fastapi
from pipelines import stores
from tests.conftest import ROOT, environment
from tests.services import stored


def test_sides_are_measured_in_turn_after_a_warm_up() -> None:
    asked: list[str] = []

    def side(name: str) -> int:
        asked.append(name)
        return len(asked)

    found = harness.in_turn({"ours": lambda: side("ours"), "peer": lambda: side("peer")}, rounds=2)
    assert asked == ["ours", "peer"] * 3
    assert found == {"ours": [3, 5], "peer": [4, 6]}


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


def test_a_name_that_is_no_benchmark_names_the_choices(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "benchmarks", "speed"]
    done = subprocess.run(words, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert all(name in done.stderr for name in ("'speed'", *command.NAMES))
    assert "Traceback" not in done.stderr


def test_a_service_that_dies_is_named_with_its_words(tmp_path: Path) -> None:
    side = services.Side([sys.executable, "-c", "raise SystemExit('no such luck')"], services.picture())
    with pytest.raises(harness.Stopped, match=r"did not answer.*\n.*no such luck"):
        services.Service(side, tmp_path / "log")


def test_a_side_in_a_process_of_its_own_measures_when_it_is_asked() -> None:
    words = [sys.executable, "-m", "benchmarks.child", "onnx", str(ROOT / "released/digits")]
    with harness.children({"ours": words}) as running:
        found = [running["ours"].measure() for _ in range(2)]
    assert all(0 < line["value"] < 1000 and line["peak_mb"] > 10 for line in found)


def test_the_onnx_peer_answers_as_ours_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEER_MODEL", str(ROOT / "released/digits"))
    sent = services.picture()
    answer = TestClient(onnx_fastapi.application()).post(sent.path, content=sent.body, headers={"Content-Type": sent.kind}).json()
    assert answer["prediction"] == example.LABEL
    assert len(answer["ranking"]) == 10


def load(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "benchmarks.load", "--family", "digits", "--users", "2", "--seconds", "2"]
    return subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def test_users_are_sent_and_their_answers_looked_at(tmp_path: Path) -> None:
    for name in ("registry", "released"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = load(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* requests, 0 failures, \d+ requests/s, p50 ", done.stdout, re.MULTILINE)


def test_a_wrong_answer_is_a_failure(tmp_path: Path) -> None:
    pointer = stored(tmp_path, 1)
    with chdir(tmp_path):
        stores.point("digits", pointer)
    done = load(tmp_path)
    assert done.returncode == 1, done.stdout
    assert re.search(r"^\d+ of \d+ requests failed", done.stderr, re.MULTILINE)
    assert "wrong: " in done.stdout + done.stderr


def test_the_committed_report_has_the_rows_that_the_readme_shows() -> None:
    rows = json.loads((ROOT / "reports/benchmarks.json").read_text())
    assert {row["bench"] for row in rows} == set(command.NAMES)
    assert all({"name", "ours", "peer", "unit", "ratio", "hardware"} <= set(row) for row in rows)


def test_the_readme_shows_every_row_of_the_report() -> None:
    shown = {tuple(cell.strip() for cell in line.split("|")[1:5]) for line in (ROOT / "README.md").read_text().splitlines()}
    for row in json.loads((ROOT / "reports/benchmarks.json").read_text()):
        assert (row["name"], figure(row["ours"]), figure(row["peer"]), row["unit"]) in shown


def figure(value: float | None) -> str:
    """As the README writes it."""
    return "" if value is None else f"{value:,g}" if value >= 1000 else f"{value:g}"


def test_the_example_is_a_digit_in_the_convention() -> None:
    pixels = example.pixels()
    assert (pixels.shape, pixels.dtype) == ((28, 28), np.uint8)
    assert pixels.max() > 200
    assert pixels[0].max() == pixels[-1].max() == 0
