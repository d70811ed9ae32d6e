"""Commands as tasks of a Ray cluster: as on this machine, and what happens when a node is another one, is lost, or refuses the token."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.cluster import nodes, up
from pipelines.cluster.jobs import Command, Job
from pipelines.cluster.tasks import LOST, Ray
from pipelines.errors import BadSetting
from tests.conftest import ROOT, environment

pytestmark = pytest.mark.slow
HOLDING = "import sys, time; held = open(sys.argv[1], 'w'); print('holding', flush=True); time.sleep(600)"
CHILD = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {HOLDING!r}, sys.argv[1]])"
CONNECT = "from pipelines.cluster import access\nfrom pipelines import errors\nwith errors.printed_once(): access.connected()"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each in this folder; what a child process needs is in the environment."""
    before = os.environ.copy()
    os.environ["RAY_AUTH_TOKEN"] = "t" * 64
    try:
        with up.started([ROOT, ROOT], 1) as cluster:
            os.environ["RAY_ADDRESS"] = cluster.address
            yield cluster
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def ray(cluster: Any) -> Iterator[Ray]:
    backend = Ray()
    yield backend
    backend._ray.shutdown()


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A FIFO that a grandchild opens to write: who reads it to its end has waited for the grandchild's."""
    os.mkfifo(tmp_path / "held")
    return tmp_path / "held"


def python(ray: Ray, code: str, *words: str, **more: str) -> Job:
    return ray.start(Command([sys.executable, "-c", code, *words], env=more))


def test_lines_come_while_the_command_runs(ray: Ray, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    job = python(ray, "import sys; print('first', flush=True); open(sys.argv[1]).read(); print('second', file=sys.stderr)", str(gate))
    lines = job.lines()
    assert next(lines) == "first", "although the command waits for us"
    gate.write_text("go on")
    assert list(lines) == ["second"]
    assert job.wait() == 0


@pytest.mark.parametrize(("code", "expected"), [("exit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_exit_code_is_the_command_s(ray: Ray, code: str, expected: int) -> None:
    job = python(ray, code)
    assert list(job.lines()) == []
    assert job.wait() == expected


def test_a_command_runs_in_the_clone_with_what_is_added(ray: Ray) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['OMP_NUM_THREADS'], os.environ['ADDED'], os.environ['PATH'].split(':')[0])"
    assert list(python(ray, code, ADDED="this").lines()) == [f"{ROOT} 1 this {Path(sys.executable).parent}"]


def test_a_node_s_cores_are_counted(ray: Ray) -> None:
    assert ray.capacity(1, 0) == 2
    assert ray.capacity(4, 0) == 1
    with pytest.raises(BadSetting, match="No node of the cluster has 4 cores and 0 GPUs"):
        ray.start(Command(["true"], cpus=4))
    with pytest.raises(BadSetting, match="1 cores and 1 GPUs"):
        ray.start(Command(["true"], gpus=1))


def test_a_command_of_two_nodes_is_a_process_on_each_and_they_end_together(ray: Ray) -> None:
    code = "import os; print(*(os.environ[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR')))"
    job = ray.start(Command([sys.executable, "-c", code], nodes=2))
    assert (list(job.lines()), job.wait()) == (["0 2 0 127.0.0.1"], 0)
    code = "import os, time; print(os.environ['RANK']) if os.environ['RANK'] == '1' else time.sleep(600); exit(3)"
    job = ray.start(Command([sys.executable, "-c", code], nodes=2))
    assert (list(job.lines()), job.wait()) == (["1"], 3)
    with pytest.raises(BadSetting, match="2 nodes of the cluster have 1 cores and 0 GPUs, and nodes=3 is asked"):
        ray.start(Command(["true"], nodes=3))


def test_stop_ends_all_that_the_command_has_started(ray: Ray, held: Path) -> None:
    job = python(ray, CHILD, str(held))
    lines = job.lines()
    with held.open() as reader:
        assert next(lines) == "holding"
        job.stop()
        assert reader.read() == "", "the grandchild has ended"
    list(lines)
    assert job.wait() > 128


def test_nothing_listens_beyond_the_loopback(ray: Ray) -> None:
    processes = psutil.Process().children(recursive=True)
    listening = [each.laddr.ip for process in processes for each in process.net_connections("inet") if each.status == "LISTEN"]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def connect(**env: str) -> str:
    done = subprocess.run([sys.executable, "-c", CONNECT], env=environment(**env), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.strip().splitlines()
    return line


def test_another_token_is_refused_in_a_sentence(cluster: Any) -> None:
    assert "takes another token. Set RAY_AUTH_TOKEN to the one it was started with" in connect(RAY_AUTH_TOKEN="w" * 64)


def test_a_node_with_other_packages_is_refused_and_named(cluster: Any, ray: Ray, tmp_path: Path) -> None:
    other = tmp_path / "rich-99.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: rich\nVersion: 99.0\n")
    added = cluster.add_node(**up.node(ROOT, 1, PYTHONPATH=str(tmp_path)))
    try:
        with pytest.raises(nodes.OtherNode, match=r"node .* has other packages than this machine .*: rich 99\.0, here "):
            Ray()
    finally:
        cluster.remove_node(added)


def test_a_lost_node_is_the_end_of_its_command_alone(cluster: Any, ray: Ray, tmp_path: Path) -> None:
    jobs, fifos = [], [tmp_path / "0", tmp_path / "1"]
    for path in fifos:
        os.mkfifo(path)
        jobs.append(python(ray, CHILD, str(path)))
    lines = [job.lines() for job in jobs]
    readers = [path.open() for path in fifos]
    assert [next(each) for each in lines] == ["holding", "holding"]
    (node,) = cluster.worker_nodes
    os.kill(node.all_processes["raylet"][0].process.pid, 9)
    (gone,), _, _ = select.select(readers, [], [], 60)
    index = readers.index(gone)
    assert gone.read() == "", "the grandchild has ended"
    assert "is lost" in list(lines[index])[-1]
    assert jobs[index].wait() == LOST
    jobs[1 - index].stop()
    assert readers[1 - index].read() == ""


def test_without_a_cluster_the_command_says_how_to_get_one(tmp_path: Path) -> None:
    env = {"RAY_ADDRESS": "", "RAY_AUTH_TOKEN": ""}
    done = subprocess.run(
        [sys.executable, "-c", CONNECT], cwd=tmp_path, env=environment(**env), capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("NoCluster: on=ray: no cluster is known. Start one here with `make cluster-up nodes=3`")
