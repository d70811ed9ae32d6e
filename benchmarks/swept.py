"""A sweep, with `killed` one whose parent is killed, or with `bare` its base alone, in a folder of its own.

`python -m benchmarks.swept sweep <data> <scratch> <content of its file> <trials> <workers>`
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines import configs, folders
from pipelines.cluster.jobs import Command
from pipelines.cluster.local import Local
from pipelines.sweeps import driver, spec, storage
from pipelines.sweeps.opening import NoStudy, existing
from pipelines.sweeps.spec import Sweep
from pipelines.training import session

KILLED = 5  # epochs reported before the parent is killed
POLL = 0.1  # seconds between two looks at the study


def swept(sweep: Sweep, trials: int, workers: int) -> dict[str, Any]:
    """From the start of the first trial to the end of the last, as the study has them."""
    driver.run(sweep, Local(), trials, workers)
    study = existing(sweep)
    found = study.finished()
    begun = min(trial.datetime_start.timestamp() for trial in found if trial.datetime_start)
    ended = max(trial.datetime_complete.timestamp() for trial in found if trial.datetime_complete)
    best = study.best()
    return {"seconds": ended - begun, "epochs": sum(len(trial.intermediate_values) for trial in found), "best": best and best.value}


def killed(sweep: Sweep, words: list[str]) -> dict[str, int]:
    """Epochs that kill -9 of the parent of one trial costs: those reported that its checkpoint lacks, and the one under way."""
    command = [sys.executable, "-m", "benchmarks.swept", "sweep", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as parent:
        while _reported(sweep) < KILLED:
            time.sleep(POLL)
        parent.kill()
    reported, checkpoints = _reported(sweep), storage.folder(sweep.name) / "trials/0/training"
    kept = len(session.read_history(max(checkpoints.glob("epoch-*"))))
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"lost": max(0, reported - kept) + 1}


def _reported(sweep: Sweep) -> int:
    with suppress(NoStudy):
        return sum(len(trial.intermediate_values) for trial in existing(sweep).trials())
    return 0


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
    link = Path(scratch, "data/digits")
    link.parent.mkdir(exist_ok=True)
    if not link.is_symlink():  # the resumed sweep finds it
        link.symlink_to(data)
    os.chdir(scratch)
    sweep = spec.read("digits", "measured", json.loads(content))
    measure: dict[str, Callable[[], Any]] = {
        "sweep": lambda: swept(sweep, *map(int, more)),
        "killed": lambda: killed(sweep, [*words]),
        "bare": lambda: alone(sweep),
    }
    print(json.dumps(measure[kind]()))


if __name__ == "__main__":
    main(*sys.argv[1:])
