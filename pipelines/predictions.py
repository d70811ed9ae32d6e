"""The prediction store: every answer by its id, with the hash of its input and its model, in SQLite or, at PREDICTIONS_URL, PostgreSQL.

Each row carries the SHA-256 of its own values, which shows alterations.
"""
# ruff: noqa: S608  (statements are put together from constants of this module; values are always bound)

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import databases, folders, paths

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

MIGRATIONS = Path(__file__).parent / "migrations" / "predictions"
DIGITS = 6  # of a fraction: SQLite, PostgreSQL and JSON return them unchanged
AT_ONCE = 1000  # rows written, deleted or read at once
LAST = 2**63 - 1  # above every row's number
ALTERED = "a row is not what was written: its hash does not match"
PATIENCE_MS = 2000  # for another writer of a SQLite file
SHARED = {"id": str, "family": str, "time": str}
COLUMNS: dict[str, dict[str, type]] = {  # {table: {column: type}}, without `number`, the order of insertion, and `hash`
    "predictions": {**SHARED, "version": int, "digest": str, "input": str, "output": str, "milliseconds": float},
    "comparisons": {
        **SHARED,
        **{"champion": str, "challenger": str, "agrees": bool, "confidence": float},
        **{"milliseconds": float, "champion_milliseconds": float},
    },
}
Row = dict[str, Any]
"""Of `predictions`: `id` (32 hexadecimal digits, the answer's prediction_id), `family`, `time` (UTC, "2026-11-20T22:49:53Z"), `version`
and `digest` of the model, `input` (SHA-256 of the file or JSON that was sent), `output` (the answer's JSON), `milliseconds` to answer. Of
`comparisons`: `id` of the prediction, `champion` and `challenger` (digests), whether the challenger `agrees`, its `confidence` (or None)
and `milliseconds`, and the champion's."""


def url() -> str:
    """The address of the prediction store."""
    return os.environ.get("PREDICTIONS_URL") or f"sqlite:///{paths.ROOT}/predictions.db"


def new_id() -> str:
    """An id for an answer: a UUID of version 7 (RFC 9562) as 32 hexadecimal digits. Its leading time keeps inserts local in the index."""
    bits = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return f"{bits & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62:032x}"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as times are stored: UTC, such as 2026-11-20T22:49:53Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Store:
    """Predictions of all families. The database is opened on first use, and created on the first write.

    Every method raises databases.NoDatabase where the database does not answer, BadUrl for another kind of address; writing raises
    NewerDatabase too.
    """

    def __init__(self, address: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.address, self.clock = address or url(), clock
        self._file: tuple[int, int] | None = None  # device and inode when last used
        self._migrated = False
        self._agreed: tuple[Any, Row] = None, {}  # the last agreement(): its key and result

    @property
    def place(self) -> str:
        """The address without password. Raises BadUrl."""
        file = self.address.startswith("sqlite:///")
        return self.address.partition("?")[0] if file else databases.without_password(databases.parse_url(self.address))

    # Writing

    def add(self, rows: Sequence[Row], inputs: Mapping[str, bytes] | None = None) -> None:
        """Insert predictions, and inputs by their SHA-256, in one transaction; existing ones stay."""
        with databases.writing(self._written) as connection:
            _insert(connection, "predictions", rows)
            _insert_inputs(connection, inputs or {})

    def compare(self, rows: Sequence[Row]) -> None:
        """Insert comparisons, at most one of each prediction with each challenger, in one transaction."""
        with databases.writing(self._written) as connection:
            _insert(connection, "comparisons", rows)

    def prune(self, family: str, days: float) -> int:
        """Delete rows older than `days`, and their inputs; return the number of predictions deleted.

        Only rows before the first younger one: rows written while the clock was behind are not deleted too soon.
        """
        now = self.clock()
        asked = {"family": family, "limit": timestamp(now - days * 86_400), "now": timestamp(now)}
        pruned = self._prune_table("predictions", asked)
        self._prune_table("comparisons", asked)
        self._sweep()
        return pruned

    def _prune_table(self, table: str, asked: Row) -> int:
        """Delete AT_ONCE rows at a time, so that other processes can write in between; how many."""
        young = f"SELECT number FROM {table} WHERE family = :family AND time BETWEEN :limit AND :now ORDER BY number LIMIT 1"
        (first,) = next(self._select(young, asked), (LAST,))
        old, pruned, asked = "family = :family AND time < :limit AND number", 0, {**asked, "first": first}
        chosen = f"SELECT max(number) FROM (SELECT number FROM {table} WHERE {old} < :first ORDER BY number LIMIT {AT_ONCE}) AS chosen"
        while (last := next(self._select(chosen, asked), (None,))[0]) is not None:
            pruned += self._execute(f"DELETE FROM {table} WHERE {old} <= :last", {**asked, "last": last})
        return pruned

    def forget(self, name: str) -> int:
        """Delete the rows of this id and their inputs, or the input with this SHA-256, as faults() names them; how many."""
        named = {"name": name}
        rows = sum(self._execute(f"DELETE FROM {table} WHERE id = :name", named) for table in COLUMNS)
        inputs = self._execute("DELETE FROM inputs WHERE sha256 = :name", named)
        self._sweep()
        return rows + inputs

    def _sweep(self) -> None:
        """Delete inputs that no prediction names. The lock keeps PostgreSQL's other writers from naming one meanwhile."""
        unnamed = "NOT EXISTS (SELECT 1 FROM predictions WHERE predictions.input = inputs.sha256)"
        chosen = [sha256 for (sha256,) in self._select(f"SELECT sha256 FROM inputs WHERE {unnamed}", {})]
        for begin in range(0, len(chosen), AT_ONCE):
            with databases.writing(self._written) as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql("LOCK TABLE inputs IN SHARE ROW EXCLUSIVE MODE")
                some = tuple(chosen[begin : begin + AT_ONCE])
                places = ", ".join([_placeholder(connection)] * len(some))
                connection.exec_driver_sql(f"DELETE FROM inputs WHERE {unnamed} AND sha256 IN ({places})", some)

    def _execute(self, words: str, values: Row) -> int:
        from sqlalchemy import text

        with databases.writing(self._written) as connection:
            return int(connection.execute(text(words), values).rowcount)

    # Reading

    def find(self, id: str) -> Row | None:
        """The prediction of this id, with its `hash`; None where it was not recorded, or is deleted."""
        return next(self._rows("predictions", "WHERE id = :id", {"id": id}), None)

    def rows(self, family: str | None = None) -> Iterator[Row]:
        """The predictions of a family, or of all, in the order of insertion."""
        return self._rows("predictions", "WHERE family = :family" if family else "", {"family": family} if family else {})

    def comparisons(self, family: str) -> Iterator[Row]:
        """The comparisons of a family, in the order of insertion."""
        return self._rows("comparisons", "WHERE family = :family", {"family": family})

    def disagreeing(self, ids: Collection[str]) -> set[str]:
        """Those of the predictions that a challenger answered differently."""
        asked = {f"id{number}": id for number, id in enumerate(ids)}
        places = ", ".join(f":{name}" for name in asked)
        return {id for (id,) in self._select(f"SELECT DISTINCT id FROM comparisons WHERE NOT agrees AND id IN ({places})", asked)}

    def input(self, sha256: str) -> bytes | None:
        """The input with this SHA-256, where it is stored."""
        return next((content for _, content in self._inputs("WHERE sha256 = :sha256", {"sha256": sha256})), None)

    def agreement(self, family: str, champion: str, challenger: str) -> Row:
        """How a challenger's answers compare with the champion's, by digest; cached while the first and last comparison are the same.

        {"samples", "agreement": share of them, "champion_ms" and "challenger_ms": means, "confidence": the challenger's mean}; all but
        `samples` None where there is no sample, `confidence` also where no answer has one.
        """
        asked = {"family": family, "champion": champion, "challenger": challenger}
        chosen = "FROM comparisons WHERE family = :family AND champion = :champion AND challenger = :challenger"
        ends = next(self._select(f"SELECT (SELECT min(number) {chosen}), (SELECT max(number) {chosen})", asked), None)
        known = (*asked.values(), ends)
        if self._agreed[0] != known:
            self._agreed = known, self._agreement(chosen, asked)
        return self._agreed[1]

    def _agreement(self, chosen: str, asked: Row) -> Row:
        figures = ("avg(CASE WHEN agrees THEN 1.0 ELSE 0.0 END)", "avg(champion_milliseconds)", "avg(milliseconds)", "avg(confidence)")
        samples, *means = next(self._select(f"SELECT count(*), {', '.join(figures)} {chosen}", asked), (0, None, None, None, None))
        floats = (None if mean is None else float(mean) for mean in means)
        return {"samples": int(samples), **dict(zip(("agreement", "champion_ms", "challenger_ms", "confidence"), floats, strict=True))}

    def faults(self) -> Iterator[tuple[str, str]]:
        """(id, words) of every altered row; the id is "" where SQLite finds its file broken."""
        if self.address.startswith("sqlite"):
            yield from (("", f"{self.place}: {words}") for (words,) in self._select("PRAGMA integrity_check", {}) if words != "ok")
        for table in COLUMNS:
            yield from ((row["id"], f"{table}: {ALTERED}") for row in self._rows(table) if altered(row, table))
        for sha256, content in self._inputs():
            if hashlib.sha256(content).hexdigest() != sha256:
                yield sha256, f"inputs: the input stored as {sha256[:12]} has another hash"

    def _rows(self, table: str, which: str = "", asked: Row | None = None) -> Iterator[Row]:
        names = [*COLUMNS[table], "hash"]
        for values in self._select(f"SELECT {', '.join(names)} FROM {table} {which} ORDER BY number", asked or {}):
            row = dict(zip(names, values, strict=True))
            yield row | ({"agrees": bool(row["agrees"])} if "agrees" in row else {})  # SQLite has 0 and 1

    def _inputs(self, which: str = "", asked: Row | None = None) -> Iterator[tuple[str, bytes]]:
        found = self._select(f"SELECT sha256, content FROM inputs {which} ORDER BY sha256", asked or {})
        return ((sha256, content if isinstance(content, bytes) else b"") for sha256, content in found)  # a flipped bit can make it text

    def _select(self, words: str, asked: Row) -> Iterator[Any]:
        """The rows of a query; none where nothing was ever recorded."""
        from sqlalchemy import inspect, text

        engine = self._engine
        if engine.dialect.name == "sqlite" and self._file is None:
            return
        with databases.reading(engine) as connection:
            if inspect(connection).has_table("comparisons"):
                yield from connection.execution_options(yield_per=AT_ONCE).execute(text(words), asked)

    # The database

    @cached_property
    def _opened(self) -> "Engine":
        made = databases.engine(self.address)
        if made.dialect.name == "sqlite":
            databases.on_connect(made, _configure)
        return made

    @property
    def _engine(self) -> "Engine":
        """The engine, its connections closed where the SQLite file was removed or replaced, as writes to the old file would be lost."""
        file = _file(self._opened.url)
        if file != self._file:
            self._opened.dispose()
            self._file, self._migrated = file, False
        return self._opened

    @property
    def _written(self) -> "Engine":
        """The engine for writing: its tables are migrated first."""
        engine = self._engine
        if not self._migrated:
            databases.migrate(engine, MIGRATIONS)
            if engine.dialect.name == "sqlite":
                databases.enable_wal(engine)
            self._file, self._migrated = _file(engine.url), True
        return engine

    def close(self) -> None:
        """Close all connections, which merges SQLite's write-ahead log into its file."""
        if "_opened" in self.__dict__:
            self._opened.dispose()


def _file(address: "URL") -> tuple[int, int] | None:
    """Device and inode of a SQLite file; None where there is none. Raises NoDatabase."""
    if address.drivername == "sqlite":
        with databases.translated_errors(address), suppress(FileNotFoundError, NotADirectoryError):
            found = Path(address.database or "").stat()
            return found.st_dev, found.st_ino
    return None


def _configure(connection: Any) -> None:
    """Set up a SQLite connection: commits survive the process, not a power cut; damaged text can be read."""
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")  # first: the next statement may wait too
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.text_factory = lambda content: content.decode(errors="replace")


def hashed(table: str, row: Row) -> Row:
    """A row as stored: values rounded, and the SHA-256 of their canonical JSON added as `hash`. Raises KeyError or ValueError."""
    stored = {name: None if row[name] is None else kind(row[name]) for name, kind in COLUMNS[table].items()}
    stored |= {name: round(value, DIGITS) for name, value in stored.items() if isinstance(value, float)}
    return {**stored, "hash": folders.hash_of(stored)}


def altered(row: Row, table: str = "predictions") -> bool:
    """Does the hash in this row, as read, differ from that of its values?"""
    try:
        return bool(folders.hash_of({name: row[name] for name in COLUMNS[table]}) != row["hash"])
    except (TypeError, ValueError):  # a value of another type, or not finite
        return True


def _insert(connection: "Connection", table: str, rows: Sequence[Row]) -> None:
    _insert_values(connection, table, [*COLUMNS[table], "hash"], [tuple(hashed(table, row).values()) for row in rows])


def _insert_inputs(connection: "Connection", inputs: Mapping[str, bytes]) -> None:
    """Sorted, so that concurrent writers on PostgreSQL do not deadlock."""
    _insert_values(connection, "inputs", ["sha256", "content"], sorted(inputs.items()))


def _insert_values(connection: "Connection", table: str, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
    """Many rows in one statement, which is faster under load."""
    places = f"({', '.join([_placeholder(connection)] * len(names))})"
    for begin in range(0, len(values), AT_ONCE):
        some = values[begin : begin + AT_ONCE]
        words = f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([places] * len(some))} ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(words, tuple(chain.from_iterable(some)))


def _placeholder(connection: "Connection") -> str:
    """The driver's placeholder of a bound value."""
    return "?" if connection.dialect.name == "sqlite" else "%s"
