"""The view that MLflow saves with each experiment: the runs with the figures that people compare as columns, the best first."""

import json
import time
from typing import TYPE_CHECKING, Any

from pipelines.tracking import client

if TYPE_CHECKING:
    from mlflow import MlflowClient

NAME = "compare"
TAG = f"mlflow.sharedViewState.{NAME}"  # as MLflow's own page saves a view
COSTS = ("train_seconds", "latency_ms", "size_mb")


def save(store: "MlflowClient", family: str, metrics: list[str]) -> None:
    """Save the view of a family with these metrics of its reports, the first of which orders the runs; a link to it heads the page."""
    experiment = store.get_experiment(client.experiment(store, family))
    state = json.dumps(_state(metrics))
    if state == json.loads(experiment.tags.get(TAG, "{}")).get("state"):
        return
    now = int(time.time() * 1000)
    view = {"name": NAME, "createdAt": now, "updatedAt": now, "state": state}
    store.set_experiment_tag(experiment.experiment_id, TAG, json.dumps(view))
    words = f"[Compare the candidates of {family}]({address(experiment.experiment_id)})"
    store.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", words)


def address(experiment: str) -> str:
    """The path of a family's view, after the address of `make ui`."""
    return f"#/experiments/{experiment}/runs?viewStateShareKey={NAME}"


def _state(metrics: list[str]) -> dict[str, Any]:
    columns = [f"final_{split}_{name}" for name in metrics for split in ("valid", "test")]
    named = [f"metrics.`{name}`" for name in (*columns, *COSTS)]
    return {"selectedColumns": named, "orderByKey": named[0], "orderByAsc": False}
