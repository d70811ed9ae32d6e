"""Sweeps of digits on embedded data: a trial beside a bare training, a killed sweep, pruning beside none, two workers beside one."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import harness
from pipelines import configs, discovery, folders

Figures = dict[str, Any]
TRIALS = 10  # of each sweep: five minutes on 2 cores
CONTENT: Figures = {
    "base": "digits-augmented",
    "space": {
        "fit.learning_rate": {"low": 0.0003, "high": 0.1, "log": True},
        "fit.weight_decay": {"low": 0.00001, "high": 0.01, "log": True},
        "fit.augment.rotation": {"low": 0.0, "high": 25.0},
        "fit.augment.shift": {"low": 0.0, "high": 4.0},
        "model.dropout": {"low": 0.0, "high": 0.6},
    },
}
PRUNERS: dict[str, Figures] = {"ours": {"kind": "halving", "warmup": 1, "factor": 3}, "peer": {"kind": "none"}}
LONG, FEW = 20, 2  # epochs, and trials, of the first row
SHORT = 9  # epochs of the others


def measure() -> Iterator[harness.Row]:
    """Seconds and epochs; every side in processes of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        data = packed(Path(scratch, "digits"))
        yield overhead(data)
        yield harness.row("kill -9 of a sweep's parent: what is trained again", "epochs", "less", [lost(data)])
        pruned, complete = (swept(data, TRIALS, 2, SHORT, PRUNERS[side]) for side in ("ours", "peer"))
        alone = swept(data, TRIALS, 1, SHORT, PRUNERS["peer"])
    more: harness.Row = {"best": {"ours": [pruned["best"]], "peer": [complete["best"]]}}
    yield harness.row(f"epochs of {TRIALS} trials: without pruning", "epochs", "less", [pruned["epochs"]], [complete["epochs"]], **more)
    yield harness.row(f"{TRIALS} trials on 2 workers: on 1", "s", "less", [complete["seconds"]], [alone["seconds"]])


def overhead(data: Path) -> harness.Row:
    """A trial as the sweep runs it, with its lines, its figures and what the parent does; and the same training in a process alone."""
    sides = {
        "ours": lambda: swept(data, FEW, 1, LONG, PRUNERS["peer"])["seconds"] / FEW,
        "peer": lambda: bare(data, LONG),
    }
    found = harness.in_turn(sides, 1, warm=0)
    return harness.row("a trial of a sweep: the bare training", "s", "less", found["ours"], found["peer"])


def packed(folder: Path) -> Path:
    """The embedded digits."""
    cfg = configs.compose(["family=digits", "data.sources=[embedded]", "data.valid=0.2"])
    with folders.replacing(folder) as out:
        discovery.part("digits", "data").prepare(cfg, out)
    return folder


def swept(data: Path, trials: int, workers: int, epochs: int, pruner: Figures) -> Figures:
    """{"seconds", "epochs", "best"} of a sweep: from the start of its first trial to the end of its last."""
    return _printed(data, "sweep", content(epochs, pruner), str(trials), str(workers))


def lost(data: Path) -> float:
    """Epochs that a killed sweep of one trial trains again, at most."""
    return float(_printed(data, "killed", content(LONG, PRUNERS["peer"]), "1", "1")["lost"])


def bare(data: Path, epochs: int) -> float:
    """Seconds of a training of the base alone, export included, with a trial's threads."""
    return float(_printed(data, "bare", content(epochs, PRUNERS["peer"]))["seconds"])


def content(epochs: int, pruner: Figures) -> Figures:
    """A sweep's file: a small network for so many epochs."""
    budget = {"trials": TRIALS, "floor": 0, "settings": {"fit.epochs": epochs, "model.widths": [8, 16]}}
    return {**CONTENT, "budget": budget, "pruner": pruner}


def _printed(data: Path, kind: str, sweep: Figures, *words: str) -> Figures:
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.swept", kind, str(data), scratch, json.dumps(sweep), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures
