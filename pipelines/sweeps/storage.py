"""Where Optuna stores a study: a journal in .store/sweeps/ on one machine, PostgreSQL at SWEEPS_URL for several."""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipelines import databases, paths
from pipelines.errors import BadSetting

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

ROOT = paths.ROOT / "sweeps"  # <study>/
JOURNAL = "journal.log"
PATIENCE = 600  # seconds for a database that does not answer
INTERVAL = 1.0  # seconds between two attempts
T = TypeVar("T")


def folder(name: str) -> Path:
    """What this machine stores of a study: its journal and its trials."""
    return ROOT / name


def opened(name: str) -> "BaseStorage":
    """The storage of a study. Raises BadSetting or NoDatabase."""
    if url := os.environ.get("SWEEPS_URL"):
        return _database(url)
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = folder(name) / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _cut(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _cut(path: Path) -> None:
    """Remove an incomplete last line, which a full disk or a killed writer left: the next one would be written into it."""
    from optuna.storages.journal._file import JournalFileSymlinkLock, get_lock_file

    with get_lock_file(JournalFileSymlinkLock(str(path))), path.open("rb+") as journal:
        content = journal.read()
        journal.truncate(content.rfind(b"\n") + 1)


def _database(url: str) -> "BaseStorage":
    from optuna.storages import RDBStorage

    address = databases.parse_url(url)
    if address.drivername == "sqlite":
        raise BadSetting("SWEEPS_URL names SQLite, which is not for several machines. Name postgresql://..., or unset it for one machine.")
    with databases.reading(databases.engine(url)):  # raises NoDatabase
        options = {"pool_pre_ping": True, "connect_args": databases.TIMEOUTS}
        return RDBStorage(address.render_as_string(hide_password=False), options)


def patiently(call: Callable[[], T]) -> T:
    """The result of a call to the storage, repeated while its server does not answer. Raises NoDatabase after PATIENCE."""
    until, warned = time.monotonic() + PATIENCE, False
    while True:
        try:
            return call()
        except Exception as fault:
            if not _away(fault):
                raise
            if time.monotonic() > until:
                raise databases.NoDatabase(f"SWEEPS_URL has not answered for {PATIENCE} s. The same command resumes the sweep.") from fault
            if not warned:
                print("SWEEPS_URL does not answer: trials go on, and what they report is stored once it does.", file=sys.stderr)
            warned = True
            pause()


def pause() -> None:
    """Wait before the next attempt."""
    threading.Event().wait(INTERVAL)


def _away(fault: BaseException | None) -> bool:
    """Is this an error of a connection, or caused by one? SQLAlchemy's last one is of a connection that ended within a transaction."""
    names = {kind.__name__ for kind in type(fault).__mro__}
    lost = names & {"OperationalError", "InterfaceError", "PendingRollbackError"}
    return fault is not None and (bool(lost) or _away(fault.__cause__))
