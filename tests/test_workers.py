"""Several processes of one service: a spare one takes a dead one's place, all end with the first, and a crash loop is named and slow."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.deaths import Load
from benchmarks.services import Request
from tests.services import REPOSITORY, free_port, until

APPLICATION = """
import os, signal
from pathlib import Path

def application():
    async def answer(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            if Path("crash").exists():
                os.kill(os.getpid(), signal.SIGBUS)
            if Path("fail").exists():
                return await send({"type": "lifespan.startup.failed", "message": "no model"})
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return await send({"type": "lifespan.shutdown.complete"})
        body = str(os.getpid()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})
    return answer
"""
SERVE = """
import sys, uvicorn
from pathlib import Path
from serving import connections, telemetry, workers
from serving.__main__ import run
if Path("impatient").exists():
    workers.HUNG = 10.0
if __name__ == "__main__":
    telemetry.log_as_json()
    run(uvicorn.Config("application:application", factory=True, port=int(sys.argv[1]), http=connections.CLASS, log_config=None), 2)
"""


class Service:
    """Two workers and a spare one, of an application without a model."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, f"http://127.0.0.1:{(port := free_port())}"
        (folder / "application.py").write_text(APPLICATION)
        (folder / "serve.py").write_text(SERVE)
        environment = os.environ | {"PYTHONPATH": f"{REPOSITORY}{os.pathsep}{folder}"}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen([sys.executable, "serve.py", str(port)], cwd=folder, env=environment, stdout=log, stderr=log)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def workers(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "--multiprocessing-fork" in " ".join(child.cmdline())]

    def complete(self, starts: int = 3) -> bool:
        """Have so many workers been started and loaded, the spare one among them?"""
        return until(lambda: self.log().count("Application startup complete") == starts, 600)

    def who(self) -> int:
        """The process that answers, over a connection of its own."""
        return int(httpx.get(self.address, timeout=60).text)


@contextmanager
def started(folder: Path) -> Iterator[Service]:
    service = Service(folder)
    try:
        yield service
    finally:
        service.process.terminate()
        service.process.wait(60)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with started(tmp_path) as service:
        yield service


def test_the_spare_worker_takes_over_where_all_others_die_and_all_end_with_the_first_process(service: Service) -> None:
    assert service.complete(), service.log()
    everybody = service.workers()
    working = {int(pid) for pid in re.findall(r"worker (\d+) starts", service.log())}
    spare = {worker.pid for worker in everybody} - working
    assert (len(working), len(spare)) == (2, 1)
    assert service.who() in working
    _, lost = asyncio.run(
        Load(service.address, Request("/", "text/plain", b"x")).during(lambda: [os.kill(pid, signal.SIGKILL) for pid in working])
    )
    assert max(lost) <= 1
    assert service.who() in spare
    assert service.log().count("ended by SIGKILL (killed from outside") == len(working)
    assert service.complete(3 + len(working)), service.log()
    everybody = service.workers()
    assert len(everybody) == 3
    service.process.kill()
    _, alive = psutil.wait_procs(everybody, 60)
    assert not alive
    with pytest.raises(httpx.ConnectError):
        service.who()


def test_sigterm_ends_them_in_order(service: Service) -> None:
    assert service.complete(), service.log()
    service.process.terminate()
    assert service.process.wait(60) == 0
    assert service.log().count("Application shutdown complete") == 3


@pytest.mark.slow
def test_a_worker_that_gives_no_sign_of_life_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "impatient").touch()
    with started(tmp_path) as service:
        assert service.complete(), service.log()
        stopped = service.workers()[0]
        stopped.suspend()
        assert until(lambda: f"worker {stopped.pid} gave no sign of life" in service.log(), 600), service.log()
        assert until(lambda: f"worker {stopped.pid} ended by SIGKILL" in service.log()), service.log()
        assert service.who() != stopped.pid


@pytest.mark.slow
def test_what_cannot_start_ends_the_service(tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    service = Service(tmp_path)
    assert service.process.wait(60) == 3
    assert "no model" in service.log()


@pytest.mark.slow
def test_a_crash_loop_says_what_it_is_and_slows_down(tmp_path: Path) -> None:
    (tmp_path / "crash").touch()
    with started(tmp_path) as service:
        assert until(lambda: "a crash loop: 3 in a row" in service.log(), 600), service.log()
        assert "ended by SIGBUS (a mapped file could not be written" in service.log()
    assert "another begins in 4 s; a crash loop" in service.log()


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    """As BentoML's workers do: the parent is killed, and the child notices."""
    child = "import time; from serving import orphans; orphans.end_with_parent(); print(flush=True); time.sleep(600)"
    parent = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {child!r}]); print(child.pid, flush=True); child.wait()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
    )
    assert process.stdout
    orphan = psutil.Process(int(process.stdout.readline()))
    process.stdout.readline()  # it looks
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs([orphan], 60)
    assert not alive
