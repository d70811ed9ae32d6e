"""A command as a job of this machine: its lines as they come, its exit code, its end with all that it has started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines import devices
from pipelines.cluster import backends, stage
from pipelines.cluster import together as together_module
from pipelines.cluster.jobs import Command
from pipelines.cluster.local import Local, Process
from pipelines.cluster.together import Together, variables
from pipelines.errors import BadSetting
from tests.conftest import environment

HOLDING = "import sys, time; held = open(sys.argv[1], 'w'); print('holding', flush=True); time.sleep(600)"
CHILD = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {HOLDING!r}, sys.argv[1]])"
KILLED = "import os; os.kill(os.getpid(), 9)"
PARENT = """
import sys
from pipelines.cluster.jobs import Command
from pipelines.cluster.local import Local
for line in Local().start(Command([sys.executable, "-c", sys.argv[1], sys.argv[2]])).lines():
    print(line, flush=True)
"""


@pytest.fixture
def local() -> Local:
    return Local()


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A FIFO that a grandchild opens to write: who reads it to its end has waited for the grandchild's."""
    path = tmp_path / "held"
    os.mkfifo(path)
    yield path


def python(local: Local, code: str, *words: str, **more: str) -> Process:
    return local.start(Command([sys.executable, "-c", code, *words], env=more))


def test_lines_come_while_the_command_runs(local: Local, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    job = python(local, "import sys; print('first', flush=True); open(sys.argv[1]).read(); print('second', file=sys.stderr)", str(gate))
    lines = job.lines()
    assert next(lines) == "first", "although the command waits for us"
    gate.write_text("go on")
    assert list(lines) == ["second"]
    assert job.wait() == 0


def test_a_progress_bar_is_lines(local: Local) -> None:
    job = python(local, r"print('1/2\r2/2\rdone')")
    assert list(job.lines()) == ["1/2", "2/2", "done"]


@pytest.mark.parametrize(("code", "expected"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_exit_code_is_the_command_s(local: Local, code: str, expected: int) -> None:
    job = python(local, code)
    assert list(job.lines()) == []
    assert job.wait() == expected


def test_a_command_computes_with_its_cores_and_sees_what_is_added(local: Local) -> None:
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['TF_NUM_INTRAOP_THREADS'], os.environ['ADDED'])"
    job = local.start(Command([sys.executable, "-c", code], env={"ADDED": "this", "TF_NUM_INTRAOP_THREADS": "5"}, cpus=3))
    assert list(job.lines()) == ["3 5 this"]


def test_stop_ends_all_that_the_command_has_started(local: Local, held: Path) -> None:
    job = python(local, CHILD, str(held))
    with held.open() as reader:
        assert next(job.lines()) == "holding"
        job.stop()
        assert reader.read() == "", "the grandchild has ended"
    assert (list(job.lines()), job.wait()) == ([], 128 + signal.SIGKILL)
    job.stop()


def test_a_job_ends_with_the_process_that_started_it(held: Path) -> None:
    """However that ends: here by kill -9."""
    words = [sys.executable, "-c", PARENT, CHILD, str(held)]
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as parent, held.open() as reader:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "holding\n"
        parent.kill()
        assert reader.read() == "", "the grandchild has ended"


def test_capacity_is_cores_and_gpus_by_what_a_command_takes(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "cores", lambda: 8)
    monkeypatch.setattr(devices, "gpus", lambda: ["one", "other"])
    assert [local.capacity(1, 0), local.capacity(3, 0), local.capacity(16, 0)] == [8, 2, 1]
    assert [local.capacity(1, 1), local.capacity(1, 0.5), local.capacity(8, 0.5), local.capacity(1, 4)] == [2, 4, 1, 1]


def together(local: Local, *codes: str) -> tuple[Together, list[str]]:
    """Jobs with these codes, and what is noted once they have ended."""
    released: list[str] = []
    return Together([python(local, code) for code in codes], lambda: released.append("released")), released


def test_commands_that_run_together_end_with_the_first(local: Local) -> None:
    job, released = together(local, "print('first')", "import time; time.sleep(600)", "print('other')")
    assert (list(job.lines()), job.wait(), released) == (["first"], 0, ["released"])


def test_of_commands_that_run_together_one_that_fails_ends_all_and_is_heard(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together_module, "GRACE", 0)
    job, released = together(local, "import time; time.sleep(600)", "print('no data'); exit(3)", "import time; time.sleep(600)")
    assert (list(job.lines()), job.wait(), released) == (["no data"], 3, ["released"])


@pytest.mark.parametrize("codes", [("exit(1)", KILLED), (KILLED, "exit(1)")])
def test_of_commands_that_run_together_a_lost_one_is_told_from_those_that_fail_for_it(local: Local, codes: tuple[str, str]) -> None:
    job, _ = together(local, *codes)
    assert (list(job.lines()), job.wait()) == ([], 137)


def test_each_of_a_training_s_processes_is_told_its_rank_and_where_the_first_one_is() -> None:
    found = variables(1, 2, "10.0.0.7", 4000)
    assert [found[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")] == [
        "1",
        "2",
        "0",
        "10.0.0.7",
        "4000",
    ]


def test_gradients_travel_on_the_way_to_the_first_node() -> None:
    found = psutil.net_if_addrs()[stage._interface("127.0.0.1")]
    assert "127.0.0.1" in [each.address for each in found]


def test_several_nodes_need_a_cluster() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "atelier", "train", "objects", "--nodes", "2"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "BadSetting: nodes=2 needs on=ray, a cluster with as many nodes.\n")


def test_an_unknown_back_end_is_refused() -> None:
    assert isinstance(backends.named("local"), Local)
    with pytest.raises(BadSetting, match=r"on='moon' is unknown. Choose one of: local"):
        backends.named("moon")
