"""1,000 metric values into a fresh MLflow database: `python -m benchmarks.logged ours <folder>`. Prints seconds."""

import itertools
import os
import sys
import time

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines.tracking import client as tracking

EPOCHS, NAMES = 250, ("epoch", "accuracy", "loss", "seconds")


def ours(store: MlflowClient, run: Run) -> None:
    """As Atelier logs them: in batches."""
    tracking.log_history(store, run, [dict.fromkeys(NAMES, float(epoch)) for epoch in range(1, EPOCHS + 1)])


def one_by_one(store: MlflowClient, run: Run) -> None:
    """A call for each value."""
    for epoch, name in itertools.product(range(1, EPOCHS + 1), NAMES):
        store.log_metric(run.info.run_id, name, float(epoch), step=epoch)


def a_step_at_a_time(store: MlflowClient, run: Run) -> None:
    """mlflow.log_metrics({...}, step): a call for each epoch."""
    for epoch in range(1, EPOCHS + 1):
        mlflow.log_metrics(dict.fromkeys(NAMES, float(epoch)), step=epoch, run_id=run.info.run_id)


def main() -> None:
    """One side, in a fresh database."""
    os.chdir(sys.argv[2])
    store = tracking.client()
    mlflow.set_tracking_uri(tracking.uri())
    run = store.create_run(tracking.experiment(store, "bench"))
    begun = time.perf_counter()
    globals()[sys.argv[1].replace(" ", "_")](store, run)
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
