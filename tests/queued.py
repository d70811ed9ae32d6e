"""A service that has only the queue of a family, to test that: no model, no BentoML. The header X-User names the user."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from prometheus_client import generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import endpoints, problems, telemetry
from serving.jobs import routes as job_routes
from tests.services import environment, free_port

FAMILY = "ocr"
FINAL = {"done", "failed", "cancelled"}


def service() -> ASGIApp:
    """The application, as `uvicorn --factory` takes it."""
    telemetry.log_as_json()
    app = FastAPI()
    app.router.route_class = endpoints.Plain
    problems.handle(app)
    app.add_route("/metrics", lambda _: Response(generate_latest()))
    job_routes.mount(app, FAMILY)
    job_routes.start(app, FAMILY)

    async def named(scope: Scope, receive: Receive, send: Send) -> None:
        user = dict(scope.get("headers", [])).get(b"x-user")
        scope.setdefault("state", {}).update({"user": user.decode()} if user else {})
        await app(scope, receive, send)

    return telemetry.Telemetry(named, FAMILY)


class Queued:
    """A running service, its folder, and workers that the test starts."""

    def __init__(self, folder: Path, client: httpx.Client, process: "subprocess.Popen[bytes]", settings: dict[str, str]) -> None:
        self.folder, self.client, self.process, self.settings = folder, client, process, settings
        self.workers: list[subprocess.Popen[bytes]] = []

    def post(self, task: str = "hello", **request: Any) -> str:
        """The id of a new job."""
        answer = self.client.post("/jobs", params={"task": task}, **request)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def status(self, id: str, **request: Any) -> dict[str, Any]:
        answer = self.client.get(f"/jobs/{id}", **request)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def done(self, id: str) -> dict[str, Any]:
        """The job, once it is final."""
        assert until(lambda: self.status(id)["state"] in FINAL), (self.status(id), self.log())
        return self.status(id)

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """Start one more worker."""
        self.workers.append(started(self.folder, self.settings, "-m", "serving.jobs.worker", "--family", FAMILY))
        return self.workers[-1]

    def stop_workers(self) -> None:
        """End all workers; jobs wait."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            worker.wait(20)
        self.workers.clear()

    def rows(self, statement: str, *words: Any) -> list[Any]:
        """The rows that a statement gives on the database of jobs."""
        with contextlib.closing(sqlite3.connect(self.folder / ".store/jobs.db", timeout=30)) as connection, connection:
            return connection.execute(statement, words).fetchall()

    def states(self, ids: list[str]) -> list[str]:
        """The states of these jobs in the database."""
        found = dict(self.rows("SELECT id, state FROM jobs"))
        return [found[id] for id in ids]

    def handed(self) -> bool:
        """Has every queued job been handed to the broker?"""
        return not self.rows("SELECT id FROM jobs WHERE state = 'queued' AND handed IS NULL")

    def log(self) -> str:
        return (self.folder / "log").read_text()[-4000:]


def started(folder: Path, settings: dict[str, str], *words: str) -> "subprocess.Popen[bytes]":
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, *words], cwd=folder, env=environment(folder) | settings, stdout=log, stderr=log)


@contextlib.contextmanager
def running(folder: Path, workers: int = 0, **settings: str) -> Iterator[Queued]:
    """The service in `folder`, with so many workers of its own; it ends with all of them."""
    port = free_port()
    settings = {"JOBS_WORKERS": str(workers), "BROKER_URL": "", "JOBS_URL": "", **settings}
    words = ["-m", "uvicorn", "--factory", "tests.queued:service", "--port", str(port), "--log-level", "warning"]
    process = started(folder, settings, *words)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        queued = Queued(folder, client, process, settings)
        try:
            assert until(lambda: process.poll() is not None or answers(client)) and process.poll() is None, queued.log()
            yield queued
        finally:
            queued.stop_workers()
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/jobs/none").status_code == 404
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], seconds: float = 120) -> bool:
    """Poll until the condition holds; False after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return held
