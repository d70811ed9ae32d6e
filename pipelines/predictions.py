"""Predictions: every answer that was given, by its id, with what it was given for and by which model; in SQL.

SQLite in .store/predictions.db, or PostgreSQL at PREDICTIONS_URL. Each row carries the SHA-256 of its own values, so that one that was
changed is found.
"""
# ruff: noqa: S608  (what is put together into statements are names that stand here; values are always bound)

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, lru_cache
from itertools import chain
from json.encoder import encode_basestring
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines import databases, folders, paths

if TYPE_CHECKING:  # SQLAlchemy takes a fifth of a second: who only asks where predictions are need not wait
    from sqlalchemy import URL, Connection, Engine

MIGRATIONS = Path(__file__).parent / "migrations" / "predictions"
DIGITS = 6  # of a fraction: what SQLite, PostgreSQL and JSON all give back as it was
AT_ONCE = 1000  # rows that are written, deleted or read in one go
LAST = 2**63 - 1  # no row has a number beyond it
ALTERED = "a row is not what was written: its hash does not fit"
PATIENCE_MS = 2000  # for another writer of a SQLite file
KINDS: dict[str, dict[str, type]] = {  # {table: {column: type}}, beside `number`, the order in which rows came, and `hash`
    "predictions": {
        "id": str,
        "family": str,
        "time": str,
        "version": int,
        "digest": str,
        "input": str,
        "output": str,
        "milliseconds": float,
    },
    "comparisons": {
        "id": str,
        "family": str,
        "time": str,
        "champion": str,
        "challenger": str,
        "agrees": bool,
        "confidence": float,
        "milliseconds": float,
        "champion_milliseconds": float,
    },
}
Row = dict[str, Any]
"""Of `predictions`: `id` (32 hexadecimal digits, the answer's prediction_id), `family`, `time` (UTC, "2026-11-20T22:49:53Z"), `version`
and `digest` of the model, `input` (SHA-256 of what was sent: the file, or the JSON), `output` (the answer, the very JSON that was
answered), `milliseconds` from the body to the answer. Of `comparisons`: `id` of the prediction, `champion` and `challenger` (digests),
whether the challenger `agrees`, its `confidence` (or None) and `milliseconds`, beside the champion's."""


def url() -> str:
    """Where predictions are recorded."""
    return os.environ.get("PREDICTIONS_URL") or f"sqlite:///{paths.ROOT}/predictions.db"


def new_id() -> str:
    """An id for an answer: a UUID of version 7 (RFC 9562) as 32 hexadecimal digits, the milliseconds since 1970 and chance.

    Those of one moment stand side by side in the table's index: of a thousand rows a few pages are written, not a thousand.
    """
    chance = int.from_bytes(os.urandom(10))
    bits = (time.time_ns() // 1_000_000) << 80 | chance
    return f"{bits & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62:032x}"


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as times are stored: UTC, such as 2026-11-20T22:49:53Z."""
    return _moment(int(seconds))


@lru_cache(8)
def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Store:
    """Predictions of all families. Nothing is opened before it is asked for, and nothing is made before something is added.

    Every method raises databases.NoDatabase where the database does not answer, BadUrl for an address of no known kind; writing
    raises NewerDatabase too.
    """

    def __init__(self, address: str | None = None, clock: Callable[[], float] = time.time) -> None:
        self.address, self.clock = address or url(), clock
        self._file: tuple[int, int] | None = None  # that was there at the last look
        self._migrated = False
        self._agreed: tuple[Any, Row] = None, {}  # what was asked for the last time, and the answer

    @property
    def place(self) -> str:
        """The address as a person may see it: a file's has no password, and is not taken apart. Raises BadUrl."""
        file = self.address.startswith("sqlite:///")
        return self.address.partition("?")[0] if file else databases.without_password(databases.parse_url(self.address))

    # Writing

    def add(self, rows: Sequence[Row], inputs: Mapping[str, bytes] | None = None) -> None:
        """Keep predictions, and what was sent by its SHA-256, all of it or nothing; one that is there already stays as it is."""
        with databases.writing(self._written) as connection:
            _insert(connection, "predictions", rows)
            _insert_inputs(connection, inputs or {})

    def compare(self, rows: Sequence[Row]) -> None:
        """Keep comparisons, all or none; there is one of each prediction with each challenger."""
        with databases.writing(self._written) as connection:
            _insert(connection, "comparisons", rows)

    def prune(self, family: str, days: float) -> int:
        """Forget what is older than so many days, and inputs that nothing names any more; how many predictions that were.

        A row is old when its time says so and no row before it is younger: a clock that was wrong for a while makes none old too
        soon. One that was written in the future stays until then.
        """
        now = self.clock()
        asked = {"family": family, "limit": timestamp(now - days * 86_400), "now": timestamp(now)}
        pruned = self._pruned("predictions", asked)
        self._pruned("comparisons", asked)
        self._sweep()
        return pruned

    def _pruned(self, table: str, asked: Row) -> int:
        """Chosen while others write, and deleted a thousand at a time: others write in between."""
        young = f"SELECT number FROM {table} WHERE family = :family AND time BETWEEN :limit AND :now ORDER BY number LIMIT 1"
        (first,) = next(self._selected(young, asked), (LAST,))
        old, pruned, asked = "family = :family AND time < :limit AND number", 0, {**asked, "first": first}
        chosen = f"SELECT max(number) FROM (SELECT number FROM {table} WHERE {old} < :first ORDER BY number LIMIT {AT_ONCE}) AS chosen"
        while (last := next(self._selected(chosen, asked), (None,))[0]) is not None:
            pruned += self._execute(f"DELETE FROM {table} WHERE {old} <= :last", {**asked, "last": last})
        return pruned

    def forget(self, name: str) -> int:
        """Forget the rows of this id and what was sent for them alone, or what was sent by this SHA-256, such as faults() names.

        How many rows and inputs of this name there were.
        """
        named = {"name": name}
        rows = sum(self._execute(f"DELETE FROM {table} WHERE id = :name", named) for table in KINDS)
        sent = self._execute("DELETE FROM inputs WHERE sha256 = :name", named)
        self._sweep()
        return rows + sent

    def _sweep(self) -> None:
        """Forget inputs that no prediction names, chosen while others write.

        PostgreSQL's writers do not take turns: an input that is being named just then would be gone, were it not for the lock.
        """
        unnamed = "NOT EXISTS (SELECT 1 FROM predictions WHERE predictions.input = inputs.sha256)"
        chosen = [sha256 for (sha256,) in self._selected(f"SELECT sha256 FROM inputs WHERE {unnamed}", {})]
        for begin in range(0, len(chosen), AT_ONCE):
            with databases.writing(self._written) as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql("LOCK TABLE inputs IN SHARE ROW EXCLUSIVE MODE")
                some = tuple(chosen[begin : begin + AT_ONCE])
                places = ", ".join([_place(connection)] * len(some))
                connection.exec_driver_sql(f"DELETE FROM inputs WHERE {unnamed} AND sha256 IN ({places})", some)

    def _execute(self, words: str, values: Row) -> int:
        from sqlalchemy import text

        with databases.writing(self._written) as connection:
            return int(connection.execute(text(words), values).rowcount)

    # Reading

    def find(self, id: str) -> Row | None:
        """The prediction of this id, its `hash` too; None where it was not recorded, or is not kept any more."""
        return next(self._rows("predictions", "WHERE id = :id", {"id": id}), None)

    def rows(self, family: str | None = None) -> Iterator[Row]:
        """The predictions of a family, or of all, in the order in which they were recorded."""
        return self._rows("predictions", "WHERE family = :family" if family else "", {"family": family} if family else {})

    def comparisons(self, family: str) -> Iterator[Row]:
        """The comparisons of a family, in the order in which they were recorded."""
        return self._rows("comparisons", "WHERE family = :family", {"family": family})

    def input(self, sha256: str) -> bytes | None:
        """What was sent, where it is kept."""
        return next((content for _, content in self._inputs("WHERE sha256 = :sha256", {"sha256": sha256})), None)

    def agreement(self, family: str, champion: str, challenger: str) -> Row:
        """How a challenger's answers compare with the champion's, digests both.

        {"samples", "agreement": share of them, "champion_ms" and "challenger_ms": means, "confidence": the challenger's mean}; all
        but `samples` None where there is no sample, `confidence` also where no answer has one. Who asks again and again is told what
        was found the last time, as long as the first and the last comparison are the same.
        """
        asked = {"family": family, "champion": champion, "challenger": challenger}
        chosen = "FROM comparisons WHERE family = :family AND champion = :champion AND challenger = :challenger"
        ends = next(self._selected(f"SELECT (SELECT min(number) {chosen}), (SELECT max(number) {chosen})", asked), None)
        known = (*asked.values(), ends)
        if self._agreed[0] != known:
            self._agreed = known, self._agreement(chosen, asked)
        return self._agreed[1]

    def _agreement(self, chosen: str, asked: Row) -> Row:
        figures = ("avg(CASE WHEN agrees THEN 1.0 ELSE 0.0 END)", "avg(champion_milliseconds)", "avg(milliseconds)", "avg(confidence)")
        samples, *means = next(self._selected(f"SELECT count(*), {', '.join(figures)} {chosen}", asked), (0, None, None, None, None))
        told = (None if mean is None else float(mean) for mean in means)
        return {"samples": int(samples), **dict(zip(("agreement", "champion_ms", "challenger_ms", "confidence"), told, strict=True))}

    def faults(self) -> Iterator[tuple[str, str]]:
        """(id, words) of every row that is not what was written; the id is "" where SQLite finds its file broken."""
        yield from self._broken()
        for table in KINDS:
            yield from ((row["id"], f"{table}: {ALTERED}") for row in self._rows(table) if altered(row, table))
        for sha256, content in self._inputs():
            if hashlib.sha256(content).hexdigest() != sha256:
                yield sha256, f"inputs: what was sent has another hash than {sha256[:12]}"

    def _broken(self) -> Iterator[tuple[str, str]]:
        """What SQLite itself finds wrong with its file."""
        if self.address.startswith("sqlite"):
            yield from (("", f"{self.place}: {words}") for (words,) in self._selected("PRAGMA integrity_check", {}) if words != "ok")

    def _rows(self, table: str, which: str = "", asked: Row | None = None) -> Iterator[Row]:
        names = [*KINDS[table], "hash"]
        for values in self._selected(f"SELECT {', '.join(names)} FROM {table} {which} ORDER BY number", asked or {}):
            row = dict(zip(names, values, strict=True))
            yield row | ({"agrees": bool(row["agrees"])} if "agrees" in row else {})  # SQLite has 0 and 1

    def _inputs(self, which: str = "", asked: Row | None = None) -> Iterator[tuple[str, bytes]]:
        found = self._selected(f"SELECT sha256, content FROM inputs {which} ORDER BY sha256", asked or {})
        return ((sha256, content if isinstance(content, bytes) else b"") for sha256, content in found)  # a flipped bit makes text of it

    def _selected(self, words: str, asked: Row) -> Iterator[Any]:
        """Rows as they come; none where nothing was ever recorded."""
        from sqlalchemy import text

        with self._read() as connection:
            if connection is not None:
                yield from connection.execution_options(yield_per=AT_ONCE).execute(text(words), asked)

    @contextmanager
    def _read(self) -> Iterator["Connection | None"]:
        from sqlalchemy import inspect

        engine = self._engine
        if engine.dialect.name == "sqlite" and self._file is None:
            yield None
            return
        with databases.reading(engine) as connection:
            yield connection if inspect(connection).has_table("comparisons") else None

    # The database

    @cached_property
    def _opened(self) -> "Engine":
        made = databases.engine(self.address)
        if made.dialect.name == "sqlite":
            databases.on_connect(made, _prepared)
        return made

    @property
    def _engine(self) -> "Engine":
        """Let go of a file that was taken away or replaced since: SQLite would go on with it, and nobody would find what it writes."""
        file = _file(self._opened.url)
        if file != self._file:
            self._opened.dispose()
            self._file, self._migrated = file, False
        return self._opened

    @property
    def _written(self) -> "Engine":
        """The same, once its tables are there."""
        engine = self._engine
        if not self._migrated:
            databases.migrate(engine, MIGRATIONS)
            if engine.dialect.name == "sqlite":
                databases.enable_wal(engine)
            self._file, self._migrated = _file(engine.url), True
        return engine

    def close(self) -> None:
        """Let go of all connections: a SQLite file then is whole by itself, without its write-ahead log."""
        if "_opened" in self.__dict__:
            self._opened.dispose()


def _file(address: "URL") -> tuple[int, int] | None:
    """Which file stands at the path of a SQLite database: its device and number; None where there is none. Raises NoDatabase."""
    if address.drivername == "sqlite":
        with databases.translated_errors(address), suppress(FileNotFoundError, NotADirectoryError):
            found = Path(address.database or "").stat()
            return found.st_dev, found.st_ino
    return None


def _prepared(connection: Any) -> None:
    """A connection to SQLite: a commit survives the end of the process, and need not wait for the disk. Text that is none is read."""
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MS}")  # first: the others may wait too
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.text_factory = lambda content: content.decode(errors="replace")


def signed(table: str, row: Row) -> Row:
    """A row as it is kept: its values as every database gives them back, and the SHA-256 of their canonical JSON as `hash`.

    Raises KeyError where a value is missing, and ValueError for a number that is none.
    """
    kept = {name: row[name] for name in KINDS[table]}
    for name in _FRACTIONS[table]:
        kept[name] = _fraction(kept[name])
    words = ",".join([f'"{name}":{_AS_JSON[kind](kept[name])}' for name, kind in _SORTED[table]])
    return {**kept, "hash": hashlib.sha256(f"{{{words}}}".encode()).hexdigest()}


def _fraction(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{value} is no number that can be kept.")
    return None if value is None else round(float(value), DIGITS)


_SORTED = {table: sorted(kinds.items()) for table, kinds in KINDS.items()}
_FRACTIONS = {table: [name for name, kind in kinds.items() if kind is float] for table, kinds in KINDS.items()}
_AS_JSON: dict[type, Callable[[Any], str]] = {  # json.dumps of a whole row takes three times as long
    str: encode_basestring,
    int: str,
    bool: lambda value: "true" if value else "false",
    float: lambda value: "null" if value is None else repr(value),
}


def altered(row: Row, table: str = "predictions") -> bool:
    """Is a row that was read not what was written? Its values have another hash than it says."""
    try:
        return bool(folders.hash_of({name: row[name] for name in KINDS[table]}) != row["hash"])
    except (TypeError, ValueError):  # a value of another type, or no number: none that was written
        return True


def _insert(connection: "Connection", table: str, rows: Sequence[Row]) -> None:
    _insert_values(connection, table, [*KINDS[table], "hash"], [tuple(signed(table, row).values()) for row in rows])


def _insert_inputs(connection: "Connection", inputs: Mapping[str, bytes]) -> None:
    """In one order, whoever writes: of PostgreSQL's writers two would else wait for one another."""
    _insert_values(connection, "inputs", ["sha256", "content"], sorted(inputs.items()))


def _insert_values(connection: "Connection", table: str, names: Sequence[str], values: Sequence[tuple[Any, ...]]) -> None:
    """Many rows in one statement: one by one the interpreter is given back for each, and waited for under load."""
    places = f"({', '.join([_place(connection)] * len(names))})"
    for begin in range(0, len(values), AT_ONCE):
        some = values[begin : begin + AT_ONCE]
        words = f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([places] * len(some))} ON CONFLICT DO NOTHING"
        connection.exec_driver_sql(words, tuple(chain.from_iterable(some)))


def _place(connection: "Connection") -> str:
    """What stands for a bound value in the driver's SQL."""
    return "?" if connection.dialect.name == "sqlite" else "%s"
