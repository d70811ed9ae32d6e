"""MLflow's runs, versions and alias as they stand in its database, read without MLflow (3 s to import): for what only looks.

The tables are those of the MLflow in requirements.lock; a test holds what is read here against MLflow's own answers.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

DATABASE = Path("mlruns/mlflow.db")
KEY, DIGEST, DATA, DVC, DATA_DVC = "atelier.key", "atelier.digest", "atelier.data", "atelier.dvc", "atelier.data_dvc"
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


class Run(NamedTuple):
    """A run: its id, the family whose experiment holds it, when it began (seconds since 1970), and its tags."""

    id: str
    family: str
    started: float
    tags: dict[str, str]


def found(run_id: str) -> Run | None:
    """The run of this id."""
    return next(iter(_runs(RUN, run_id)), None)


def tagged(name: str, value: str) -> list[Run]:
    """Every run that carries this tag, oldest first."""
    return _runs(RUNS, name, value)


def of_training(family: str, key: str) -> Run | None:
    """The run of the training with this key."""
    return next((run for run in tagged(KEY, key) if run.family == family), None)


def versions(family: str) -> dict[int, tuple[str, str]]:
    """{version: (run id, digest)} of the family's registered model."""
    rows = _rows(VERSIONS, family, DIGEST)
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
    """Nothing where there is no database yet, or none of MLflow's: reconciling makes it, or says what is wrong with it."""
    try:
        with closing(sqlite3.connect(f"{DATABASE.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
