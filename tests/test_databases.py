"""Databases by URL: SQLite and a real PostgreSQL, migrated by several processes at once; what is said where one does not answer."""

import fcntl
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from pipelines import databases
from tests.conftest import ROOT
from tests.postgres import QUOTED, Cluster
from tests.services import free_port

FIRST = """
import time
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0001", None
def upgrade():
    time.sleep(0.2)
    op.create_table("books", sa.Column("title", sa.String(40), primary_key=True))
"""
SECOND = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = "0002", "0001"
def upgrade():
    op.add_column("books", sa.Column("pages", sa.Integer))
"""
MIGRATE = "import sys; from pathlib import Path; from pipelines import databases; databases.migrated(sys.argv[1], Path(sys.argv[2]))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "100 % books"
    folder.mkdir()
    (folder / "0001_books.py").write_text(FIRST)
    return folder


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/.store/books.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


def test_a_database_is_brought_to_the_newest_migration_and_keeps_what_it_holds(url: str, folder: Path) -> None:
    with databases.writing(databases.migrated(url, folder)) as connection:
        connection.execute(text("INSERT INTO books VALUES ('Optics')"))
    (folder / "0002_pages.py").write_text(SECOND)
    with databases.reading(databases.migrated(url, folder)) as connection:
        assert connection.execute(text("SELECT title, pages FROM books")).all() == [("Optics", None)]


@pytest.mark.slow
def test_processes_that_start_at_once_migrate_once(url: str, folder: Path) -> None:
    words = [sys.executable, "-c", MIGRATE, url, str(folder)]
    started = [subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in started] == [b""] * 3
    assert [process.returncode for process in started] == [0] * 3


def test_two_databases_are_migrated_at_once_in_one_process(tmp_path: Path, folder: Path) -> None:
    other, together = tmp_path / "shelves", threading.Barrier(2)
    other.mkdir()
    (other / "0001_shelves.py").write_text(FIRST.replace("books", "shelves"))

    def begun(words: Path) -> list[str]:
        together.wait(10)
        return inspect(databases.migrated(f"sqlite:///{tmp_path}/{words.name}.db", words)).get_table_names()

    with ThreadPoolExecutor(2) as pool:
        tables = pool.map(begun, (folder, other))
    assert [sorted(names) for names in tables] == [["100 % books_version", "books"], ["shelves", "shelves_version"]]


def test_a_migration_that_fails_leaves_nothing(url: str, folder: Path) -> None:
    (folder / "0002_broken.py").write_text(SECOND + "    op.drop_table('nowhere')\n")
    with pytest.raises(Exception, match="nowhere"):
        databases.migrated(url, folder)
    (folder / "0002_broken.py").write_text(SECOND)
    databases.migrated(url, folder)


def test_two_folders_share_a_database(url: str, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "shelves"
    other.mkdir()
    (other / "0001_shelves.py").write_text(FIRST.replace("books", "shelves"))
    databases.migrated(url, folder)
    databases.migrated(url, other)
    with databases.reading(databases.migrated(url, folder)) as connection:
        assert connection.execute(text("SELECT count(*) FROM shelves")).scalar() == 0


def test_a_newer_database_is_refused(url: str, folder: Path) -> None:
    (folder / "0002_pages.py").write_text(SECOND)
    databases.migrated(url, folder)
    (folder / "0002_pages.py").unlink()
    with pytest.raises(databases.NewerDatabase, match="newer version of this project"):
        databases.migrated(url, folder)


def test_writers_take_turns(url: str, folder: Path) -> None:
    """Each reads, then writes what it read and one more: without the lock at the start SQLite refuses all but one."""
    script = """
import sys; from sqlalchemy import text; from pipelines import databases
made = databases.engine(sys.argv[1])
for _ in range(20):
    with databases.writing(made) as connection:
        if made.dialect.name == "postgresql": connection.execute(text("LOCK TABLE books"))
        count = connection.execute(text("SELECT count(*) FROM books")).scalar()
        connection.execute(text("INSERT INTO books VALUES (:title)"), {"title": str(count)})
"""
    made = databases.migrated(url, folder)
    started = [subprocess.Popen([sys.executable, "-c", script, url], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] for process in started] == [b""] * 3
    with databases.reading(made) as connection:
        assert connection.execute(text("SELECT count(*) FROM books")).scalar() == 60


def test_what_a_transaction_began_is_undone_where_it_fails(url: str, folder: Path) -> None:
    made = databases.migrated(url, folder)
    with pytest.raises(IntegrityError), databases.writing(made) as connection:
        for _ in range(2):
            connection.execute(text("INSERT INTO books VALUES ('Optics')"))
    with databases.reading(made) as connection:
        assert connection.execute(text("SELECT count(*) FROM books")).scalar() == 0


def test_a_file_is_its_owners_alone(tmp_path: Path, folder: Path) -> None:
    databases.migrated(f"sqlite:///{tmp_path}/new/books.db", folder)
    assert stat.S_IMODE((tmp_path / "new/books.db").stat().st_mode) == 0o600


def test_naming_a_database_makes_none(tmp_path: Path) -> None:
    databases.engine(f"sqlite:///{tmp_path}/new/books.db")
    assert not (tmp_path / "new").exists()


def test_a_wrong_password_is_named_once_and_not_shown(cluster: Cluster, folder: Path) -> None:
    wrong = cluster.database().replace(QUOTED, "s3cret-w%40rd")
    with pytest.raises(databases.NoDatabase, match="authentication failed for user") as caught:
        databases.migrated(wrong, folder)
    assert "admin:***@127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_password_behind_the_question_mark_is_not_shown(folder: Path) -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/books?user=admin&password=s3cret"
    with pytest.raises(databases.NoDatabase, match="does not answer") as caught:
        databases.migrated(url, folder)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named(folder: Path) -> None:
    url = f"postgresql://admin:s3cret@127.0.0.1:{(port := free_port())}/books"
    with pytest.raises(databases.NoDatabase, match=f"127.0.0.1:{port}/books does not answer.*refused") as caught:
        databases.migrated(url, folder)
    assert "s3cret" not in str(caught.value)


def test_a_server_that_goes_away_is_named_in_the_next_transaction(cluster: Cluster, folder: Path) -> None:
    made = databases.migrated(url := cluster.database(), folder)
    other = databases.engine(url.rpartition("/")[0] + "/postgres")
    with (
        pytest.raises(databases.NoDatabase, match="does not answer"),
        databases.reading(made) as connection,
        databases.reading(other) as ending,
    ):
        here = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        ending.execute(text("SELECT pg_terminate_backend(:here)"), {"here": here})
        connection.execute(text("SELECT 1"))
    with databases.reading(made) as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1


def test_a_file_without_a_table_is_broken_and_nobody_waits_for_it(tmp_path: Path) -> None:
    made = databases.engine(f"sqlite:///{tmp_path}/books.db")
    with pytest.raises(databases.NoDatabase, match=r"no such table: books\. Move it away") as caught, databases.reading(made) as connection:
        connection.execute(text("SELECT * FROM books"))
    assert caught.value.reason == "broken"


def test_a_file_that_is_no_database_is_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "words.db").write_text("not a database, but words " * 100)
    with pytest.raises(databases.NoDatabase, match=r"words\.db does not answer: file is not a database"):
        databases.migrated(f"sqlite:///{tmp_path}/words.db", folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(databases.NoDatabase, match=r"file/books\.db does not answer"):
        databases.migrated(f"sqlite:///{tmp_path}/file/books.db", folder)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "books.db",
        "mysql://admin:s3cret@host/books",
        "postgresql+asyncpg://admin:s3cret@host/books",
        "postgresql://admin:s3cret@host:port/books",
    ],
)
def test_another_url_names_the_choices(url: str) -> None:
    with pytest.raises(databases.BadUrl, match="Choose sqlite:///<file>, or postgresql://") as caught:
        databases.engine(url)
    assert "s3cret" not in str(caught.value)


def test_a_second_connection_leaves_the_first_ones_lock_in_place(tmp_path: Path) -> None:
    """POSIX drops all locks of a process on a file as soon as it closes that file once."""
    made = databases.engine(f"sqlite:///{tmp_path}/books.db")
    write = f"import sqlite3; sqlite3.connect({str(tmp_path / 'books.db')!r}, timeout=0).execute('BEGIN IMMEDIATE')"
    with databases.writing(made):
        with databases.reading(made):
            pass
        other = subprocess.run([sys.executable, "-c", write], capture_output=True, text=True, check=False)
    assert "database is locked" in other.stderr
    assert subprocess.run([sys.executable, "-c", write], check=False).returncode == 0


def test_a_file_that_another_holds_is_named_whatever_is_asked_of_it(tmp_path: Path) -> None:
    made = databases.engine(f"sqlite:///{tmp_path}/books.db")
    databases.on_connect(made, lambda connection: connection.execute("PRAGMA busy_timeout = 20"))
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(databases.NoDatabase) as caught:
            databases.enable_wal(made)
    assert caught.value.reason == "locked"


def test_another_writer_is_waited_for_before_the_log_is_switched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite refuses this at once, whatever its timeout: of several processes that start with a new file one would fail."""
    made = databases.engine(f"sqlite:///{tmp_path}/books.db")
    with databases.writing(made) as connection:
        connection.execute(text("CREATE TABLE books (title TEXT)"))
    with closing(sqlite3.connect(tmp_path / "books.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(time, "sleep", lambda _: other.in_transaction and other.execute("COMMIT"))
        databases.enable_wal(made)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_one_process_makes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a second one would remove the log that the first has begun to write."""
    path, locked = tmp_path / "books.db", fcntl.flock

    def late(*words: int) -> None:
        locked(*words)
        monkeypatch.undo()  # while this process waits, another one makes the file, and has begun its log
        for name in ("books.db", "books.db-wal"):
            (tmp_path / name).touch()

    monkeypatch.setattr(fcntl, "flock", late)
    databases.engine(f"sqlite:///{path}").connect().close()
    assert Path(f"{path}-wal").exists()


def test_a_file_in_the_place_of_one_that_was_taken_away_inherits_nothing(tmp_path: Path) -> None:
    """SQLite would take the old file's log, and its index, for those of the new one."""
    path = tmp_path / "books.db"
    left = [Path(f"{path}-wal"), Path(f"{path}-shm")]
    for rest in left:
        rest.write_bytes(b"of another file")
    databases.engine(f"sqlite:///{path}").connect().close()
    assert [rest.exists() for rest in left] == [False, False]


@pytest.mark.parametrize("backup", [False, True], ids=["deleted", "replaced"])
def test_a_file_that_is_deleted_or_replaced_under_a_service_is_opened_anew(
    tmp_path: Path, folder: Path, backup: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(databases.logger, "error", lambda words, *values: said.append(words % values))
    url, path = f"sqlite:///{tmp_path}/some.db", tmp_path / "some.db"
    first, second = (databases.migrated(url, folder) for _ in range(2))
    put(first, "before")
    shutil.copy(path, tmp_path / "backup.db")
    put(second, "after")
    if backup:
        (tmp_path / "backup.db").replace(path)
    else:
        path.unlink()
    put(first, "later")
    assert found(second) == found(first) == (["before", "later"] if backup else ["later"])
    assert found(databases.migrated(url, folder)) == found(first)
    assert [line.split(" was ")[0] for line in said] == [str(path)] * 2  # once for each that had it open


def put(made: Engine, title: str) -> None:
    with databases.writing(made) as connection:
        connection.execute(text("INSERT INTO books (title) VALUES (:title)"), {"title": title})


def found(made: Engine) -> list[str]:
    with databases.reading(made) as connection:
        return [*connection.scalars(text("SELECT title FROM books ORDER BY title"))]


def test_sqlalchemy_waits_until_a_database_is_asked_for() -> None:
    script = "import sys; from pipelines import databases, predictions; predictions.Store().place; print('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "False\n"
