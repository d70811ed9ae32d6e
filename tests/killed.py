"""A training that is killed after an epoch and resumed, beside one that nobody disturbs; in a process of its own, as all trainings are."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.training.session import Training

Train = Callable[[Training], Any]


def trained(train: Train, name: str, last: int | None = None) -> tuple[Any, list[dict[str, float]]]:
    """What a training gives that goes on from checkpoints of its name, and its history; killed after the epoch `last`, it gives None."""
    log = Training(Path(name))

    def listen(row: dict[str, float]) -> None:
        if row["epoch"] == last:
            raise KeyboardInterrupt

    log.listen = listen
    try:
        return train(log), log.history
    except KeyboardInterrupt:
        return None, log.history


def compared(train: Train, weights: Callable[[Any], Mapping[str, Any]], name: str = "training", kills: Sequence[int] = (1,)) -> Any:
    """Print how an undisturbed training and one that is killed after each of `kills` differ; what the resumed one gives."""
    whole, history = trained(train, f"{name}-whole")
    killed = [trained(train, f"{name}-killed", last)[1] for last in kills]
    resumed, after = trained(train, f"{name}-killed")
    pairs = {name: (value, weights(resumed)[name]) for name, value in weights(whole).items()}
    found = {
        "epochs": [len(rows) for rows in (history, *killed, after)],
        "losses": [[row["loss"] for row in rows] for rows in (history, after)],
        "differing": {name: float((one.float() - other.float()).abs().max()) for name, (one, other) in pairs.items()},
    }
    print(json.dumps(found))
    return resumed


def ended_alike(found: dict[str, Any], epochs: list[int], tolerance: float = 1e-4) -> None:
    """`found` is what `compared` printed."""
    assert found["epochs"] == epochs
    assert found["losses"][1] == pytest.approx(found["losses"][0], abs=tolerance)
    assert {name: difference for name, difference in found["differing"].items() if not difference < tolerance} == {}
