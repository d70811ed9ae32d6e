"""SQL databases by URL, SQLite or PostgreSQL: engines, transactions, migrations, and errors with their remedy.

`sqlite:///.store/users.db` is a file of the project, `postgresql://name:password@host/database` a server. A password is never shown.
SQLAlchemy takes a fifth of a second to import, on first use.
"""

import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

logger = logging.getLogger("atelier.serving")
HERE = Path(__file__).parent
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgresql+psycopg": "postgresql+psycopg"}
CHOICES = "Choose sqlite:///<file>, or postgresql://<name>:<password>@<host>/<database>"
TIMEOUT = 5  # seconds for a server to answer
TIMEOUTS = {"connect_timeout": TIMEOUT, "tcp_user_timeout": 2000 * TIMEOUT, "keepalives_idle": TIMEOUT, "keepalives_interval": TIMEOUT}
LOCK_TIMEOUT = 30  # seconds to wait for another writer of a SQLite file
RETRY_INTERVAL = 0.01  # seconds
ADVISORY_LOCK = 0x41_54_45_4C  # PostgreSQL's lock of a migration: any number that all processes share
UPGRADING = threading.Lock()  # Alembic keeps its state in module globals: one migration at a time in a process

REASONS = {  # {reason: (prefixes of error names, the remedy)}
    "locked": (("SQLITE_BUSY", "SQLITE_LOCKED"), "Another process is writing it. Wait for it, or look for one that hangs."),
    "disk full": (("SQLITE_FULL", "DiskFull", "ENOSPC", "EDQUOT", "EFBIG"), "Free some space."),
    "read-only": (("SQLITE_READONLY", "SQLITE_PERM", "ReadOnlySqlTransaction", "EROFS", "EACCES", "EPERM"), "May this user write it?"),
    "disk error": (("SQLITE_IOERR",), "Check the space on its disk, and the disk."),
    "broken": (("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"), "Move it away with its -wal and -shm files, or restore a backup."),
}
Clock = Callable[[], float]  # seconds since 1970


class NoDatabase(ConnectionError):
    """A database that cannot be reached, opened, read or written; `reason` is a key of REASONS, or "away" where it cannot be reached."""

    def __init__(self, words: str, reason: str = "away") -> None:
        super().__init__(words)
        self.reason = reason


class BadUrl(ValueError):
    """An address that is neither SQLite nor PostgreSQL."""


class NewerDatabase(RuntimeError):
    """A database that a newer version of this project has migrated."""


def engine(url: str) -> "Engine":
    """An engine for this URL, not connected yet. Raises BadUrl."""
    from sqlalchemy import create_engine

    address = parse_url(url)
    if address.drivername == "sqlite":
        return _file(address)
    return create_engine(address, connect_args=TIMEOUTS, pool_pre_ping=True, hide_parameters=True)


def parse_url(url: str) -> "URL":
    """The address with this project's driver. Raises BadUrl."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise BadUrl(f"This is not the URL of a database (not shown, as it may hold a password). {CHOICES}.") from error
    if address.drivername not in DRIVERS:
        raise BadUrl(f"{address.drivername}:// is not supported. {CHOICES}.")
    return address.set(drivername=DRIVERS[address.drivername])


def without_password(address: "URL") -> str:
    """The address to show: no password, and no query, which may hold one."""
    return address.set(query={}).render_as_string(hide_password=True)


def _file(address: "URL") -> "Engine":
    """SQLite with transactions that begin with SQLAlchemy's: its Python driver begins them later, and none for CREATE TABLE."""
    from sqlalchemy import create_engine, event

    made = create_engine(address, connect_args={"timeout": LOCK_TIMEOUT}, hide_parameters=True)
    path = Path(address.database or "")

    @event.listens_for(made, "do_connect")
    def prepare(*_: Any) -> None:
        if not path.exists():  # an existing file is not opened: closing it would drop SQLite's locks
            _create(path)

    @event.listens_for(made, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(made, "begin")
    def begun(connection: "Connection") -> None:
        options = connection.get_execution_options()
        if options.get("writing"):
            _patiently(connection.connection.cursor(), "BEGIN IMMEDIATE", options.get("patience", 0))
        else:
            connection.exec_driver_sql("BEGIN")

    return made


def _create(path: Path) -> None:
    """An empty private file, as it may hold names of people, without what is left of a removed one; one process at a time makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        if not path.exists():
            for rest in ("-wal", "-shm"):
                Path(f"{path}{rest}").unlink(missing_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    finally:
        os.close(folder)


def on_connect(made: "Engine", prepare: Callable[[Any], None]) -> None:
    """Prepare every new connection of the driver."""
    from sqlalchemy import event

    event.listen(made, "connect", lambda connection, _: prepare(connection))


def enable_wal(made: "Engine") -> None:
    """Switch a SQLite file to write-ahead logging: readers never wait, and a commit is one write."""
    with translated_errors(made.url):
        connection = made.raw_connection()
        try:
            _patiently(connection.cursor(), "PRAGMA journal_mode = WAL")
        finally:
            connection.close()


def _patiently(cursor: Any, statement: str, seconds: float = 0) -> None:
    """Wait for another process as long as for any lock, or longer: SQLite itself does not while one switches the log.

    Raises sqlite3.OperationalError.
    """
    (milliseconds,) = cursor.execute("PRAGMA busy_timeout").fetchone()
    until = time.monotonic() + max(milliseconds / 1000, seconds)
    while True:
        try:
            cursor.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if reason(error) != "locked" or time.monotonic() > until:
                raise
            time.sleep(RETRY_INTERVAL)


@contextmanager
def writing(engine: "Engine") -> Iterator["Connection"]:
    """A transaction that writes: SQLite takes the writer's lock at its start. Raises NoDatabase."""
    with translated_errors(engine.url), engine.connect().execution_options(writing=True) as connection, connection.begin():
        yield connection


@contextmanager
def reading(engine: "Engine") -> Iterator["Connection"]:
    """A transaction that only reads. Raises NoDatabase."""
    with translated_errors(engine.url), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def translated_errors(address: "URL") -> Iterator[None]:
    """Raises NoDatabase for errors of the server, the network or the file."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        fault = (error.orig or error) if isinstance(error, DBAPIError) else error
        kinds = {kind.__name__ for kind in type(fault).__mro__}
        if kinds & {"OperationalError", "ReadOnlySqlTransaction"} or type(fault).__name__ == "DatabaseError":  # SQLite's of a broken file
            raise _no_database(address, fault) from None
        raise
    except OSError as error:
        raise _no_database(address, error) from None


def _no_database(address: "URL", error: BaseException) -> NoDatabase:
    words, why = " ".join(str(error).split()), reason(error)
    if address.password:
        words = words.replace(str(address.password), "***")
    remedy = REASONS[why][1] if why in REASONS else "Is it there, and may this user write it?"
    if "authentication failed" in words:
        remedy = "Check the name and the password in its URL."
    return NoDatabase(f"The database {without_password(address)} does not answer: {words.rstrip('.?')}. {remedy}", why)


def reason(error: BaseException) -> str:
    """The key of REASONS for an error, by SQLite's, the system's or PostgreSQL's name of it; else "away"."""
    number = getattr(error, "errno", None)
    name = getattr(error, "sqlite_errorname", None) or (errno.errorcode.get(number, "") if number else type(error).__name__)
    return next((known for known, (names, _) in REASONS.items() if name.startswith(names)), "away")


def migrated(url: str, folder: Path) -> "Engine":
    """An engine of a database that is migrated to the newest of Alembic's revisions in `folder`.

    The current revision is in the table `<name of the folder>_version`: two folders may share a database. One process migrates at a time.
    Raises BadUrl, NoDatabase or NewerDatabase.
    """
    made = engine(url)
    migrate(made, folder)
    if made.dialect.name == "sqlite":
        _reopen_replaced(made, url, folder)
    return made


def _reopen_replaced(made: "Engine", url: str, folder: Path) -> None:
    """Notice at each use where the file was deleted or replaced: what is open is then in no folder, and is lost at the end."""
    from sqlalchemy import event
    from sqlalchemy.exc import InvalidatePoolError

    path, lock = Path(made.url.database or ""), threading.Lock()
    known = [_identity(path)]

    @event.listens_for(made, "checkout")
    def check(*_: Any) -> None:
        if _identity(path) == known[0]:
            return
        with lock:
            if _identity(path) != known[0]:
                logger.error("%s was deleted or replaced while it was open; what is there now is opened, or an empty one made", path)
                fresh = engine(url)
                migrate(fresh, folder)
                fresh.dispose()
                known[0] = _identity(path)
        raise InvalidatePoolError  # no connection to the old file is used again


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode; None where there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def migrate(made: "Engine", folder: Path) -> None:
    """Migrate a database that is open already, as migrated() does; while another process migrates it, wait for LOCK_TIMEOUT."""
    import alembic.command  # noqa: F401 (seconds on a busy machine, in which nobody else should wait)

    with writing(made.execution_options(patience=LOCK_TIMEOUT)) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (ADVISORY_LOCK,))
        _upgrade(connection, folder)


def _upgrade(connection: "Connection", folder: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    words = Config(attributes={"connection": connection, "version_table": f"{folder.name}_version"})
    words.set_main_option("script_location", str(HERE / "migrations").replace("%", "%%"))
    words.set_main_option("version_locations", str(folder.absolute()).replace("%", "%%"))
    words.set_main_option("path_separator", "newline")
    try:
        with UPGRADING:
            command.upgrade(words, "head")
    except CommandError as error:
        raise NewerDatabase(
            f"The database {without_password(connection.engine.url)} was changed by a newer version of this project ({error}). "
            "Use that version, or another database."
        ) from error
