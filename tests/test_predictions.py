"""Predictions: what is stored of an answer, that a change of it is found, and that no fault of the database reaches an answer."""

import hashlib
import json
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from sqlalchemy import column, event, table, text

from pipelines import configs, databases, folders, predictions
from pipelines.predictions import Row, Store
from serving.live import recorder as live_recorder
from serving.live.recorder import Recorder
from tests.asked import PICTURE, form
from tests.conftest import ROOT
from tests.services import Service, figures, free_port, make_serve, running, stop, stored, until

NASTY = '{"text":"\u00e9 \u2028 \U0001f600 \\u0000 \\" \\\\ \'","lines":[]}'
NOW = 1_790_000_000  # seconds since 1970
MODEL = {"family": "digits", "version": 3, "digest": "b" * 64, "data": "c" * 64, "commit": None, "run_id": "run-3"}
DAY = 86_400
SENT = b"what was sent"


def row(number: int, **other: Any) -> Row:
    hashed = hashlib.sha256(SENT).hexdigest()
    named = {"id": f"{number:032x}", "family": "digits", "time": predictions.timestamp(NOW), "version": 3, "digest": "b" * 64}
    return {**named, "input": hashed, "output": NASTY, "milliseconds": 1.2345678, **other}


def compared(number: int, **other: Any) -> Row:
    named = {"id": f"{number:032x}", "family": "digits", "time": predictions.timestamp(NOW), "champion": "b" * 64, "challenger": "e" * 64}
    return {**named, "agrees": number % 4 > 0, "confidence": None, "milliseconds": 2.0, "champion_milliseconds": 1.0, **other}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/new/predictions.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url, clock=lambda: NOW)
    yield made
    made.close()


def change(url: str, words: str) -> None:
    with databases.writing(databases.engine(url)) as connection:
        connection.execute(text(words))


# The store


def test_a_prediction_is_found_as_it_was_answered(store: Store) -> None:
    store.add([row(1), row(2, family="objects", milliseconds=7)], {row(1)["input"]: SENT})
    assert store.find(row(1)["id"]) == {**row(1, milliseconds=1.234568), "hash": folders.hash_of(row(1, milliseconds=1.234568))}
    assert (store.find("0" * 32), store.input(row(1)["input"]), store.input("0" * 64)) == (None, SENT, None)
    assert [found["id"] for found in store.rows("objects")] == [row(2)["id"]]
    assert list(store.faults()) == []


def test_what_is_there_already_stays_and_what_does_not_fit_takes_nothing_with_it(store: Store) -> None:
    store.add([row(1), row(2)])
    store.add([row(1, version=9), row(3)])
    with pytest.raises(KeyError):
        store.add([row(4), {"id": "5"}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.add([row(4, milliseconds=float("nan"))])
    assert [(found["id"], found["version"]) for found in store.rows()] == [(row(number)["id"], 3) for number in (1, 2, 3)]


def test_rows_come_in_the_order_in_which_they_were_recorded_whatever_their_times(store: Store) -> None:
    times = [predictions.timestamp(NOW + shift) for shift in (0, -500, 300)]
    store.add([row(9 - place, time=time) for place, time in enumerate(times)])
    assert [found["time"] for found in store.rows("digits")] == times


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False, width=32), st.booleans())
def test_the_hash_is_that_of_the_canonical_json(words: str, number: float, agrees: bool) -> None:
    signed = predictions.hashed("predictions", row(1, output=words, milliseconds=number))
    assert (signed["output"], predictions.altered(signed)) == (words, False)
    assert not predictions.altered(predictions.hashed("comparisons", compared(1, agrees=agrees)), "comparisons")


def test_ids_are_uuids_in_the_order_of_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for moment in range(NOW, NOW + 50):
        monkeypatch.setattr(predictions.time, "time_ns", lambda moment=moment: moment * 10**9)
        ids.append(predictions.new_id())
    assert ids == sorted(ids)
    assert {(len(id), uuid.UUID(id).version, uuid.UUID(id).variant) for id in ids} == {(32, 7, uuid.RFC_4122)}
    assert len({predictions.new_id() for _ in range(1000)}) == 1000


def test_nothing_is_made_by_asking(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/new/predictions.db")
    assert (store.find("0" * 32), list(store.rows()), store.input("0" * 64), list(store.faults())) == (None, [], None, [])
    assert store.agreement("digits", "b" * 64, "e" * 64)["samples"] == 0
    assert not (tmp_path / "new").exists()


def test_a_database_of_others_has_no_predictions_yet(postgres: str) -> None:
    assert list(Store(postgres).rows()) == []


def test_the_file_is_its_owners_alone_and_whole_once_it_is_closed(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/predictions.db")
    store.add([row(1)])
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.db"]
    assert stat.S_IMODE((tmp_path / "predictions.db").stat().st_mode) == 0o600


def test_how_a_challenger_compares(store: Store) -> None:
    store.compare([compared(number, confidence=None if number else 0.5) for number in range(8)])
    store.compare([compared(3, agrees=False), compared(9, challenger="f" * 64), compared(9, family="objects")])
    asked = ("digits", "b" * 64, "e" * 64)
    assert store.agreement(*asked) == {"samples": 8, "agreement": 0.75, "champion_ms": 1.0, "challenger_ms": 2.0, "confidence": 0.5}
    assert [found["agrees"] for found in store.comparisons("objects")] == [True]
    assert list(store.faults()) == []


CHANGES = {"time": "'2026-11-21T22:49:53Z'", "version": "4", "output": "'{}'", "milliseconds": "1.234569", "hash": f"'{'0' * 64}'"}


@pytest.mark.parametrize("column", CHANGES)
def test_a_row_that_was_changed_is_named(store: Store, url: str, column: str) -> None:
    store.add([row(1), row(2)])
    change(url, f"UPDATE predictions SET {column} = {CHANGES[column]} WHERE id = '{row(2)['id']}'")  # noqa: S608
    assert [(id, "hash does not match" in words) for id, words in store.faults()] == [(row(2)["id"], True)]


def test_a_comparison_or_an_input_that_was_changed_is_named(store: Store, url: str) -> None:
    store.add([row(1)], {row(1)["input"]: SENT})
    store.compare([compared(1)])
    change(url, "UPDATE comparisons SET agrees = NOT agrees")
    change(url, "UPDATE inputs SET content = sha256" if url.startswith("sqlite") else "UPDATE inputs SET content = '\\x00'")
    assert [id for id, _ in store.faults()] == [row(1)["id"], row(1)["input"]]


def test_no_byte_of_the_file_can_be_flipped_without_a_fault_where_that_changes_what_is_read(tmp_path: Path) -> None:
    path, random = tmp_path / "predictions.db", np.random.default_rng(8)
    url = f"sqlite:///{path}"
    store = Store(url)
    store.add([row(number) for number in range(40)], {row(1)["input"]: SENT})
    store.close()
    content, before = path.read_bytes(), [*store.rows(), store.input(row(1)["input"])]
    store.close()
    first, last = content.index(row(7)["id"].encode()), content.rindex(row(7)["id"].encode())  # in the table, and in an index
    for place in [first, last, content.index(SENT), *map(int, random.integers(0, len(content), 40))]:
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << int(random.integers(8))]) + content[place + 1 :])
        changed = Store(url)
        found = _told(changed)
        assert found or [*changed.rows(), changed.input(row(1)["input"])] == before, place
        assert found or place not in {first, last, content.index(SENT)}
        changed.close()
    path.write_bytes(content)
    assert list(Store(url).faults()) == []


def _told(store: Store) -> list[object]:
    try:
        return list(store.faults())
    except databases.NoDatabase as fault:
        return [fault]


def test_what_is_old_is_forgotten_with_what_was_sent_for_it(store: Store) -> None:
    old, young = predictions.timestamp(NOW - 31 * DAY), predictions.timestamp(NOW - 29 * DAY)
    store.add([row(1, time=old, input="a" * 64), row(2, time=old), row(3, time=old, family="objects"), row(4, time=young)])
    store.add([], {"a" * 64: b"of the old one alone", row(2)["input"]: SENT})
    store.compare([compared(1, time=old), compared(4, time=young)])
    assert store.prune("digits", days=30) == 2
    assert [found["id"] for found in store.rows()] == [row(3)["id"], row(4)["id"]]
    assert [found["id"] for found in store.comparisons("digits")] == [row(4)["id"]]
    assert (store.input("a" * 64), store.input(row(4)["input"])) == (None, SENT)
    assert store.prune("digits", days=30) == 0


def test_more_than_goes_at_once_is_forgotten(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/predictions.db", clock=lambda: NOW)
    old = predictions.timestamp(NOW - 31 * DAY)
    store.add([row(number, time=old) for number in range(predictions.AT_ONCE + 1)] + [row(predictions.AT_ONCE + 1)])
    assert store.prune("digits", days=30) == predictions.AT_ONCE + 1
    assert len(list(store.rows())) == 1


def test_a_clock_that_jumps_back_makes_nothing_old(store: Store) -> None:
    """Rows that came while the clock was a year behind are no older than those before them; nor are these, while it is behind."""
    times = [NOW - 40 * DAY, NOW - 20 * DAY, NOW - 365 * DAY, NOW - 10 * DAY, NOW + 365 * DAY]
    store.add([row(number, time=predictions.timestamp(time)) for number, time in enumerate(times)])
    Store(store.address, clock=lambda: NOW - 365 * DAY).prune("digits", days=30)
    assert len(list(store.rows())) == 5
    store.prune("digits", days=30)
    assert [found["id"] for found in store.rows()] == [row(number)["id"] for number in (1, 2, 3, 4)]
    Store(store.address, clock=lambda: NOW + 15 * DAY).prune("digits", days=30)
    assert [found["id"] for found in store.rows()] == [row(number)["id"] for number in (3, 4)]


def test_what_is_forgotten_takes_what_was_sent_for_it_along(store: Store) -> None:
    store.add([row(1), row(2, input="a" * 64)], {"a" * 64: b"of the second alone", row(1)["input"]: SENT})
    assert store.forget(row(2)["id"]) == 1
    assert (store.input("a" * 64), store.input(row(1)["input"])) == (None, SENT)
    assert store.forget(row(1)["input"]) == 1
    assert store.input(row(1)["input"]) is None


def test_an_input_that_is_being_named_is_not_forgotten(postgres: str) -> None:
    """A server's writers do not take turns: one names what was sent before, and is not done, when another looks for what nobody names."""
    store, other = Store(postgres), Store(postgres, clock=lambda: NOW)
    store.add([], {row(1)["input"]: SENT})
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'inputs'::regclass")
    with ThreadPoolExecutor(1) as pool:
        with databases.writing(store._written) as connection:
            predictions._insert(connection, "predictions", [row(1)])
            predictions._insert_inputs(connection, {row(1)["input"]: SENT})
            pruned = pool.submit(other.prune, "digits", 30)
            with databases.reading(databases.engine(postgres)) as look:
                assert until(lambda: pruned.done() or look.execute(waits).scalar_one() == 1)
        pruned.result(60)
    assert store.input(row(1)["input"]) == SENT


def test_writers_of_the_same_inputs_do_not_wait_for_one_another(postgres: str) -> None:
    """Each has one of two when a third lets them go on: in orders of their own both would want the other's."""
    inputs = [{letter * 64: SENT for letter in letters} for letters in ("amz", "zma")]
    stores = [Store(postgres) for _ in range(3)]
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'")
    with ThreadPoolExecutor(2) as pool:
        with databases.writing(stores[2]._written) as connection:
            predictions._insert_inputs(connection, {"m" * 64: SENT})
            added = [pool.submit(store.add, [], some) for store, some in zip(stores, inputs, strict=False)]
            with databases.reading(databases.engine(postgres)) as look:
                assert until(lambda: look.execute(waits).scalar_one() == 2)
        assert [one.result(60) for one in added] == [None, None]


def test_neither_what_is_old_nor_how_a_challenger_compares_is_looked_for_in_every_row(tmp_path: Path) -> None:
    store, asked = Store(f"sqlite:///{tmp_path}/predictions.db", clock=lambda: NOW), list[tuple[str, Any]]()
    old, pair = predictions.timestamp(NOW - 31 * DAY), ("digits", "b" * 64, "e" * 64)
    store.add([row(1, time=old), row(2)], {"a" * 64: b"of nobody", row(1)["input"]: SENT})
    store.compare([compared(1, time=old), compared(2)])
    event.listen(store._engine, "before_cursor_execute", lambda *event: asked.append(event[2:4]))
    assert (store.agreement(*pair)["samples"], store.prune("digits", 30), store.agreement(*pair)["samples"]) == (2, 1, 1)
    with closing(sqlite3.connect(tmp_path / "predictions.db")) as connection:
        words = [(one, values) for one, values in asked if one.startswith(("SELECT", "DELETE"))]
        plans = [line[3] for one, values in words for line in connection.execute(f"EXPLAIN QUERY PLAN {one}", values)]
    assert any(line.startswith("SEARCH predictions USING") for line in plans)
    assert [line for line in plans if line.startswith(("SCAN predictions", "SCAN comparisons"))] == []


def test_the_figures_of_a_challenger_are_not_computed_again_where_nothing_was_added(store: Store) -> None:
    asked, pair = list[str](), ("digits", "b" * 64, "e" * 64)
    store.compare([compared(1), compared(2)])
    event.listen(store._engine, "before_cursor_execute", lambda *event: asked.append(event[2]) if "avg(" in event[2] else None)
    assert store.agreement(*pair) == store.agreement(*pair)
    assert len(asked) == 1
    store.compare([compared(3)])
    assert (store.agreement(*pair)["samples"], len(asked)) == (3, 2)


def test_a_file_that_is_taken_away_or_replaced_is_let_go_of(tmp_path: Path) -> None:
    """By each that writes it, and whatever of it was left behind."""
    path = tmp_path / "predictions.db"
    one, other, backup = Store(f"sqlite:///{path}"), Store(f"sqlite:///{path}"), Store(f"sqlite:///{tmp_path}/backup.db")
    one.add([row(1)])
    other.add([row(2)])
    path.unlink()
    assert list(one.rows()) == []
    other.add([row(3)])
    one.add([row(4)])
    assert [found["id"] for found in Store(one.address).rows()] == [row(3)["id"], row(4)["id"]]
    assert list(one.faults()) == []
    backup.add([row(5)])
    for store in (one, other, backup):
        store.close()
    (tmp_path / "backup.db").replace(path)
    one.add([row(6)])
    assert [found["id"] for found in other.rows()] == [row(5)["id"], row(6)["id"]]


@pytest.mark.slow
def test_several_processes_write_one_file(tmp_path: Path) -> None:
    script = """
import json, sys; from pipelines.predictions import Store
store, row, mine = Store(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
for batch in range(20): store.add([{**row, "id": f"{mine * 10_000 + batch * 50 + number:032x}"} for number in range(50)])
"""
    url = f"sqlite:///{tmp_path}/predictions.db"
    words = [sys.executable, "-c", script, url, json.dumps(row(0))]
    started = [subprocess.Popen([*words, str(number)], cwd=ROOT, stderr=subprocess.PIPE) for number in range(3)]
    assert [process.communicate()[1] for process in started] == [b""] * 3
    assert len(list(Store(url).rows())) == 3000
    assert list(Store(url).faults()) == []


@pytest.mark.parametrize("address", ["mysql://admin:s3cret@host/predictions", "predictions.db"])
def test_an_address_of_another_kind_names_the_choices(address: str) -> None:
    with pytest.raises(databases.BadUrl, match="Choose sqlite:///<file>, or postgresql://") as caught:
        Recorder("digits", configs.Predictions(), Store(address))
    assert "s3cret" not in str(caught.value)


# The recorder


def answer(**other: Any) -> dict[str, Any]:
    return {"prediction": 7, "prediction_id": predictions.new_id(), "model": MODEL, **other}


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"atelier_predictions_{name}_total", labels) or 0.0


class Counted:
    """What the counters have grown by since; a recorder of a family of its own."""

    def __init__(self, store: Store, **asked: Any) -> None:
        self.family = f"family-{uuid.uuid4().hex[:8]}"
        self.recorder = Recorder(self.family, configs.Predictions(**asked), store)

    def note(self, count: int = 1, content: bytes = SENT) -> list[str]:
        said = [answer() for _ in range(count)]
        for one in said:
            self.recorder.note(content, one, 0.001, live_recorder.as_json(one))
        return [one["prediction_id"] for one in said]

    @property
    def recorded(self) -> float:
        return counted("recorded", family=self.family)

    def lost(self, reason: str) -> float:
        return counted("lost", family=self.family, reason=reason)


def test_a_row_says_what_the_answer_says(store: Store) -> None:
    recorder, said = Recorder("digits", configs.Predictions(), store), answer(text="\u00e9")
    recorder.note(SENT, said, 0.0123456)
    recorder.end()
    (found,) = store.rows("digits")
    model = said["model"]
    assert (found["id"], found["version"], found["digest"]) == (said["prediction_id"], model["version"], model["digest"])
    assert (json.loads(found["output"]), found["milliseconds"]) == (said, 12.3456)
    assert found["input"] == hashlib.sha256(SENT).hexdigest()
    assert not predictions.altered(found)


@pytest.mark.parametrize("inputs", [True, False])
@pytest.mark.parametrize("content", [SENT, b"x" * (live_recorder.SMALL + 1)], ids=["light", "heavy"])
def test_what_was_sent_is_kept_where_that_is_asked_for(tmp_path: Path, content: bytes, inputs: bool) -> None:
    store = Store(f"sqlite:///{tmp_path}/predictions.db")
    counted = Counted(store, inputs=inputs)
    counted.note(content=content)
    counted.recorder.end()
    (found,) = store.rows()
    assert found["input"] == hashlib.sha256(content).hexdigest()
    assert store.input(found["input"]) == (content if inputs else None)


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.5, 350, 650), (1, 1000, 1000)])
def test_a_share_of_the_answers_is_recorded(tmp_path: Path, share: float, least: int, most: int) -> None:
    counted = Counted(Store(f"sqlite:///{tmp_path}/predictions.db"), share=share)
    counted.note(1000)
    counted.recorder.end()
    assert least <= counted.recorded <= most


def test_the_writer_writes_by_itself_and_forgets_what_is_old(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/predictions.db")
    counted = Counted(store, days=30)
    store.add([row(1, family=counted.family, time=predictions.timestamp(0)), row(2, time=predictions.timestamp(0))])
    counted.recorder.start()
    ids = {*counted.note(3)}
    assert until(lambda: {found["id"] for found in store.rows()} == {*ids, row(2)["id"]})
    counted.recorder.end()


# Its faults: real ones


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits as long as a service would, or notes as many."""
    monkeypatch.setattr(live_recorder, "RETRY", 0.05)
    monkeypatch.setattr(live_recorder, "PAUSE", 0.01)
    monkeypatch.setattr(live_recorder, "MOST", 20)
    monkeypatch.setattr(predictions, "PATIENCE_MS", 20)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """How many warnings have these words."""
    monkeypatch.setattr(live_recorder.logger, "propagate", True)
    return lambda words: sum(words in record.getMessage() for record in caplog.records if record.levelname == "WARNING")


@contextmanager
def locked(url: str) -> Iterator[None]:
    """Another process is at it, and is not done."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def closed(url: str) -> Iterator[None]:
    """The server takes no connection to this database, and ends those that there are."""
    name = url.rpartition("/")[2]
    server = databases.engine(url.rpartition("/")[0] + "/postgres")

    def execute(words: str) -> None:
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(words))

    execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608
    yield
    execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@pytest.mark.usefixtures("quick")
def test_a_database_that_is_locked_or_away_is_waited_for_while_there_is_room(url: str, log: Callable[[str], int]) -> None:
    shut, reason = (locked, "locked") if url.startswith("sqlite") else (closed, "away")
    counted = Counted(Store(url))
    counted.recorder.store.add([row(1)])
    counted.recorder.start()
    with shut(url):
        counted.note(5)
        assert until(lambda: log(f"not recorded ({reason})") == 1)
        counted.note(20)
        assert (counted.recorded, counted.lost(reason)) == (0, 5)
    assert until(lambda: counted.recorded == 20)
    counted.note()
    counted.recorder.end()
    assert (counted.recorded, counted.lost(reason), log("not recorded")) == (21, 5, 1)


@pytest.mark.usefixtures("quick")
def test_a_server_that_never_comes_costs_what_waits_and_no_more() -> None:
    counted = Counted(Store(f"postgresql://admin:s3cret@127.0.0.1:{free_port()}/predictions"))
    counted.recorder.start()
    counted.note(3)
    counted.recorder.end()
    assert (counted.recorded, counted.lost("away")) == (0, 3)


@pytest.mark.usefixtures("quick")
def test_a_disk_that_is_full_costs_the_rows_and_is_told_once(tmp_path: Path, log: Callable[[str], int]) -> None:
    """SQLite's own limit of pages: it refuses as it does where the disk has no more."""
    store = Store(f"sqlite:///{tmp_path}/predictions.db")
    store.add([row(1)])
    store.close()
    room = [30]
    databases.on_connect(store._engine, lambda connection: connection.execute(f"PRAGMA max_page_count = {room[0]}"))
    counted = Counted(store)
    counted.recorder.start()
    while not counted.lost("disk full"):
        counted.note(10)
        assert until(lambda: counted.recorder._came == counted.recorder._went)
    fitted = counted.recorded
    counted.note(10)
    assert until(lambda: counted.lost("disk full") == 20)
    assert (counted.recorded, log("not recorded (disk full)")) == (fitted, 1)
    room[0] = 1000
    store.close()
    counted.note(10)
    assert until(lambda: counted.recorded == fitted + 10)
    counted.recorder.end()
    assert list(store.faults()) == []


@pytest.mark.usefixtures("quick")
def test_a_disk_that_is_full_is_made_room_on(tmp_path: Path) -> None:
    """SQLite uses the pages again of what was forgotten, also while more comes than can be written."""
    store = Store(f"sqlite:///{tmp_path}/predictions.db")
    counted = Counted(store, days=30)
    store.add([row(number, family=counted.family, time=predictions.timestamp(0), output=NASTY * 9) for number in range(100)])
    store.close()
    pages = (tmp_path / "predictions.db").stat().st_size // 4096
    databases.on_connect(store._opened, lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}"))
    counted.recorder._pruned = time.monotonic()  # it has looked for what is old not long ago
    counted.recorder.start()
    assert until(lambda: bool(counted.note(5)) and counted.recorded > 0)
    counted.recorder.end()
    assert counted.lost("disk full") > 0
    assert all(not found["time"].startswith("1970") for found in store.rows())


@pytest.mark.usefixtures("quick")
def test_a_row_that_cannot_be_written_takes_nothing_with_it(tmp_path: Path, log: Callable[[str], int]) -> None:
    counted = Counted(Store(f"sqlite:///{tmp_path}/predictions.db"))
    counted.recorder.start()
    counted.recorder.note(SENT, answer(confidence=float("nan")), 0.001)  # no JSON
    ids = [*counted.note(3)]
    counted.recorder.note(SENT, answer(), float("nan"))
    counted.recorder.note(SENT, answer(), 0.001, b"\xff")
    ids += counted.note(3)
    assert until(lambda: counted.recorded == 6)
    counted.recorder.end()
    assert [found["id"] for found in counted.recorder.store.rows()] == ids
    assert counted.lost("fault") == 3


@contextmanager
def somebody_else(folder: Path) -> Iterator[None]:
    """Who may not write the folder: root is somebody else for a while."""
    for path in [*folder.iterdir(), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if not os.geteuid():
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        folder.chmod(0o755)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("there", [True, False], ids=["a file", "a folder"])
def test_what_may_not_be_written_costs_the_rows(there: bool, log: Callable[[str], int]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # everybody may go there, but not where pytest puts its folders
        store = Store(f"sqlite:///{name}/{'' if there else 'new/'}predictions.db")
        if there:
            store.add([row(1)])
            store.close()
        counted = Counted(Store(store.address))
        with somebody_else(Path(name)):
            counted.note(2)
            counted.recorder.end()
        assert (counted.recorded, counted.lost("read-only"), log("not recorded (read-only)")) == (0, 2, 1)


@pytest.mark.usefixtures("quick")
def test_a_newer_or_a_broken_database_costs_the_rows(tmp_path: Path, url: str) -> None:
    store = Store(url)
    store.add([row(1)])
    change(url, "UPDATE predictions_version SET version_num = '9999'")
    newer = Counted(Store(url))
    newer.note(2)
    newer.recorder.end()
    assert newer.lost("newer database") == 2
    (tmp_path / "words.db").write_text("not a database, but words " * 100)
    broken = Counted(Store(f"sqlite:///{tmp_path}/words.db"))
    broken.note(2)
    broken.recorder.end()
    assert broken.lost("broken") == 2


def test_what_waits_holds_no_more_memory_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_recorder, "MOST_MB", 1)
    counted = Counted(Store(f"sqlite:///{tmp_path}/predictions.db"), inputs=True)
    counted.note(5, b"x" * 300_000)
    counted.recorder.end()
    assert (counted.recorded, counted.lost("busy")) == (3, 2)


# A service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Two workers and a spare one, that write one file."""
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: stored(folder, 1)}, make_serve("digits", "--workers", "2")) as service:
        yield service


def stored_by(service: Service) -> Store:
    return Store(f"sqlite:///{service.folder}/.store/predictions.db")


def many(service: Service, count: int) -> list[httpx.Response]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: httpx.post(f"{service.client.base_url}/predict", **form(image=PICTURE), timeout=60), range(count)))


@pytest.mark.slow
def test_every_answer_of_every_worker_is_recorded_as_it_was_given(service: Service) -> None:
    said = {response.json()["prediction_id"]: response for response in many(service, 60)}
    assert until(lambda: len(list(stored_by(service).rows("digits"))) >= 60)
    found = {each["id"]: each for each in stored_by(service).rows("digits")}
    assert {id: found[id]["output"] for id in found} == {id: response.text for id, response in said.items()}
    model = service.pointers[1]["model"]
    assert {(each["version"], each["digest"]) for each in found.values()} == {(model["version"], model["digest"])}
    assert {each["input"] for each in found.values()} == {hashlib.sha256(PICTURE).hexdigest()}
    assert all(0 < each["milliseconds"] < 60_000 for each in found.values())
    assert figures(service)['atelier_predictions_recorded_total{family="digits"}'] == 60


@pytest.mark.slow
def test_answers_go_on_where_no_file_can_grow_any_more(service: Service) -> None:
    """A limit of the system's: whatever the service writes beyond it fails, as on a disk that is full."""
    import psutil

    def limited(most: int) -> None:
        for process in psutil.Process(service.process.pid).children(recursive=True):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

    def lost() -> float:
        return sum(value for name, value in figures(service).items() if name.startswith("atelier_predictions_lost_total{"))

    assert until(lambda: service.log().count("answers are recorded in") == 3)  # both workers are up, and the spare one
    many(service, 16)
    reasons = {*databases.REASONS, "away", "busy", "fault", "newer database"}
    counted = {f'atelier_predictions_lost_total{{family="digits",reason="{reason}"}}' for reason in reasons}
    assert counted <= figures(service).keys()  # nothing new has to be counted once the disk is full
    limited(4096)
    assert until(lambda: {response.status_code for response in many(service, 8)} == {200} and lost() > 0)
    limited(resource.RLIM_INFINITY)
    before = len(list(stored_by(service).rows()))
    assert until(lambda: {response.status_code for response in many(service, 8)} == {200} and len(list(stored_by(service).rows())) > before)
    assert list(stored_by(service).faults()) == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="Linux has it")  # noqa: S108
def test_what_is_counted_needs_no_disk(service: Service) -> None:
    """Prometheus maps files into memory: a page of one for which the disk has no room ends the process."""
    import psutil

    workers = psutil.Process(service.process.pid).children(recursive=True)
    mapped = {Path(each.path) for process in workers for each in process.memory_maps() if each.path.endswith(".db")}
    counters = {path.parent.parent for path in mapped if path.name.startswith("counter_")}
    assert counters == {Path("/dev/shm")}  # noqa: S108


@pytest.mark.slow
def test_a_graceful_stop_writes_what_waits(service: Service) -> None:
    ids = {response.json()["prediction_id"] for response in many(service, 16)}
    stop(service.process)
    assert ids <= {each["id"] for each in stored_by(service).rows()}


def test_a_store_of_the_first_migration_gets_new_columns_and_keeps_its_rows(url: str, tmp_path: Path) -> None:
    (folder := tmp_path / "predictions").mkdir()
    (folder / "0001_predictions.py").write_text((predictions.MIGRATIONS / "0001_predictions.py").read_text())
    with databases.writing(databases.migrated(url, folder)) as connection:
        values = predictions.hashed("predictions", row(1))
        connection.execute(table("predictions", *map(column, values)).insert().values(**values))
    store = Store(url, clock=lambda: NOW)
    store.add([row(2)])
    assert [predictions.altered(each) for each in store.rows()] == [False, False]
    assert list(store.faults()) == []
    with databases.reading(databases.engine(url)) as connection:
        assert connection.execute(text("SELECT features, traceparent FROM predictions")).all() == [(None, None)] * 2
    store.close()
