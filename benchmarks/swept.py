"""A sweep, or with `bare` its base alone, in a folder of its own.

`python -m benchmarks.swept sweep <data> <scratch> <content of its file> <trials> <workers>`
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipelines import configs, folders
from pipelines.cluster.jobs import Command
from pipelines.cluster.local import Local
from pipelines.sweeps import driver, spec
from pipelines.sweeps.opening import existing
from pipelines.sweeps.spec import Sweep


def swept(sweep: Sweep, trials: int, workers: int) -> dict[str, Any]:
    """From the start of the first trial to the end of the last, as the study has them."""
    driver.run(sweep, Local(), trials, workers)
    study = existing(sweep)
    found = study.finished()
    begun = min(trial.datetime_start.timestamp() for trial in found if trial.datetime_start)
    ended = max(trial.datetime_complete.timestamp() for trial in found if trial.datetime_complete)
    best = study.best()
    return {"seconds": ended - begun, "epochs": sum(len(trial.intermediate_values) for trial in found), "best": best and best.value}


def alone(sweep: Sweep) -> dict[str, float]:
    """A process that trains and exports the base, and tells nobody."""
    words = [sys.executable, "-m", "benchmarks.swept", "train", folders.canonical(sweep.composed({}))]
    begun = time.perf_counter()
    subprocess.run(words, env={**os.environ, **Command(words, {"TQDM_DISABLE": "1"}).environment()}, check=True, capture_output=True)
    return {"seconds": time.perf_counter() - begun}


def train(composed: dict[str, Any]) -> None:
    """fit() as the stage calls it."""
    from pipelines import discovery
    from pipelines.datasets import cards
    from pipelines.models import manifests
    from pipelines.training.session import Training

    cfg = configs.check(composed)
    with folders.replacing(Path("model")) as out:
        description = discovery.part(cfg.family, "fit").fit(cfg, cfg.data_folder, out, Training(Path("training")))
        manifests.write(out, cfg, cards.read(cfg.data_folder)["hash"], description)


def main(kind: str, *words: str) -> None:
    """Print what was measured, as JSON."""
    if kind == "train":
        train(json.loads(words[0]))
        return
    data, scratch, content, *more = words
    Path(scratch, "data").mkdir()
    Path(scratch, "data/digits").symlink_to(data)
    os.chdir(scratch)
    sweep = spec.read("digits", "measured", json.loads(content))
    print(json.dumps(swept(sweep, *map(int, more)) if kind == "sweep" else alone(sweep)))


if __name__ == "__main__":
    main(*sys.argv[1:])
