"""The files that MLflow shows beside a run, mlruns/artifacts/<family>/<run>/artifacts/, and their SHA256SUMS."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import folders
from pipelines.models import checksums
from pipelines.tracking import client
from pipelines.tracking.tags import DONE, REPORTED
from pipelines.training import records

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def folder_of(family: str, run_id: str) -> Path:
    return client.ROOT / "artifacts" / family / run_id / "artifacts"


def folders_of(family: str) -> list[Path]:
    """Of every run of a family that has files."""
    return sorted(folder_of(family, "x").parents[1].glob("*/artifacts"))


def log(store: "MlflowClient", family: str, folder: Path, report: dict[str, Any] | None, shown: dict[str, Path]) -> "Run":
    """The run of a model folder, as client.run_of_folder(), its files listed in SHA256SUMS; where that is gone, logged again."""
    key = records.read(folder)["key"]
    return _logged(store, family, key, DONE, lambda: client.run_of_folder(store, folder, report, shown))


def log_report(
    store: "MlflowClient", recipe: dict[str, Any], record: dict[str, Any], report: dict[str, Any], shown: dict[str, Path]
) -> "Run":
    """The same of a report without a model folder, as client.run_of_report()."""
    return _logged(store, report["family"], record["key"], REPORTED, lambda: client.run_of_report(store, recipe, record, report, shown))


def _logged(store: "MlflowClient", family: str, key: str, tag: str, derive: Callable[[], "Run"]) -> "Run":
    before = client.find(store, family, key)
    done = before.data.tags.get(tag) if before else None
    if before and done and not listed(family, before):
        store.set_tag(before.info.run_id, tag, done := "")
    run = derive()
    if run.data.tags.get(tag) != done:
        sum_up(family, run.info.run_id)
    return run


def sum_up(family: str, run_id: str) -> None:
    """Write the SHA256SUMS of the files that a run has now."""
    place = folder_of(family, run_id)
    checksums.write(place, {path.relative_to(place).as_posix(): folders.sha256(path) for path in _files(place)})


def listed(family: str, run: "Run") -> bool:
    """Are the files of a run here, as far as their list says?"""
    return (folder_of(family, run.info.run_id) / checksums.SUMS).is_file()


def _files(folder: Path) -> list[Path]:
    return [path for path in checksums.files(folder) if path != folder / checksums.SUMS]
