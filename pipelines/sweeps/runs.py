"""A sweep in MLflow: one run for the sweep, a nested one for each finished trial, files of the best alone. It follows from the study."""

import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.sweeps import storage
from pipelines.sweeps.study import FIGURES, SECONDS, Study, folder_of
from pipelines.tracking import artifacts
from pipelines.tracking import client as tracking
from pipelines.tracking.tags import SWEEP, TRIAL

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna.trial import FrozenTrial

PARENT = "mlflow.parentRunId"  # the tag by which MLflow nests runs


class Runs:
    """The runs of one study."""

    def __init__(self, study: Study) -> None:
        self.study, self.metric = study, study.metric

    @cached_property
    def store(self) -> "MlflowClient":
        return tracking.client()

    @cached_property
    def experiment(self) -> str:
        return tracking.experiment(self.store, self.study.sweep.family)

    @cached_property
    def parent(self) -> str:
        """The id of the sweep's run, found or created."""
        sweep = self.study.sweep
        tags = {SWEEP: self.study.key, "family": sweep.family, "mlflow.source.name": "make sweep"}
        run = self._found(TRIAL, None) or self.store.create_run(self.experiment, None, tags, sweep.name)
        tracking.log_params(self.store, run, {"base": sweep.spec.base, **sweep.spec.model_dump(include={"sampler", "pruner", "seed"})})
        return str(run.info.run_id)

    @cached_property
    def children(self) -> dict[int, str]:
        """{number of a trial: the id of its run}."""
        query, found = f"tags.`{PARENT}` = '{self.parent}'", []
        page = self.store.search_runs([self.experiment], query, max_results=1000)
        while page:
            found += page
            page = self.store.search_runs([self.experiment], query, max_results=1000, page_token=page.token) if page.token else []
        return {int(run.data.tags[TRIAL]): run.info.run_id for run in found}

    def _found(self, without: str, otherwise: Any) -> Any:
        runs = self.store.search_runs([self.experiment], f"tags.`{SWEEP}` = '{self.study.key}'", max_results=1000)
        return next((run for run in runs if without not in run.data.tags), otherwise)

    def log(self) -> None:
        """The sweep's run, and one for each finished trial that has none yet: parameters, curve and figures in one batch."""
        known = self.children
        for trial in self.study.finished():
            if trial.number not in known:
                known[trial.number] = self._log(trial)

    def _log(self, trial: "FrozenTrial") -> str:
        started, ended = (int(at.timestamp() * 1000) for at in (trial.datetime_start, trial.datetime_complete) if at)
        tags = {SWEEP: self.study.key, TRIAL: str(trial.number), PARENT: self.parent, "family": self.study.sweep.family}
        run = self.store.create_run(self.experiment, started, tags, f"{self.study.sweep.name} {trial.number}")
        entities = tracking.mlflow().entities
        params = [entities.Param(key, str(value)) for key, value in self.study.values(trial).items()]
        curve = [entities.Metric(f"valid_{self.metric}", value, ended, epoch) for epoch, value in trial.intermediate_values.items()]
        figures = {f"final_{key}": value for key, value in trial.user_attrs.get(FIGURES, {}).items()}
        ends = [entities.Metric(key, value, ended, 0) for key, value in {**figures, "train_seconds": trial.user_attrs[SECONDS]}.items()]
        state = [entities.RunTag("state", trial.state.name.lower())]
        self.store.log_batch(run.info.run_id, metrics=curve + ends, params=params, tags=state)
        self.store.set_terminated(run.info.run_id, "FINISHED", ended)
        return str(run.info.run_id)

    def close(self, report: Path) -> None:
        """The best trial's model with its run, the page and the totals with the sweep's."""
        self.log()
        best, now = self.study.best(), int(time.time() * 1000)
        totals = {
            "finished": len(self.study.finished()),
            "pruned": len(self.study.trials("PRUNED")),
            **({"best": best.value} if best else {}),
        }
        metric = tracking.mlflow().entities.Metric
        self.store.log_batch(self.parent, metrics=[metric(key, value, now, 0) for key, value in totals.items()])
        self._show(self.parent, report)
        model = storage.folder(self.study.sweep.name) / "trials" / str(folder_of(best)) / "model" if best else None
        if best and model and model.exists():
            self._show(self.children[best.number], model)
        self.store.set_terminated(self.parent, "FINISHED")

    def _show(self, run: str, path: Path) -> None:
        """A file, or a folder under its name, beside a run, with the checksums that `make verify` reads."""
        self.store.log_artifact(run, str(path))
        artifacts.sum_up(self.study.sweep.family, run)
