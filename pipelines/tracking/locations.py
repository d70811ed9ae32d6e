"""Where MLflow looks for the files of its runs.

Its database holds absolute addresses, which lead elsewhere once the project's folder was moved, renamed or copied.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

COLUMNS = (  # those that hold an address below mlruns/artifacts/
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
EXPERIMENTS = "SELECT artifact_location, '/' || name FROM experiments"
RUNS = "SELECT r.artifact_uri, '/' || e.name || '/' || r.run_uuid || '/artifacts' FROM runs r JOIN experiments e USING (experiment_id)"
PATIENCE = 30  # seconds for another process that writes


def mend(root: Path) -> list[str]:
    """Make every address in root/mlflow.db lead to root/artifacts, in one transaction; the folders that they led to."""
    with closing(sqlite3.connect(root / "mlflow.db", timeout=PATIENCE)) as database, database:
        found = sorted(_elsewhere(database, root))
        for old in found:
            for table, column in COLUMNS:
                query = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"  # noqa: S608  (constants)
                database.execute(query, (_artifacts(root), len(old) + 1, len(old) + 1, f"{old}/"))
    return [_path(old) for old in found]


def elsewhere(root: Path) -> list[str]:
    """The folders, other than root/artifacts, where MLflow looks; none where its database is not here or cannot be read."""
    file = root / "mlflow.db"
    with suppress(sqlite3.Error):
        if file.exists():
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as database:
                return [_path(old) for old in sorted(_elsewhere(database, root))]
    return []


def _elsewhere(database: sqlite3.Connection, root: Path) -> set[str]:
    return {base for base in _bases(database) if base != _artifacts(root) and not _same(Path(_path(base)), root / "artifacts")}


def _bases(database: sqlite3.Connection) -> Iterator[str]:
    """file:///.../mlruns/artifacts of every experiment and run that is laid out as this project does."""
    for query in (EXPERIMENTS, RUNS):
        for address, end in database.execute(query):
            if address and address.startswith("file://") and address.endswith(f"/artifacts{end}"):
                yield address.removesuffix(end)


def _artifacts(root: Path) -> str:
    return (root / "artifacts").absolute().as_uri()


def _path(address: str) -> str:
    return url2pathname(urlsplit(address).path)


def _same(one: Path, other: Path) -> bool:
    """Is this one folder under two names, such as through a symbolic link?"""
    return one.exists() and other.exists() and one.samefile(other)
