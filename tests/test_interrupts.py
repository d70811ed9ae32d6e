"""Ctrl-C in a terminal, which sends it to a command and to all it has started: each ends quietly, with exit code 130."""

import os
import pty
import signal
import sys
import termios
from contextlib import suppress
from pathlib import Path

import pytest

from tests import repro
from tests.conftest import environment, worktree
from tests.services import free_port

CTRL_C = b"\x03"
NOISE = ("Traceback", "KeyboardInterrupt", "Aborted")


def interrupted(folder: Path, until: bytes, *words: str) -> str:
    """Type Ctrl-C once `atelier <words>` has printed `until`; all it has printed. It ends with 130 and leaves no process."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(sys.executable, [sys.executable, "-m", "atelier", *words], environment(PYTHONPATH=str(folder)))
    said = b""
    termios.tcsetwinsize(terminal, (24, 120))  # else progress bars are empty
    try:
        while until not in said:
            said += os.read(terminal, 1000)
        os.write(terminal, CTRL_C)
        with suppress(OSError):  # how Linux says that the last process has closed the terminal
            while chunk := os.read(terminal, 1000):
                said += chunk
    finally:
        os.close(terminal)
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status == 130, said.decode()
    assert not any(noise in said.decode() for noise in NOISE), said.decode()
    return said.decode()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repro.clone(tmp_path_factory.mktemp("interrupted"), ["digits-sgd"])


def test_a_password_that_is_asked_for(project: Path) -> None:
    interrupted(project, b"Password", "user-add", "ada")


@pytest.mark.parametrize("stage", ["look", "ingest"])
def test_a_stage_under_dvc_ends_first_and_leaves_nothing_incomplete(project: Path, stage: str) -> None:
    said = interrupted(project, f"> python -m pipelines.stages.{stage}".encode(), "train", "digits")
    assert "ERROR" in said  # DVC's line
    assert not list(project.glob("data/*digits*/*"))


@pytest.mark.slow
@pytest.mark.parametrize("until", [b"2 of 4", b"data/digits:"])
def test_the_demo(tmp_path: Path, until: bytes) -> None:
    interrupted(worktree(tmp_path), until, "demo")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service(tmp_path: Path, workers: str) -> None:
    interrupted(worktree(tmp_path), b"Ctrl-C ends it", "serve", "digits", "--port", str(free_port()), "--workers", workers)


@pytest.mark.slow
def test_a_training_says_how_it_goes_on(tmp_path: Path) -> None:
    folder = repro.clone(tmp_path, ["digits-sgd"])
    (folder / "conf/pipeline.yaml").write_text("run: long\n")
    said = interrupted(folder, b"digits-sgd 2/", "train", "digits")
    assert "The same command goes on after epoch" in said and not (folder / "models/digits-sgd").exists()


@pytest.mark.slow
def test_the_page_of_mlflow(tmp_path: Path) -> None:
    interrupted(worktree(tmp_path), b"Candidates side by side", "ui", "--port", str(free_port()))
