"""MLflow on mlruns/mlflow.db. Every run is derived from a model folder and can be made again.

MLflow takes three seconds to import: only mlflow() here does, on demand.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipelines import folders
from pipelines.configs import Config
from pipelines.models import manifests
from pipelines.tracking import locations, reader
from pipelines.tracking.tags import CANDIDATE, COMMIT, DATA, DATA_DVC, DIGEST, DIRTY, DONE, DVC, KEY, REPORTED, UNKNOWN
from pipelines.training import records, session
from pipelines.training.session import Epoch, Training

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run, RunTag

ROOT = Path("mlruns")
DATABASE = ROOT / "mlflow.db"
SHOWN_AS = {"mlflow.experimentKind": "custom_model_development"}  # MLflow then opens on training, not on traces
SAMPLING_SECONDS = 5  # between two samples of the machine's load


def mlflow() -> Any:
    """MLflow, without its usage reports, and opening no pickle."""
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    import mlflow as imported

    return imported


def uri() -> str:
    """The project's tracking store."""
    return _uri(DATABASE)


def _uri(database: Path) -> str:
    place = str(database.absolute())
    return f"sqlite:///{quote(place) if set('%?') & set(place) else place}"  # else `%20` is a blank, and `?` the end


def client() -> "MlflowClient":
    """A client on the project's database, which one process at a time creates: it is complete or absent, its addresses lead here.

    Raises reader.Unreadable.
    """
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    with reader.explained(), folders.locked(ROOT / ".lock"):
        if not DATABASE.exists():
            with folders.drafted(DATABASE) as draft:
                _connected(draft).delete_experiment("0")  # MLflow's empty "Default"
        reader.check()
        found = _connected(DATABASE)
        for old in locations.mend(ROOT):
            print(f"MLflow looked for its files in {old}: it looks in {(ROOT / 'artifacts').absolute()} now.", file=sys.stderr)
        return found


def _connected(database: Path) -> "MlflowClient":
    """A client, with MLflow's tables in its database."""
    found = mlflow().MlflowClient(_uri(database))
    found.search_experiments(max_results=1)
    return found


def experiment(store: "MlflowClient", family: str) -> str:
    """The id of the family's experiment, created or restored."""
    with folders.locked(ROOT / ".lock"):
        found = store.get_experiment_by_name(family)
        place = (ROOT / "artifacts" / family).absolute().as_uri()
        if found and found.lifecycle_stage == "deleted":
            store.restore_experiment(found.experiment_id)
        return found.experiment_id if found else store.create_experiment(family, place, tags=SHOWN_AS)


def find(store: "MlflowClient", family: str, key: str) -> "Run | None":
    """The run of the training with this key, restored where it was deleted."""
    runs = store.search_runs([experiment(store, family)], f"tags.`{KEY}` = '{key}'", mlflow().entities.ViewType.ALL, max_results=1)
    if runs and runs[0].info.lifecycle_stage == "deleted":
        store.restore_run(runs[0].info.run_id)
    return store.get_run(runs[0].info.run_id) if runs else None


def create(store: "MlflowClient", config: dict[str, Any], key: str, started: float) -> "Run":
    """A new run with the training's key and parameters."""
    tags = {KEY: key, "family": config["family"], CANDIDATE: config["candidate"], "mlflow.source.name": "dvc repro"}
    run = store.create_run(experiment(store, config["family"]), int(started * 1000), tags, config["candidate"])
    log_params(store, run, config)
    return run


def log_params(store: "MlflowClient", run: "Run", config: dict[str, Any]) -> None:
    """The configuration, such as fit.epochs; logged parameters stay."""
    param, values = mlflow().entities.Param, sorted(flat(config).items())
    store.log_batch(run.info.run_id, params=[param(name, str(value)) for name, value in values if name not in run.data.params])


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested {"fit": {"epochs": 3}} as {"fit.epochs": 3}."""
    pairs: dict[str, Any] = {}
    for key, value in values.items():
        pairs |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return pairs


@contextmanager
def live(cfg: Config, card: dict[str, Any], training: Training) -> Iterator[str]:
    """Log a training to its run, each epoch as one batch, with the machine's load; a resumed one continues its run."""
    store, imported = client(), mlflow()
    run = find(store, cfg.family, training.key) or create(store, cfg.recipe(), training.key, training.started)
    log_data(store, run, card)
    log_history(store, run, training.history)
    training.listen = lambda row: store.log_batch(run.info.run_id, metrics=_points([row]))
    logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
    imported.set_tracking_uri(uri())
    imported.set_system_metrics_sampling_interval(SAMPLING_SECONDS)
    with reader.explained(), imported.start_run(run.info.run_id, log_system_metrics=True):
        yield run.info.run_id


def log_data(store: "MlflowClient", run: "Run", card: dict[str, Any]) -> None:
    """The data card as the run's dataset input, once."""
    if run.inputs.dataset_inputs:
        return
    source = folders.canonical({"sources": [entry["url"] for entry in card["sources"]], "hash": card["hash"]})
    profile = folders.canonical({"counts": card["counts"], "duplicates": card["duplicates"]})
    entities = mlflow().entities
    data = entities.Dataset(card["name"], card["hash"][:36], "local", source, profile=profile)
    store.log_inputs(run.info.run_id, [entities.DatasetInput(data)])


def log_history(store: "MlflowClient", run: "Run", history: list[Epoch]) -> None:
    """Every epoch that the run does not have yet, in batches of at most 1,000 values."""
    names = [name for name in (history or [{}])[-1] if name != "epoch" and not name.endswith("seconds")]
    known = max((point.step for name in names[:1] for point in store.get_metric_history(run.info.run_id, name)), default=0)
    points = _points([row for row in history if row["epoch"] > known])
    for start in range(0, len(points), 1000):
        store.log_batch(run.info.run_id, metrics=points[start : start + 1000])


def _points(rows: list[Epoch]) -> "list[Metric]":
    """The figures of each epoch, the epoch itself as MLflow's step."""
    metric, now = mlflow().entities.Metric, int(time.time() * 1000)
    return [metric(name, value, now, int(row["epoch"])) for row in rows for name, value in row.items() if name != "epoch"]


def run_of_folder(store: "MlflowClient", folder: Path, report: dict[str, Any] | None, shown: dict[str, Path]) -> "Run":
    """Find or create the run of a model folder, and log configuration, data, history, scores and files; the run.

    `report` holds {"valid", "test"} metrics where the model has been evaluated; `shown` is {name: file or folder} to log, of which "data"
    is the data card.
    """
    manifest, record = manifests.read(folder), records.read(folder)
    run = _known(store, manifest, record["key"]) or create(store, manifest["config"], record["key"], record["started"])
    state = folders.hash_of([manifest["digest"], report, record, sorted(shown)])
    if run.data.tags.get(DONE) == state:
        return run
    log_history(store, run, session.read_history(folder))
    _log(store, run, manifest, record, report, {"model": folder, **shown})
    store.set_tag(run.info.run_id, DONE, state)
    return store.get_run(run.info.run_id)


def run_of_report(
    store: "MlflowClient", recipe: dict[str, Any], record: dict[str, Any], report: dict[str, Any], shown: dict[str, Path]
) -> "Run":
    """Find or create the run of a candidate whose report is here and whose model folder is not; run_of_folder() completes it later.

    `recipe` is its configuration; `record` has its "key", "started", "commit", "dirty", "seconds" and "history".
    """
    run = find(store, report["family"], record["key"]) or create(store, recipe, record["key"], record["started"])
    state = folders.hash_of([recipe, report, sorted(shown)])
    if DONE in run.data.tags or run.data.tags.get(REPORTED) == state:
        return run
    log_history(store, run, record["history"])
    _log(store, run, {"config": recipe, **report}, record, report, shown)
    store.set_tag(run.info.run_id, REPORTED, state)
    return store.get_run(run.info.run_id)


def _known(store: "MlflowClient", manifest: dict[str, Any], key: str) -> "Run | None":
    """The run of a training, or the one that a report of its model has, which becomes the training's."""
    if run := find(store, manifest["family"], key):
        return run
    reported = find(store, manifest["family"], manifest["digest"])
    if reported:
        store.set_tag(reported.info.run_id, KEY, key)
    return reported


def _log(
    store: "MlflowClient",
    run: "Run",
    manifest: dict[str, Any],
    record: dict[str, Any],
    report: dict[str, Any] | None,
    shown: dict[str, Path],
) -> None:
    """Configuration, data, scores and files; then the run has ended."""
    log_params(store, run, manifest["config"])
    if "data" in shown:
        log_data(store, run, json.loads(shown["data"].read_text()))
    _log_scores(store, run, manifest, record, report)
    for name, path in shown.items():
        log = store.log_artifacts if path.is_dir() else store.log_artifact
        log(run.info.run_id, str(path), name)
    if run.info.end_time is None:
        _end(store, run, record["started"] + record["seconds"]["train"])


def _end(store: "MlflowClient", run: "Run", at: float) -> None:
    store.set_terminated(run.info.run_id, "FINISHED", int(at * 1000))


def tag_with_dvc(store: "MlflowClient", run: "Run", dvc: str | None, data_dvc: str | None) -> "Run":
    """Tag a run with the DVC hashes of model folder and data, such as "1f…c2.dir", where known; the run."""
    wanted = {tag: value for tag, value in {DVC: dvc, DATA_DVC: data_dvc}.items() if value and run.data.tags.get(tag) != value}
    if wanted:
        store.log_batch(run.info.run_id, tags=_tags(wanted))
    return store.get_run(run.info.run_id) if wanted else run


def run_of_line(store: "MlflowClient", line: dict[str, Any], recipe: dict[str, Any]) -> "Run":
    """The run of a promotion whose folder is not on this machine, with what the ledger knows; run_of_folder() completes it later."""
    family, key = line["family"], line["run"]
    found = find(store, family, key)
    if found is None:
        found = create(store, {"family": family, "candidate": line["candidate"], **recipe}, key, line["started"])
        record = {"commit": line["commit"], "dirty": line.get("dirty"), "seconds": line["figures"]["seconds"]}
        _log_scores(store, found, line, record, line["figures"])
        _end(store, found, line["started"] + line["figures"]["seconds"]["train"])
    return found


def _log_scores(store: "MlflowClient", run: "Run", manifest: dict[str, Any], record: dict[str, Any], report: dict[str, Any] | None) -> None:
    """Scores as final_<split>_<metric>, and origin as tags."""
    splits = {split: report[split] for split in ("valid", "test")} if report else {}
    named = {f"final_{split}_{name}": value for split, metrics in splits.items() for name, value in metrics.items()}
    named |= {name: report[name] for name in ("latency_ms", "size_mb") if report and name in report}
    metric, now = mlflow().entities.Metric, int(time.time() * 1000)
    dirty = UNKNOWN if record["commit"] is None or record["dirty"] is None else str(record["dirty"]).lower()
    tags = {DIGEST: manifest["digest"], DATA: manifest["data"], COMMIT: record["commit"] or UNKNOWN, DIRTY: dirty}
    metrics = [metric(name, value, now, 0) for name, value in {**named, "train_seconds": record["seconds"]["train"]}.items()]
    store.log_batch(run.info.run_id, metrics=metrics, tags=_tags(tags))


def _tags(values: dict[str, str]) -> "list[RunTag]":
    tag = mlflow().entities.RunTag
    return [tag(name, value) for name, value in values.items()]
