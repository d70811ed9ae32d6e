"""Every request has a name, a line in the log and its share in the metrics."""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY, CollectorRegistry, multiprocess

from serving import metric_files, problems, telemetry
from tests.conftest import ROOT

FAMILY = "telemetry-test"


def application() -> telemetry.Telemetry:
    app = FastAPI()
    problems.handle(app)

    @app.get("/answer")
    async def answer() -> str:
        return "yes"

    @app.get("/refusal")
    async def refusal() -> None:
        raise problems.Refusal(422, "blank", "There is no ink.")

    @app.get("/fault")
    async def fault() -> None:
        raise ZeroDivisionError("the fault's own words")

    return telemetry.Telemetry(app, FAMILY)


def get(path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application()), base_url="http://service") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"family": FAMILY, **labels}) or 0.0


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged; the loggers are put back."""
    loggers = [logging.getLogger(name) for name in ("atelier", "uvicorn.error")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    telemetry.log_as_json()
    yield stream
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_request_is_a_line_of_json(log: io.StringIO) -> None:
    response = get("/answer")
    (line,) = lines(log)
    assert {key: line[key] for key in ("level", "message", "method", "path", "status")} == {
        "level": "info",
        "message": "request",
        "method": "GET",
        "path": "/answer",
        "status": 200,
    }
    assert line["request_id"] == response.headers["x-request-id"]
    assert set(line) == {"time", "level", "message", "method", "path", "status", "ms", "request_id"}


def test_a_client_may_name_its_request(log: io.StringIO) -> None:
    assert get("/answer", **{"X-Request-ID": "order-17.b"}).headers["x-request-id"] == "order-17.b"
    assert [line["request_id"] for line in lines(log)] == ["order-17.b"]


@pytest.mark.parametrize("name", ["", "x" * 65, 'a"b', "a b", "{}"])
def test_but_only_plainly(name: str) -> None:
    given = get("/answer", **{"X-Request-ID": name}).headers["x-request-id"]
    assert given != name
    assert len(given) == 32


def test_a_refusal_is_counted_by_its_reason(log: io.StringIO) -> None:
    before = value("atelier_refusals_total", reason="blank")
    response = get("/refusal")
    assert response.json() == {"title": "Unprocessable Entity", "status": 422, "detail": "There is no ink.", "reason": "blank"}
    assert value("atelier_refusals_total", reason="blank") == before + 1
    assert [line["refusal"] for line in lines(log)] == ["blank"]


def test_a_fault_is_a_problem_that_leads_to_its_traceback(log: io.StringIO) -> None:
    response = get("/fault")
    assert response.status_code == 500
    assert response.headers["content-type"] == problems.MEDIA_TYPE
    assert "own words" not in response.text
    fault, request = lines(log)
    assert response.headers["x-request-id"] == fault["request_id"] == request["request_id"]
    assert str(fault["request_id"]) in response.json()["detail"]
    assert "ZeroDivisionError: the fault's own words" in str(fault["traceback"])
    assert request["status"] == 500


def test_requests_and_their_seconds_are_counted_by_route() -> None:
    before = value("atelier_requests_total", path="/answer", status="200"), value("atelier_request_seconds_count", path="/answer")
    get("/answer")
    assert (value("atelier_requests_total", path="/answer", status="200"), value("atelier_request_seconds_count", path="/answer")) == (
        before[0] + 1,
        before[1] + 1,
    )


def test_what_strangers_ask_for_adds_no_series() -> None:
    get("/admin.php")
    get("/wp-login.php")
    assert value("atelier_requests_total", path="other", status="404") >= 2
    assert value("atelier_requests_total", path="/admin.php", status="404") == 0


class Writes(io.StringIO):
    """Remembers every call of write()."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def write(self, text: str) -> int:
        self.calls.append(text)
        return super().write(text)


def test_what_one_turn_of_the_loop_logs_is_written_together_and_a_warning_at_once() -> None:
    stream = Writes()
    logger = logging.Logger("together")
    logger.addHandler(telemetry.Together(stream))

    async def turn() -> None:
        logger.info("a")
        logger.info("b")
        assert not stream.calls
        await asyncio.sleep(0)
        logger.info("c")
        logger.warning("d")
        assert stream.calls == ["a\nb\n", "c\nd\n"]

    asyncio.run(turn())
    logger.info("without a loop")
    assert stream.getvalue() == "a\nb\nc\nd\nwithout a loop\n"


# Files of metrics


COUNT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from serving import telemetry
counters = [telemetry.REQUESTS.labels("digits", f"/{number}", 200) for number in range(1500)]
for counter in counters * 2:
    counter.inc()
assert {counter._value.get() for counter in counters} == {2.0}
"""


@pytest.mark.parametrize(("most", "lost"), [(1_000, True), (100_000, True), (10_000_000, False)], ids=["none", "some", "enough"])
def test_metrics_for_which_a_disk_has_no_room_are_counted_on_and_the_log_says_so(tmp_path: Path, most: int, lost: bool) -> None:
    """A limit of the system's: what is written beyond it fails, as on a disk that is full; what is mapped beyond it would be SIGBUS."""
    env = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", COUNT, str(most)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("These figures are lost to /metrics" in done.stderr) == lost
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call]
    counted = registry.get_sample_value("atelier_requests_total", {"family": "digits", "path": "/7", "status": "200"})
    assert counted == (None if lost else 2)


def test_the_space_of_metrics_is_there_before_they_are_mapped(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    written = metric_files.Written(str(path))
    for number in range(3_000):
        written.write_value(f"key {number}", number, 0.0)  # type: ignore[no-untyped-call]
    assert path.stat().st_blocks * 512 >= path.stat().st_size > metric_files.FIRST
    assert written.read_value("key 2000") == (2000, 0.0)  # type: ignore[no-untyped-call]
