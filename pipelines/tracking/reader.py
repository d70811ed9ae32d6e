"""MLflow's runs, versions and alias, read from its database without MLflow (3 s to import).

The tables are those of the MLflow in requirements.lock; a test compares this with MLflow's own answers. Where a table or column is
unknown, or the file cannot be read, every function raises Unreadable: None and [] always mean that there is none.
"""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import databases
from pipelines.tracking import tags

DATABASE = Path("mlruns/mlflow.db")
RUNS = """
    SELECT r.run_uuid, e.name, r.start_time FROM runs r JOIN experiments e USING (experiment_id)
    WHERE r.lifecycle_stage = 'active' AND r.run_uuid IN (SELECT run_uuid FROM tags WHERE key = ? AND value = ?) ORDER BY r.start_time
"""
RUN = """
    SELECT r.run_uuid, e.name, r.start_time FROM runs r JOIN experiments e USING (experiment_id)
    WHERE r.lifecycle_stage = 'active' AND r.run_uuid = ?
"""
VERSIONS = """
    SELECT v.version, v.run_id, t.value FROM model_versions v JOIN model_version_tags t USING (name, version, workspace)
    WHERE v.name = ? AND t.key = ? ORDER BY v.version
"""
TABLES = {"alembic_version", "experiments", "runs", "tags", "model_versions", "model_version_tags", "registered_model_aliases"}
PATIENCE = 5  # seconds for another process that writes
AGAIN = "`make ui` makes it again from ledgers and model folders."


class Unreadable(ValueError):
    """MLflow's database has other tables, is broken or locked."""


class Run(NamedTuple):
    """A run: its id, the family whose experiment holds it, when it began (seconds since 1970), and its tags."""

    id: str
    family: str
    started: float
    tags: dict[str, str]


def run(run_id: str) -> Run | None:
    """The run of this id."""
    return next(iter(_runs(RUN, run_id)), None)


def tagged(name: str, value: str) -> list[Run]:
    """Every run with this tag, oldest first."""
    return _runs(RUNS, name, value)


def of_training(family: str, key: str) -> Run | None:
    """The run of the training with this key."""
    return next((run for run in tagged(tags.KEY, key) if run.family == family), None)


def versions(family: str) -> dict[int, tuple[str, str]]:
    """{version: (run id, digest)} of the family's registered model."""
    rows = _rows(VERSIONS, family, tags.DIGEST)
    return {int(number): (run_id, digest) for number, run_id, digest in rows}


def alias(family: str, name: str) -> int | None:
    """The version that an alias of the family's registered model names."""
    rows = _rows("SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?", family, name)
    return int(rows[0][0]) if rows else None


def _runs(query: str, *values: str) -> list[Run]:
    rows = _rows(query, *values)
    return [
        Run(id, family, (started or 0) / 1000, dict(_rows("SELECT key, value FROM tags WHERE run_uuid = ?", id)))
        for id, family, started in rows
    ]


def _rows(query: str, *values: str) -> list[tuple[Any, ...]]:
    """No rows where there is no database yet, or none of MLflow's tables: reconciling makes them. Raises Unreadable."""
    try:
        return _read(query, *values)
    except sqlite3.Error as fault:
        raise _explained(fault) from fault


def _read(query: str, *values: str) -> list[tuple[Any, ...]]:
    if not DATABASE.exists():
        return []
    with closing(sqlite3.connect(f"{DATABASE.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return database.execute(query, values).fetchall() if tables & TABLES else []


def _explained(fault: sqlite3.Error) -> Unreadable:
    if getattr(fault, "sqlite_errorname", "") == "SQLITE_ERROR":
        remedy = f"Use the MLflow of requirements.lock; `mlflow db upgrade sqlite:///{DATABASE}` upgrades older tables, or {AGAIN}"
        return Unreadable(f"{DATABASE}, MLflow's schema {_schema()}: {fault}. {remedy}")
    reason = databases.reason(fault)
    _, remedy = databases.REASONS.get(reason, ((), "May this user read it?"))
    return Unreadable(f"{DATABASE}: {fault}. {remedy}{f' {AGAIN}' if reason == 'broken' else ''}")


def _schema() -> str:
    """MLflow's schema revision."""
    with suppress(sqlite3.Error, IndexError):
        return str(_read("SELECT version_num FROM alembic_version")[0][0])
    return "unknown"
