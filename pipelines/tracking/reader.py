"""MLflow's runs, versions and alias, read from its database without MLflow (3 s to import).

The tables are those of the MLflow in requirements.lock; a test compares this with MLflow's own answers. Where a table or column is
unknown, or the file cannot be read, every function raises Unreadable: None and [] always mean that there is none.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
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
OUTDATED = ("schema", "revision")  # words of MLflow's, or Alembic's, error where another MLflow has made the database
AGAIN = "`make ui` makes it again from ledgers and model folders."


class Unreadable(ValueError):
    """MLflow's database has other tables, is broken or locked."""


class Run(NamedTuple):
    """A run: its id, the family whose experiment holds it, when it began (seconds since 1970), and its tags."""

    id: str
    family: str
    started: float
    tags: dict[str, str]


def check() -> None:
    """Raises Unreadable where the database is damaged or locked: MLflow itself would try a locked one again for minutes."""
    _rows("SELECT version_num FROM alembic_version")


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


@contextmanager
def explained() -> Iterator[None]:
    """Raises Unreadable where a library, such as MLflow itself, cannot use the database."""
    try:
        yield
    except Exception as fault:
        if unreadable := _unreadable(fault):
            raise unreadable from fault
        raise


def _unreadable(fault: Exception) -> Unreadable | None:
    """What a foreign error, or one of its causes, says of the database; None where it says nothing."""
    cause: BaseException | None = fault
    while cause and not isinstance(cause, sqlite3.Error):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, sqlite3.Error) and not isinstance(fault, Unreadable):
        return _explained(cause)
    foreign = type(fault).__module__.startswith(("mlflow", "alembic"))
    return _other_schema(fault) if foreign and any(word in str(fault) for word in OUTDATED) else None


def _other_schema(fault: Exception) -> Unreadable:
    older = f"`mlflow db upgrade sqlite:///{DATABASE}` upgrades an older one; or move mlruns/ away, and {AGAIN}"
    words = str(fault).splitlines()[0].split(". ")[0]
    return Unreadable(f"{DATABASE}, MLflow's schema {_schema()}: {words}. Use the MLflow of requirements.lock; {older}")


def _explained(fault: sqlite3.Error) -> Unreadable:
    if getattr(fault, "sqlite_errorname", "") == "SQLITE_ERROR":
        return _other_schema(fault)
    reason = databases.reason(fault)
    _, remedy = databases.REASONS.get(reason, ((), "May this user read it?"))
    return Unreadable(f"{DATABASE}: {fault}. {remedy}{f' {AGAIN}' if reason == 'broken' else ''}")


def _schema() -> str:
    """MLflow's schema revision."""
    with suppress(sqlite3.Error, IndexError):
        return str(_read("SELECT version_num FROM alembic_version")[0][0])
    return "unknown"
