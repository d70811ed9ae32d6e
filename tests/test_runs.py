"""MLflow's database as runs reads it: nothing where there is nothing yet, an error with the remedy where it cannot be read."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.lineage import links, steps
from pipelines.lineage import show as lineage_command
from pipelines.tracking import client, reader, tags

ID = "1" * 32
TABLES: dict[str, dict[str, object]] = {
    "alembic_version": {"version_num": "dc11669786a5"},
    "experiments": {"experiment_id": 1, "name": "digits"},
    "runs": {"run_uuid": ID, "experiment_id": 1, "start_time": 2000, "lifecycle_stage": "active"},
    "tags": {"run_uuid": ID, "key": tags.KEY, "value": "key"},
    "model_versions": {"name": "digits", "version": 1, "run_id": ID, "workspace": "default"},
    "model_version_tags": {"name": "digits", "version": 1, "workspace": "default", "key": tags.DIGEST, "value": "digest"},
    "registered_model_aliases": {"name": "digits", "alias": "champion", "version": 1},
}
READ: dict[str, Callable[[], object]] = {
    "found": lambda: reader.run(ID),
    "tagged": lambda: reader.tagged(tags.KEY, "key"),
    "of_training": lambda: reader.of_training("digits", "key"),
    "versions": lambda: reader.versions("digits"),
    "alias": lambda: reader.alias("digits", "champion"),
}
UNKNOWN = [(table, column) for table, columns in TABLES.items() for column in columns if table != "alembic_version"]


def sql(*statements: str) -> None:
    with closing(sqlite3.connect(reader.DATABASE)) as database, database:
        for statement in statements:
            database.execute(statement)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    reader.DATABASE.parent.mkdir()


@pytest.fixture
def database() -> None:
    """What runs reads of MLflow's tables, with one run that became version 1."""
    for name, row in TABLES.items():
        sql(f"CREATE TABLE {name} AS SELECT {', '.join(f'{value!r} AS {column}' for column, value in row.items())}")


def answers() -> list[object]:
    return [read() for read in READ.values()]


NOTHING = [None, [], None, {}, None]


@pytest.mark.usefixtures("database")
def test_a_run_is_read_with_its_version_and_alias() -> None:
    run = reader.Run(ID, "digits", 2.0, {tags.KEY: "key"})
    assert answers() == [run, [run], run, {1: (ID, "digest")}, 1]


@pytest.mark.parametrize(
    "made",
    [lambda: None, reader.DATABASE.touch, lambda: sql("CREATE TABLE other (name)")],
    ids=["no file", "an empty one", "tables of others"],
)
def test_before_mlflow_there_is_nothing(made: Callable[[], object]) -> None:
    made()
    assert answers() == NOTHING


@pytest.mark.usefixtures("database")
def test_a_run_that_is_not_there_is_none() -> None:
    sql("DELETE FROM runs", "DELETE FROM model_versions", "DELETE FROM registered_model_aliases")
    assert answers() == NOTHING


def faults() -> dict[str, str]:
    """What each function that raises says."""
    found = {}
    for name, read in READ.items():
        try:
            read()
        except reader.Unreadable as fault:
            found[name] = str(fault)
    return found


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(("table", "column"), UNKNOWN)
def test_an_unknown_column_is_no_absence(table: str, column: str) -> None:
    sql(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
    assert faults()
    for words in faults().values():
        assert re.search(rf"no such column: .*{column}|cannot join using column {column}", words)
        assert "mlruns/mlflow.db, MLflow's schema dc11669786a5" in words
        assert "mlflow db upgrade sqlite:///mlruns/mlflow.db" in words


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("table", sorted(set(TABLES) - {"alembic_version"}))
def test_an_unknown_table_is_no_absence(table: str) -> None:
    sql(f"DROP TABLE {table}", "DROP TABLE alembic_version")
    assert faults()
    for words in faults().values():
        assert f"schema unknown: no such table: {table}" in words


def test_every_table_that_is_read_is_known_as_mlflows() -> None:
    assert set(TABLES) == reader.TABLES


def test_a_file_that_is_no_database_is_named() -> None:
    reader.DATABASE.write_text("no database" * 100)
    assert faults().keys() == READ.keys()
    assert "mlruns/mlflow.db: file is not a database. Move it away" in faults()["found"]


@pytest.mark.usefixtures("database")
def test_a_locked_database_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PATIENCE", 0)
    with closing(sqlite3.connect(reader.DATABASE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert faults().keys() == READ.keys()
        assert "database is locked. Another process is writing it" in faults()["found"]


def test_a_creation_that_is_interrupted_leaves_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow makes its tables one after the other, and cannot go on from half of them."""

    def interrupted(database: Path) -> None:
        with closing(sqlite3.connect(database)) as half:
            half.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "_connected", interrupted)
    with pytest.raises(KeyboardInterrupt):
        client.client()
    assert [path.name for path in client.ROOT.iterdir()] == [".lock"]


@pytest.mark.usefixtures("database")
def test_a_link_whose_run_cannot_be_looked_up_is_broken() -> None:
    sql("ALTER TABLE tags RENAME COLUMN key TO other")
    link = steps.link("run", lambda: links._run({"family": "digits", "run": "key"}))
    assert (link.status, link.words[:11]) == (steps.BROKEN, "Unreadable:")
    with pytest.raises(reader.Unreadable, match=r"mlruns/mlflow\.db"):
        lineage_command.main(ID)


@pytest.mark.parametrize("name", ["a%20b", "a?b", "a#b é"])
def test_a_project_may_lie_in_a_folder_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    store = client.client()
    run = store.create_run(client.experiment(store, "digits")).info.run_id
    Path("some.txt").write_text("some")
    store.log_artifact(run, "some.txt")
    assert [found.path for found in store.list_artifacts(run)] == ["some.txt"]
    assert {path.name for path in Path("mlruns").iterdir()} == {".lock", "mlflow.db", "artifacts"}
    assert len(list(Path("mlruns", "artifacts", "digits", run).rglob("some.txt"))) == 1
