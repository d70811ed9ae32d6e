"""`make serve`: one command, one process or several, and nothing that a service does not need."""

import contextlib
import errno
import json
import os
import pty
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipelines import errors
from pipelines.registry import store
from tests.forms import encoded, seven
from tests.services import LOADED, Service, environment, free_port, make_serve, run, running, stored, until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: stored(folder, 1)}, make_serve("digits", "--workers", "2")) as service:
        yield service


@pytest.mark.slow
def test_several_workers_answer_and_are_counted_together(service: Service) -> None:
    def answered() -> int:
        with httpx.Client(base_url=service.client.base_url) as client:  # a connection of its own: any worker may take it
            answer = client.post("/predict", files={"image": ("seven.png", encoded(seven()), "image/png")})
        assert answer.json()["model"] == service.pointers[1]["model"]
        return answer.status_code

    assert [answered() for _ in range(20)] == [200] * 20
    counted = 'atelier_requests_total{family="digits",path="/predict",status="200"} 20.0'
    assert until(lambda: counted in service.client.get("/metrics").text, tries=20)


def test_what_a_service_says_is_json_line_by_line(service: Service) -> None:
    service.client.get("/health", headers={"X-Request-ID": "json"})
    assert until(lambda: any(line.get("request_id") == "json" for line in lines(service)), tries=20)
    assert any(str(line["message"]).startswith("Uvicorn running on http://127.0.0.1:") for line in lines(service))


def lines(service: Service) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.log().splitlines()]


@pytest.mark.slow
def test_a_stopped_service_leaves_nothing_behind(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    folder = tmp_path_factory.mktemp("other")
    with running(folder, {1: stored(folder, 1)}, make_serve("digits"), TMPDIR=str(temporary)) as other:
        assert list(temporary.iterdir())
    assert other.process.returncode == 0
    assert not list(temporary.iterdir())


def test_a_store_that_follows_the_ledger_is_served_without_mlflow(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""


def test_the_home_of_who_serves_is_left_alone(service: Service, tmp_path: Path) -> None:
    run(service.folder, "-c", LOADED, service.family, HOME=str(tmp_path))
    assert list(tmp_path.iterdir()) == []  # ONNX Runtime would report from .cache/Microsoft


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "70000"], "BadSetting: port=70000 is not a port. Choose one from 1024 to 65,535, or 0 for any that is free."),
        (["--workers", "0"], "BadSetting: workers=0 is not a number of processes from 1 to 64."),
        (["--jobs", "2"], "BadSetting: family='digits' has no queue of jobs: there is no serving/digits/tasks.py. Choose one of: ocr."),
        (["--host", "192.0.2.1"], "BadSetting: host='192.0.2.1' is not an address of this machine"),
        (["--host", "none.invalid"], "BadSetting: host='none.invalid' is not known."),
    ],
)
def test_what_cannot_be_served_is_refused_at_once(words: list[str], said: str, tmp_path: Path) -> None:
    done = refused(tmp_path, *words)
    assert (done.returncode, done.stderr.startswith(said), done.stderr.count("\n")) == (1, True, 1), done.stderr
    assert not (tmp_path / ".store").exists()


def test_a_port_in_use_is_one_sentence_with_one_that_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as next_one:
        port = other.getsockname()[1]
        with contextlib.suppress(OSError):  # in use already: the service passes over it too
            next_one.bind(("127.0.0.1", port + 1))
            next_one.listen()
        done = refused(tmp_path, "--port", str(port))
    found = re.fullmatch(rf"PortTaken: port={port} is in use, and port=(\d+) is free: make serve family=digits port=\1\n", done.stderr)
    assert (done.returncode, found is not None) == (1, True), done.stderr
    assert found is not None
    assert int(found[1]) > port + 1


def refused(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *make_serve("digits", *words)]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_on_a_terminal_a_person_reads_the_address_and_a_file_has_the_log(tmp_path: Path) -> None:
    pointer, port = stored(tmp_path, 1), free_port()
    with contextlib.chdir(tmp_path):
        store.write_pointer("digits", pointer)
    terminal, end = pty.openpty()
    command = [sys.executable, *make_serve("digits", "--port", str(port))]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(tmp_path), stdout=end, stderr=end)
    os.close(end)
    try:
        shown = b""
        while b"answers." not in shown:
            shown += os.read(terminal, 1000)
        assert shown.decode().splitlines() == [f"http://127.0.0.1:{port} answers. Ctrl-C ends it. Log: .store/digits.log"]
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    finally:
        process.terminate()
        process.wait(60)
        os.close(terminal)
    assert [json.loads(line)["path"] for line in (tmp_path / ".store/digits.log").read_text().splitlines() if '"path"' in line] == [
        "/health"
    ]


FULL = [
    (OSError(errno.ENOSPC, "No space left on device", "some.db"), "cannot be written: No space left on device. Free some space"),
    (OSError(errno.EROFS, "Read-only file system", "some.db"), "cannot be used: Read-only file system. Let this user read and write it"),
]


@pytest.mark.parametrize(("full", "words"), FULL, ids=["full", "read-only"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_one_sentence(full: OSError, words: str, wrapped: bool) -> None:
    with pytest.raises(SystemExit) as ended, errors.printed_once():
        try:
            raise full
        except OSError as error:
            if wrapped:
                raise RuntimeError("a library failed") from error
            raise
    assert ended.value.code == f"DiskError: some.db {words}, and start again."


def test_what_is_no_full_disk_keeps_its_traceback() -> None:
    with pytest.raises(FileNotFoundError), errors.printed_once():
        Path("none").read_text()
