"""The queue: the backlog in SQLite and PostgreSQL, and a service with workers that poll it, and with a real RabbitMQ."""

import base64
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import kombu
import psutil
import pytest
import sqlalchemy as sa
from celery.exceptions import Reject
from PIL import Image

from pipelines import databases, predictions
from pipelines.errors import BadSetting
from serving import __main__ as served
from serving import telemetry
from serving.jobs import backlog, broker, consumer, dispatcher, supervisor, tasks, worker
from serving.jobs import routes as job_routes
from serving.jobs.backlog import Backlog, Full, Job
from serving.jobs.tasks import Task
from serving.problems import Refusal
from tests import rabbit
from tests.forms import encoded
from tests.people import Clock
from tests.queued import FAMILY, Queued, running, until

PICTURE = encoded(Image.linear_gradient("L").resize((64, 48)).convert("RGB"))
MANY = 200


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url: str, clock: Clock) -> Backlog:
    return Backlog(url, FAMILY, clock)


def row(store: Backlog, job: Job) -> Job:
    found = store.find(job.id)
    assert found
    return found


def taken(store: Backlog, job: Job) -> Job:
    found = store.take("somebody", job.id)
    assert found
    return found


def files(store: Backlog) -> int:
    with databases.reading(store.engine) as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(backlog.FILES)).scalar_one())


def test_the_tables_are_what_the_migrations_make(store: Backlog) -> None:
    found = sa.inspect(store.engine)
    for table in (backlog.BACKLOGS, backlog.JOBS, backlog.FILES, backlog.RESULTS):
        assert [column["name"] for column in found.get_columns(table.name)] == table.c.keys()


def test_a_job_is_done_once_and_its_files_are_forgotten(store: Backlog) -> None:
    job = store.add("sepia", [b"one", b"two"], "ada")
    assert (job.state, job.pictures, job.size, job.owner, files(store)) == ("queued", 2, 6, "ada", 2)
    leased = taken(store, job)
    assert store.take("another", job.id) is None
    assert [store.file(leased, position) for position in range(3)] == [b"one", b"two", None]
    assert store.renew_lease(leased, 1)
    assert (row(store, job).done, row(store, job).tries) == (1, 1)
    assert store.finish(leased, {"results": ["é", 1]})
    assert not store.finish(leased, {"results": []})
    assert not store.retry(leased, "no")
    assert not store.cancel(job)
    assert (row(store, job).state, row(store, job).done, files(store)) == ("done", 2, 0)
    assert store.result(job) == {"results": ["é", 1]}


def test_who_lost_the_lease_changes_nothing(store: Backlog, clock: Clock) -> None:
    job = store.add("hello", [])
    slow = taken(store, job)
    clock.now += backlog.LEASE + 1
    assert store.retry_lost(lambda _: False) == 1
    assert "silent" in str(row(store, job).reason)
    clock.now += backlog.BACKOFF + 1
    quick = taken(store, job)
    assert not store.renew_lease(slow)
    assert not store.finish(slow, {"results": ["slow"]})
    assert not store.retry(slow, "slow")
    assert store.finish(quick, {"results": ["quick"]})
    assert store.result(job) == {"results": ["quick"]}


def test_it_is_tried_three_times_with_longer_and_longer_pauses(store: Backlog, clock: Clock) -> None:
    job = store.add("sepia", [b"one"])
    for pause in (1, 2):
        assert store.retry(taken(store, job), "It burns.")
        waiting = row(store, job)
        assert (waiting.state, waiting.due - clock.now, waiting.handed) == ("queued", pause, None)
        assert store.take("too soon", job.id) is None
        assert store.hand_over() == []
        clock.now += pause
        assert store.hand_over() == [job.id]
    assert store.retry(taken(store, job), "It burns.")
    assert (row(store, job).state, row(store, job).reason) == ("failed", "Set aside after 3 tries. It burns.")
    assert files(store) == 0


def test_a_job_that_kills_its_worker_is_set_aside_too(store: Backlog, clock: Clock) -> None:
    job = store.add("hello", [])
    for _ in range(3):
        taken(store, job)
        assert store.retry_lost(lambda worker: worker == "somebody") == 1
        clock.now += 10
    assert row(store, job).state == "failed"
    assert "died" in str(row(store, job).reason)


def test_ids_are_handed_over_once_and_again_when_they_are_lost(store: Backlog, clock: Clock) -> None:
    ids = [store.add("hello", []).id for _ in range(3)]
    assert store.hand_over() == ids
    assert store.hand_over() == []
    store.take_back(ids[1:])
    assert store.hand_over() == ids[1:]
    assert store.take_back_overdue(5) == 0
    clock.now += 6
    store.cancel(row(store, store.add("hello", [])))
    assert store.take_back_overdue(5) == 3
    assert store.hand_over() == ids


def test_a_running_job_that_is_cancelled_is_nobodys(store: Backlog) -> None:
    job = store.add("sepia", [b"one", b"two"])
    leased = taken(store, job)
    assert store.cancel(job)
    assert not store.renew_lease(leased, 1)
    assert not store.finish(leased, {"results": []})
    assert row(store, job).state == "cancelled"
    assert store.result(job) is None


def test_results_are_kept_for_a_day_and_jobs_for_a_week(store: Backlog, clock: Clock) -> None:
    job = store.add("hello", [])
    store.finish(taken(store, job), {"results": []})
    clock.now += backlog.RETENTION - 1
    store.sweep()
    assert store.result(job) == {"results": []}
    assert store.retained(row(store, job))
    clock.now += 2
    store.sweep()
    assert store.result(job) is None
    assert not store.retained(row(store, job))
    clock.now += backlog.REMEMBERED
    store.sweep()
    assert store.find(job.id) is None


@pytest.mark.parametrize(("limit", "most"), [("MOST", 2), ("MEGABYTES", 3e-6)])
def test_a_full_backlog_takes_no_more_until_something_is_done(
    store: Backlog, monkeypatch: pytest.MonkeyPatch, limit: str, most: float
) -> None:
    monkeypatch.setattr(backlog, limit, most)
    first = store.add("sepia", [b"a"])
    store.add("sepia", [b"b"])
    with pytest.raises(Full, match="2 jobs of"):
        store.add("sepia", [b"cc"])
    store.cancel(first)
    store.add("sepia", [b"cc"])


@pytest.mark.parametrize(("limit", "most"), [("MOST", 4), ("MEGABYTES", 4e-6)])
def test_one_sender_does_not_fill_the_backlog(store: Backlog, monkeypatch: pytest.MonkeyPatch, limit: str, most: float) -> None:
    monkeypatch.setattr(backlog, limit, most)
    first = store.add("sepia", [b"a"], sender="address 192.0.2.1")
    store.add("sepia", [b"a"], sender="address 192.0.2.1")
    with pytest.raises(Full, match=r"^2 jobs of yours wait, .* cancel some: DELETE /jobs/{id}"):
        store.add("sepia", [b"a"], sender="address 192.0.2.1")
    assert store.add("sepia", [b"a"], sender="user ada").sender == "user ada"
    store.cancel(first)
    store.add("sepia", [b"a"], sender="address 192.0.2.1")


def test_a_disk_is_not_filled_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY)
    monkeypatch.setattr(backlog, "FREE_MB", 10**12)
    with pytest.raises(Full, match=r"MB would be free on the disk of the jobs; 1,000,000,000,000 MB are left alone"):
        store.add("hello", [])


def test_a_clock_that_is_set_back_holds_no_job_up(store: Backlog, clock: Clock) -> None:
    waiting, running, handed = (store.add("hello", []) for _ in range(3))
    held = taken(store, running)
    assert set(store.hand_over()) == {waiting.id, handed.id}
    clock.now -= 3600
    assert store.take_back_overdue(5) == 2
    assert store.take("somebody", waiting.id)
    assert store.retry_lost(lambda _: False) == 0  # its worker has the time of a lease to renew it
    assert store.renew_lease(held)
    clock.now += backlog.LEASE + 1
    assert store.retry_lost(lambda _: False) == 2
    assert row(store, running).state == backlog.QUEUED


def test_results_that_are_kept_take_room_until_they_are_swept(store: Backlog, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MEGABYTES", 1e-4)
    monkeypatch.setattr(backlog, "SUM_INTERVAL", 0)
    job = store.add("hello", [])
    store.finish(taken(store, job), "é" * 40)
    assert row(store, job).size == 82
    store.cancel(store.add("sepia", [b"0" * 18]))
    with pytest.raises(Full, match=r"^0 jobs of .* results are stored for 24 hours"):
        store.add("sepia", [b"0" * 19])
    clock.now += backlog.RETENTION + 1
    store.sweep()
    store.add("sepia", [b"0" * 19])


def test_machines_that_share_a_database_go_by_its_clock(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true = Backlog(postgres, FAMILY)
    monkeypatch.setattr(backlog, "time", SimpleNamespace(time=lambda: 0.0, monotonic=time.monotonic))
    wrong = Backlog(postgres, FAMILY)
    job = wrong.add("hello", [])
    assert abs(job.created - time.time()) < 3600
    assert true.hand_over() == [job.id]
    leased = taken(wrong, job)
    assert true.retry_lost(lambda _: False) == 0
    assert true.finish(leased, {"results": []})
    assert wrong.retained(row(wrong, job))
    true.sweep()
    wrong.sweep()
    assert wrong.result(job) == {"results": []}


def test_what_is_due_is_taken_in_order_by_one_worker_each(store: Backlog, clock: Clock, url: str) -> None:
    Backlog(url, "digits").add("hello", [])
    first, second, third = (store.add("hello", []) for _ in range(3))
    assert [job.id for job in (store.take("one"), store.take("two")) if job] == [first.id, second.id]
    store.retry(row(store, first), "It burns.")
    store.cancel(second)
    assert (last := store.take("one")) and last.id == third.id
    assert store.take("two") is None
    clock.now += backlog.BACKOFF
    assert (tried := store.take("two")) and (tried.id, tried.tries, tried.worker) == (first.id, 2, "two")


def test_workers_that_ask_at_once_share_the_jobs(store: Backlog, url: str, clock: Clock) -> None:
    """Each with connections of its own, as in processes of their own."""
    ids = [store.add("hello", []).id for _ in range(40)]
    asking = [Backlog(url, FAMILY, clock) for _ in range(4)]

    def all_of(own: Backlog) -> list[str]:
        return [job.id for job in iter(lambda: own.take("one"), None)]

    with ThreadPoolExecutor(len(asking)) as pool:
        found = [*pool.map(all_of, asking)]
    assert sorted(id for each in found for id in each) == sorted(ids)


def test_the_position_counts_what_is_queued_before(store: Backlog) -> None:
    first, second, third = (store.add("hello", []) for _ in range(3))
    assert [store.position(job) for job in (first, second, third)] == [0, 1, 2]
    taken(store, first)
    assert store.position(third) == 1
    assert store.counts() == {"queued": 2, "running": 1}


def test_a_backlog_knows_its_own_family(store: Backlog, url: str) -> None:
    job, other = store.add("hello", []), Backlog(url, "digits")
    assert other.find(job.id) is None
    assert other.hand_over() == []
    assert other.name == store.name


@pytest.mark.parametrize("address", ["redis://localhost", "localhost", "amq://"])
def test_a_broker_of_another_kind_is_refused_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("BROKER_URL", address.replace("localhost", "me:secret@localhost"))
    with pytest.raises(BadSetting, match="Set amqp://") as caught:
        broker.application(Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("word", ["two", "-1", "1000", "1.5"])
def test_a_bad_number_of_workers_is_named(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("JOBS_WORKERS", word)
    with pytest.raises(BadSetting, match=word):
        supervisor.count()


def test_what_a_worker_said_of_itself_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(telemetry.METRICS_FOLDER, str(tmp_path))
    process = supervisor.Supervisor(FAMILY, 1).workers[0]
    gauge = "import prometheus_client as p; p.Gauge('refused', 'or not', multiprocess_mode='livemax').set(1)"
    process.command = [sys.executable, "-c", gauge]
    process.poll()
    assert process.process and process.process.wait(30) == 0 and len([*tmp_path.iterdir()]) == 1
    process.poll()
    assert process.process is None and [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("jobs", "wanted"), [(None, "3"), ("2", "2"), ("0", "0")])
def test_the_number_of_workers_is_the_environments_unless_it_is_given(
    monkeypatch: pytest.MonkeyPatch, jobs: str | None, wanted: str
) -> None:
    assert serving_with(monkeypatch, jobs) == wanted


def test_a_bad_number_of_workers_is_named_where_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting, match=r"--jobs \(make serve jobs=\.\.\.\)='-1' is not a number"):
        serving_with(monkeypatch, "-1")


def serving_with(monkeypatch: pytest.MonkeyPatch, jobs: str | None) -> str:
    """JOBS_WORKERS as a service sees it that is begun with these words where it was 3."""
    seen: list[str] = []
    monkeypatch.setattr(os, "environ", dict(os.environ) | {"JOBS_WORKERS": "3"})
    monkeypatch.setattr(served, "_serve", lambda *_: seen.append(os.environ["JOBS_WORKERS"]))
    served.main(FAMILY, jobs=jobs)
    return seen[0]


# The dispatcher, in this process


class Holding:
    """A broker that takes every id, and says how many it holds."""

    away = None

    def __init__(self, held: int) -> None:
        self.held, self.given = held, list[str]()

    def send(self, ids: list[str]) -> list[str]:
        self.given += ids
        return []

    def waiting(self) -> int:
        return self.held


def test_jobs_that_come_all_the_time_keep_nobody_from_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY)
    looks: list[int] = []
    monkeypatch.setattr(store, "retry_lost", lambda _: looks.append(1))
    watching = dispatcher.Dispatcher(store, Holding(0))  # type: ignore[arg-type]
    watching.step(woken=True)
    monkeypatch.setattr(dispatcher, "INTERVAL", 1e9)
    watching.step(woken=True)
    assert len(looks) == 1
    monkeypatch.setattr(dispatcher, "INTERVAL", 0)
    watching.step(woken=True)
    assert len(looks) == 2


@pytest.mark.parametrize(
    ("held", "waited", "times"), [(0, 4, 1), (0, 6, 2), (3, 599, 1), (3, 601, 2), (backlog.MOST, 601, 2), (backlog.MOST + 1, 601, 1)]
)
def test_an_id_that_got_lost_is_handed_over_again(tmp_path: Path, clock: Clock, held: int, waited: int, times: int) -> None:
    store, node = Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY, clock), Holding(held)
    watching = dispatcher.Dispatcher(store, node)  # type: ignore[arg-type]
    job = store.add("hello", [])
    watching.poll()
    clock.now += waited
    watching.poll()
    assert node.given == [job.id] * times


class Idle(NamedTuple):
    """A context without a model."""

    limits: Any
    served: Any = None


def opened(result: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(result["picture"])))


def test_hello_is_a_grey_picture_with_words_on_it() -> None:
    picture = opened(tasks.hello(b"", Idle(None)))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", tasks.SIZE)
    assert picture.getpixel((0, 0)) == tasks.GREY
    assert 0.02 < sum(picture.histogram()[:100]) / (picture.width * picture.height) < 0.3


def test_sepia_is_brown_of_the_same_size() -> None:
    picture = opened(tasks.sepia(PICTURE, Idle(job_routes.configs.serving(FAMILY))))
    assert (picture.mode, picture.size) == ("RGB", (64, 48))
    red, green, blue = picture.getpixel((32, 24))  # type: ignore[misc]
    assert red > green > blue > 0


def test_a_large_picture_is_reduced_before_it_is_sepia() -> None:
    picture = opened(tasks.sepia(encoded(Image.new("L", (3000, 1500))), Idle(job_routes.configs.serving(FAMILY))))
    assert picture.size == (tasks.SIDE, tasks.SIDE // 2)


def test_sepia_refuses_what_is_no_picture() -> None:
    with pytest.raises(Refusal, match="not a picture"):
        tasks.sepia(b"no picture", Idle(job_routes.configs.serving(FAMILY)))


# A worker, in this process


@pytest.fixture
def own_worker(tmp_path: Path) -> worker.Worker:
    return worker.Worker(Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY))


def worked(own_worker: worker.Worker, work: Callable[[bytes, Any], Any], *files: bytes) -> Job:
    """What becomes of a job whose task is `work`."""
    own_worker.tasks = {"sepia": Task(work)}
    job = own_worker.jobs.add("sepia", files)
    own_worker.work(job.id)
    return row(own_worker.jobs, job)


def test_an_answer_of_the_queue_is_recorded_and_what_is_none_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICTIONS_URL", f"sqlite:///{tmp_path}/predictions.db")
    own_worker = worker.Worker(Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY))
    answer = {"text": "TOTAL", "prediction_id": "7" * 32, "model": {"version": 3, "digest": "b" * 64}}
    worked(own_worker, lambda file, _: answer if file == b"line" else {"picture": file.decode()}, b"line", b"picture")
    own_worker.recorder.end()
    (row,) = predictions.Store().rows(FAMILY)
    assert (json.loads(row["output"]), row["version"], row["input"]) == (answer, 3, hashlib.sha256(b"line").hexdigest())
    assert row["milliseconds"] > 0


def test_an_answer_that_nobody_was_given_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a try that failed, of one whose job was cancelled, and one that is too large for its job's result."""
    monkeypatch.setenv("PREDICTIONS_URL", f"sqlite:///{tmp_path}/predictions.db")
    monkeypatch.setattr(worker, "MEGABYTES", 0.001)
    own_worker = worker.Worker(Backlog(f"sqlite:///{tmp_path}/jobs.db", FAMILY))

    def work(file: bytes, _: Any) -> dict[str, Any]:
        if file == b"broken":
            raise RuntimeError("It broke.")
        if file == b"cancelled" and own_worker.job:
            own_worker.jobs.cancel(own_worker.job)
        return {"text": file.decode(), "prediction_id": uuid.uuid4().hex, "model": {"version": 3, "digest": "b" * 64}}

    for files in ([b"first", b"broken"], [b"second", b"cancelled"], [b"third", b"long" * 300], [b"last", b"short"]):
        worked(own_worker, work, *files)
    own_worker.recorder.end()
    assert [json.loads(row["output"])["text"] for row in predictions.Store().rows(FAMILY)] == ["third", "last", "short"]


def test_one_picture_is_worked_on_after_the_other_and_a_bad_one_is_a_result(own_worker: worker.Worker) -> None:
    async def work(file: bytes, _: Any) -> dict[str, Any]:
        if file == b"bad":
            raise Refusal(422, "bad picture", "Send another.")
        return {"seen": file.decode()}

    job = worked(own_worker, work, b"one", b"bad", b"two")
    assert (job.state, job.tries, job.done) == ("done", 1, 3)
    problem = {"title": "Unprocessable Content", "status": 422, "detail": "Send another.", "reason": "bad picture"}
    first, second, third = own_worker.jobs.result(job)["results"]
    assert (first, third) == ({"seen": "one"}, {"seen": "two"})
    assert second["problem"] | {"title": ""} == problem | {"title": ""}


def test_a_fault_is_the_logs_to_tell(own_worker: worker.Worker, caplog: pytest.LogCaptureFixture) -> None:
    def work(_: bytes, __: Any) -> Any:
        raise RuntimeError("/home/ada/secret.onnx")

    job = worked(own_worker, work, b"one")
    assert (job.state, job.tries) == ("queued", 1)
    assert "secret" not in str(job.reason)
    assert f"(RuntimeError); its log says why, under job {job.id}" in str(job.reason)
    assert "secret" in caplog.text


def test_a_job_that_is_cancelled_stops_before_its_next_picture(own_worker: worker.Worker) -> None:
    seen = []

    def work(file: bytes, _: Any) -> Any:
        seen.append(file)
        assert own_worker.job
        own_worker.jobs.cancel(own_worker.job)
        return {}

    assert worked(own_worker, work, b"one", b"two").state == "cancelled"
    assert seen == [b"one"]


def test_a_worker_that_is_told_to_end_gives_its_job_back(own_worker: worker.Worker) -> None:
    def work(_: bytes, __: Any) -> Any:
        own_worker.leave()
        return {}

    job = worked(own_worker, work, b"one", b"two")
    assert (job.state, job.tries, job.lease, job.handed) == ("queued", 0, None, None)
    assert own_worker.jobs.hand_over() == [job.id]


def test_an_id_goes_back_to_the_broker_while_the_database_is_away(own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_worker.jobs, "take", away)
    monkeypatch.setattr(consumer, "PAUSE", 0)
    with pytest.raises(Reject) as caught:
        consumer.receive(own_worker.work, "1")
    assert caught.value.requeue


def pausing(monkeypatch: pytest.MonkeyPatch, *what: Callable[[], Any]) -> None:
    """Have the worker do these in place of its pauses, one after the other."""
    each = iter(what)
    clocks = {"monotonic": time.monotonic, "perf_counter": time.perf_counter}
    monkeypatch.setattr(worker, "time", SimpleNamespace(sleep=lambda _: next(each)(), **clocks))


def test_a_worker_without_a_broker_does_what_is_due_and_asks_again(own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    own_worker.tasks = {"sepia": Task(lambda file, _: done.append(file.decode()))}
    own_worker.jobs.add("sepia", [b"first"])
    own_worker.jobs.add("sepia", [b"second"])
    pausing(monkeypatch, lambda: own_worker.jobs.add("sepia", [b"late"]), lambda: done.append("a pause"), own_worker.leave)
    own_worker.poll()
    assert done == ["first", "second", "late", "a pause"]


def test_a_worker_without_a_broker_waits_for_its_database_and_says_so_once(
    own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = own_worker.jobs.add("hello", [])
    take = own_worker.jobs.take
    monkeypatch.setattr(own_worker.jobs, "take", away)
    pausing(monkeypatch, lambda: None, lambda: monkeypatch.setattr(own_worker.jobs, "take", take), own_worker.leave)
    own_worker.poll()
    assert row(own_worker.jobs, job).state == "done"
    assert [record.getMessage() for record in caplog.records].count("jobs wait: away") == 1


@pytest.mark.slow
def test_celery_is_not_loaded_where_there_is_no_broker() -> None:
    words = "import serving.jobs.worker, serving.jobs.routes, sys; sys.exit(any(name in sys.modules for name in ('celery', 'kombu')))"
    assert subprocess.run([sys.executable, "-c", words]).returncode == 0


def away(*_: object) -> None:
    raise databases.NoDatabase("away")


@pytest.mark.parametrize("at", ["file", "renew_lease", "finish"])
def test_a_job_at_which_the_database_went_away_is_given_back(own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    with monkeypatch.context() as broken, pytest.raises(databases.NoDatabase):
        broken.setattr(own_worker.jobs, at, away)
        broken.setattr(own_worker.jobs, "give_back", away)
        worked(own_worker, lambda *_: {}, b"one", b"two")
        own_worker.beat()
    (job,) = own_worker.left
    assert row(own_worker.jobs, job).state == "running"
    own_worker.beat()
    waiting = row(own_worker.jobs, job)
    assert (waiting.state, waiting.tries, waiting.handed, own_worker.left) == ("queued", 0, None, [])
    own_worker.work(job.id)
    assert row(own_worker.jobs, job).state == "done"


def test_what_goes_wrong_at_the_end_of_a_job_is_a_try(own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(own_worker.jobs, "finish", full)
    job = worked(own_worker, lambda *_: {}, b"one")
    assert (job.state, job.tries) == ("queued", 1)
    assert "RuntimeError" in str(job.reason)


def test_a_result_that_is_too_large_is_a_problem_of_its_picture(own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "MEGABYTES", 1e-4)
    job = worked(own_worker, lambda file, _: {"seen": file.decode()}, b"1" * 50, b"2" * 50, b"3")
    first, second, third = own_worker.jobs.result(job)["results"]
    assert (first, third) == ({"seen": "1" * 50}, {"seen": "3"})
    assert (second["problem"]["status"], second["problem"]["reason"]) == (413, "result too large")


def test_a_worker_says_that_it_lives_while_it_gets_on(own_worker: worker.Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    held, ended = [], []
    monkeypatch.setattr(worker, "RENEWAL", 0)
    monkeypatch.setattr(worker.os, "_exit", ended.append)

    def work(_: bytes, __: Any) -> Any:
        assert own_worker.job
        before = row(own_worker.jobs, own_worker.job).until or 0
        own_worker.beat()
        held.append((row(own_worker.jobs, own_worker.job).until or 0) > before)
        monkeypatch.setattr(worker, "STUCK", 0)
        own_worker.beat()
        return {}

    assert worked(own_worker, work, b"one").state == "done"
    assert (held, ended) == ([True], [1])
    own_worker.beat()
    assert ended == [1]


def test_a_family_without_tasks_has_no_worker() -> None:
    with pytest.raises(BadSetting, match="Choose one of: ocr"):
        supervisor.with_queue("digits")


FINALS = """
CREATE TRIGGER final AFTER UPDATE ON jobs WHEN NEW.state IN ('done', 'failed', 'cancelled')
BEGIN INSERT INTO finals VALUES (NEW.id, NEW.state); END
"""

# A service without a broker, and the workers that it starts


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queued]:
    with running(tmp_path_factory.mktemp("polled"), workers=2) as it:
        yield it


@pytest.mark.slow
def test_hello_and_sepia_run_where_no_model_is(service: Queued) -> None:
    status = service.done(service.post("hello"))
    assert (status["state"], status["progress"], status["tries"]) == ("done", {"done": 1, "of": 1}, 1)
    sepia = service.post("sepia", files=[("image", PICTURE), ("image", b"no picture"), ("image", PICTURE)])
    status = service.done(sepia)
    results = status["result"]["results"]
    assert [sorted(result) for result in results] == [["picture"], ["problem"], ["picture"]]
    assert (results[1]["problem"]["status"], status["tries"], status["reason"]) == (415, 1, None)
    assert opened(results[0]).size == (64, 48)
    shown = service.client.get(f"/jobs/{sepia}/picture", params={"number": 2})
    assert (shown.headers["content-type"], base64.b64encode(shown.content).decode()) == ("image/png", results[2]["picture"])
    assert service.client.get(f"/jobs/{sepia}", headers={"accept": "image/png"}).content[:4] == b"\x89PNG"
    assert service.client.get(f"/jobs/{sepia}/picture", params={"number": 1}).json()["reason"] == "no picture"


@pytest.mark.slow
def test_what_fails_is_tried_again_and_set_aside_with_its_reason(service: Queued) -> None:
    status = service.done(service.post("read", files={"image": PICTURE}))
    assert (status["state"], status["tries"], status["result"]) == ("failed", 3, None)
    assert status["reason"].startswith("Set aside after 3 tries. ocr has no champion to serve.")


@pytest.mark.slow
def test_a_job_is_its_owners_alone(service: Queued) -> None:
    ada, bob = {"x-user": "ada"}, {"x-user": "bob"}
    id = service.post("hello", headers=ada)
    assert until(lambda: service.status(id, headers=ada)["state"] == "done")
    unknown = service.client.get("/jobs/" + "0" * 32, headers=bob)
    for headers in (bob, {}):
        for method, path in (("GET", ""), ("GET", "/picture"), ("DELETE", "")):
            refused = service.client.request(method, f"/jobs/{id}{path}", headers=headers)
            assert (refused.status_code, refused.json()["reason"]) == (404, "unknown job")
            assert refused.json()["detail"].replace(id, "0" * 32) == unknown.json()["detail"]
    final = service.client.delete(f"/jobs/{id}", headers=ada)
    assert (final.status_code, final.json()["detail"].partition(" already")[0]) == (409, f"Job {id} is done")


@pytest.mark.slow
def test_a_result_that_was_deleted_is_said_to_be(service: Queued) -> None:
    id = service.post("hello")
    service.done(id)
    service.rows("DELETE FROM job_results WHERE job = (SELECT number FROM jobs WHERE id = ?)", id)
    for path in ("", "/picture"):
        gone = service.client.get(f"/jobs/{id}{path}")
        assert (gone.status_code, gone.json()["reason"]) == (404, "result gone")
        assert "24 hours" in gone.json()["detail"]


BAD: dict[str, tuple[dict[str, Any], int, str]] = {
    "no such task": ({"params": {"task": "paint"}}, 422, "bad task"),
    "two tasks": ({"params": {"task": ["hello", "read"]}}, 422, "bad query"),
    "nothing": ({}, 415, "content type"),
    "empty": ({"headers": {"content-type": "image/png"}}, 422, "empty body"),
    "no picture in the form": ({"files": {"picture": PICTURE}}, 422, "no picture"),
    "too many": ({"files": [("image", PICTURE)] * (job_routes.PICTURES + 1)}, 422, "too many pictures"),
    "too large": ({"content": b"0" * 11_000_000, "headers": {"content-type": "image/png"}}, 413, "body too large"),
    "broken base64": ({"json": {"image": "?"}}, 422, "broken base64"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("request_", "status", "reason"), BAD.values(), ids=BAD)
def test_what_cannot_be_a_job_is_refused(service: Queued, request_: dict[str, Any], status: int, reason: str) -> None:
    refused = service.client.post("/jobs", **request_)
    assert (refused.status_code, refused.json()["reason"]) == (status, reason)


@pytest.mark.slow
def test_a_picture_may_come_as_json_or_as_it_is(service: Queued) -> None:
    url = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    ways: list[dict[str, Any]] = [{"json": {"image": url}}, {"content": PICTURE, "headers": {"content-type": "image/png"}}]
    for way in ways:
        assert opened(service.done(service.post("sepia", **way))["result"]["results"][0]).size == (64, 48)


@pytest.mark.slow
def test_workers_that_die_are_followed_by_others_and_end_with_the_service(service: Queued) -> None:
    def workers() -> list[psutil.Process]:
        return [child for child in psutil.Process(service.process.pid).children() if "serving.jobs.worker" in child.cmdline()]

    before = workers()
    assert len(before) == 2
    for child in before:
        child.kill()
    assert service.done(service.post("hello"))["state"] == "done"
    assert not {child.pid for child in workers()} & {child.pid for child in before}


# A real RabbitMQ, which is away at first; and beside it a service without one


class Brokered(NamedTuple):
    """A service with the node that carries its jobs, and the first job, which was sent while the node was not there."""

    service: Queued
    node: rabbit.Rabbit
    early: str


@pytest.fixture(scope="module")
def brokered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokered]:
    with rabbit.node() as node, running(tmp_path_factory.mktemp("rabbit"), BROKER_URL=node.url) as it:
        early = it.post("hello")
        assert until(lambda: it.status(early)["broker"] == "away"), it.log()
        status = it.status(early)
        assert (status["state"], status["reason"]) == ("queued", job_routes.AWAY)
        assert until(lambda: 'atelier_broker_up{family="ocr"} 0.0' in it.client.get("/metrics").text)
        node.start()
        yield Brokered(it, node, early)


@pytest.fixture(scope="module")
def polled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queued]:
    with running(tmp_path_factory.mktemp("idle")) as it:
        yield it


@pytest.fixture(params=["polled", "brokered"])
def idle_service(request: pytest.FixtureRequest) -> Queued:
    """A service whose jobs wait until the test starts workers."""
    it = request.getfixturevalue(request.param)
    service: Queued = it.service if isinstance(it, Brokered) else it
    service.stop_workers()
    return service


@pytest.mark.slow
def test_without_a_broker_none_is_spoken_of(polled: Queued) -> None:
    polled.stop_workers()
    status = polled.status(polled.post("hello"))
    assert (status["state"], status["position"], status["broker"], status["reason"]) == ("queued", 0, None, None)
    assert until(lambda: 'atelier_jobs{family="ocr",state="queued"} 1.0' in polled.client.get("/metrics").text)
    assert "atelier_broker_up{" not in polled.client.get("/metrics").text
    worker = polled.start_worker()
    assert polled.done(status["id"])["state"] == "done"
    worker.terminate()
    assert worker.wait(20) == 0


@pytest.mark.slow
def test_a_broker_that_is_away_at_the_start_is_waited_for(brokered: Brokered) -> None:
    service, _, early = brokered
    service.start_worker()
    assert service.done(early)["state"] == "done"


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_no_job_and_makes_none_final_twice(idle_service: Queued) -> None:
    service = idle_service
    service.rows("CREATE TABLE finals (id, state)")
    service.rows(FINALS)
    ids = [service.post("hello") for _ in range(MANY)]
    victim, _ = service.start_worker(), service.start_worker()
    assert until(lambda: service.states(ids).count("done") >= 20), service.log()
    lost = killed_at_work(service, victim)
    assert until(lambda: set(service.states(ids)) == {"done"}), (service.states(ids), service.log())
    assert sorted(service.rows("SELECT * FROM finals")) == sorted((id, "done") for id in ids)
    tries = dict(service.rows("SELECT id, tries FROM jobs"))
    assert {id for id in ids if tries[id] != 1} == {lost}
    assert tries[lost] == 2
    assert all(len(service.status(id)["result"]["results"]) == 1 for id in (lost, ids[-1]))


def killed_at_work(service: Queued, victim: "subprocess.Popen[bytes]") -> str:
    """Kill a worker with a job in its hands; the job's id."""

    def caught() -> bool:
        victim.send_signal(signal.SIGSTOP)
        if not service.rows(at_work, f"%:{victim.pid}:%"):
            victim.send_signal(signal.SIGCONT)
            return False
        return True

    at_work = "SELECT id FROM jobs WHERE state = 'running' AND worker LIKE ?"
    assert until(caught), service.log()
    ((lost,),) = service.rows(at_work, f"%:{victim.pid}:%")
    victim.kill()
    victim.wait()
    return str(lost)


@pytest.mark.slow
def test_a_broker_that_goes_down_in_the_middle_is_waited_for(brokered: Brokered) -> None:
    service, node, _ = brokered
    service.stop_workers()
    service.start_worker()
    assert service.done(service.post("hello"))["state"] == "done"
    ids = [service.post("hello") for _ in range(20)]
    node.kill()
    ids += [service.post("hello") for _ in range(20)]
    assert until(lambda: service.status(ids[-1])["broker"] == "away"), service.log()
    node.start()
    assert until(lambda: set(service.states(ids)) == {"done"}), (service.states(ids), service.log())


@pytest.mark.slow
def test_a_broker_that_was_emptied_is_given_the_ids_again(brokered: Brokered) -> None:
    service, node, _ = brokered
    service.stop_workers()
    id = service.post("hello")
    assert until(service.handed)
    ((name,),) = service.rows("SELECT name FROM backlogs")
    with kombu.Connection(node.url) as connection:
        assert connection.default_channel.queue_purge(f"atelier-{FAMILY}-{name}") == 1
    service.start_worker()
    assert service.done(id)["state"] == "done"


@pytest.mark.slow
def test_what_is_queued_can_be_cancelled(idle_service: Queued) -> None:
    service = idle_service
    first, second = service.post("hello"), service.post("hello")
    assert [service.status(id)["position"] for id in (first, second)] == [0, 1]
    status = service.client.delete(f"/jobs/{first}").json()
    assert (status["state"], status["position"], status["result"]) == ("cancelled", None, None)
    assert service.status(second)["position"] == 0
    service.start_worker()
    assert service.done(second)["state"] == "done"
    assert service.status(first)["state"] == "cancelled"
    assert service.client.delete(f"/jobs/{first}").status_code == 409
    assert service.client.get(f"/jobs/{first}/picture").json()["reason"] == "no picture yet"
