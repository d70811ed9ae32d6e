"""Sweeps in small: a space of two settings, and a trial that computes a curve in milliseconds in the place of a training.

`python -m tests.trials sweep <limit> <workers>` is a parent of such trials, `join` in the place of `sweep` one that shares them;
`python -m tests.trials trial ...` is what it starts.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.sweeps import messages  # the others in functions, as a trial starts often and needs this alone

if TYPE_CHECKING:
    from pipelines.sweeps.spec import Sweep

COMMAND = ("-m", "tests.trials", "trial")
HOLD = "HOLD"  # environment: "<FIFO> <folder of a trial> <epoch>": there that trial says so and waits to be killed, once
EXIT = "EXIT"  # environment: the exit code of a trial after its first epoch
BEST = 0.004  # learning rate
CONTENT: dict[str, Any] = {
    "base": "digits-augmented",
    "budget": {"trials": 6, "settings": {"fit.epochs": 4}},
    "pruner": {"kind": "median", "startup": 2},
    "space": {"fit.learning_rate": {"low": 0.001, "high": 0.03, "log": True}, "fit.batch": {"choices": [64, 128, 256]}},
}


def sweep(**more: Any) -> "Sweep":
    """A sweep digits-small with other keys."""
    from pipelines.sweeps import spec

    return spec.read("digits", "small", {**CONTENT, **more})


def curve(rate: float, epoch: int) -> float:
    return 1 - 20 * abs(rate - BEST) / epoch**0.5


def trial(folder: Path, config: dict[str, Any]) -> None:
    """A training of curve(): its checkpoint is the number of its last epoch, and `trained` has a line for each epoch that was trained."""
    (folder / "training").mkdir(exist_ok=True)
    checkpoint, trained = folder / "training" / "epoch", folder / "trained"
    known = int(checkpoint.read_text()) if checkpoint.exists() else 0
    rate, batch = config["fit"]["learning_rate"], config["fit"]["batch"]
    for epoch in range(1, config["fit"]["epochs"] + 1):
        if epoch > known:
            _hold(folder, epoch)
            with trained.open("a") as lines:
                lines.write(f"{epoch}\n")
            checkpoint.write_text(str(epoch))
        print(messages.written(messages.Epoch(epoch, curve(rate, epoch), 0.01)), flush=True)
        if EXIT in os.environ:
            sys.exit(f"told to end with {os.environ[EXIT]}") if os.environ[EXIT] == "1" else sys.exit(int(os.environ[EXIT]))
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "weights").write_text(str(rate))
    print(messages.written(messages.Figures(curve(rate, config["fit"]["epochs"]), batch / 10, 0.1)), flush=True)


def _hold(folder: Path, epoch: int) -> None:
    fifo, where, at = os.environ.get(HOLD, "/ / 0").split()
    once = folder / "held"
    if folder.name == where and epoch == int(at) and not once.exists():
        once.touch()
        with Path(fifo).open("w") as held:
            print(os.getpid(), file=held, flush=True)
            signal.pause()


def main(kind: str, *words: str) -> None:
    if kind == "trial":
        trial(Path(words[0]), json.loads(words[3]))
        return
    from pipelines.cluster.local import Local
    from pipelines.sweeps import driver

    driver.TRIAL = COMMAND
    driver.run(sweep(), Local(), int(words[0]), int(words[1]), join=kind == "join")


if __name__ == "__main__":
    main(*sys.argv[1:])
