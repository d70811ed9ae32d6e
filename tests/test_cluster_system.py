"""Batches and their faults on a cluster of three nodes, each with a clone of its own, as `make cluster-up` starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from serving.batch import rows
from tests.conftest import environment, worktree
from tests.services import until
from tests.test_batch import digits

pytestmark = pytest.mark.system


def atelier(*words: str) -> list[str]:
    return [sys.executable, "-m", "atelier", *words]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = environment(PYTHONPATH=str(folder))
    return subprocess.run(atelier(*words), cwd=folder, env=env, capture_output=True, text=True, check=False)


@contextmanager
def cluster(folder: Path, nodes: int = 3) -> Iterator[psutil.Process]:
    """A cluster of a project, ended as by Ctrl-C."""
    log = (folder / "cluster.log").open("w")
    process = subprocess.Popen(
        atelier("cluster-up", "--nodes", str(nodes), "--cpus", "1"),
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        stdout=log,
        stderr=log,
    )
    address = folder / ".store/cluster/address"
    try:
        assert until(lambda: address.exists() or process.poll() is not None, 1800)
        assert process.poll() is None, (folder / "cluster.log").read_text()
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, (folder / "cluster.log").read_text()
        assert not address.exists()


def raylets(process: psutil.Process) -> list[psutil.Process]:
    """The nodes in the order of their start, the head first."""
    found = [each for each in process.children(recursive=True) if each.name() == "raylet"]
    return sorted(found, key=lambda each: each.create_time())


def numbers(folder: Path) -> list[int]:
    return [row["number"] for path in sorted((folder / "answers").glob("0*.parquet")) for row in rows.read(path, ["number"])]


@pytest.mark.timeout(1200)
def test_a_batch_whose_node_is_killed_has_one_row_for_each_input(tmp_path: Path) -> None:
    folder = worktree(tmp_path / "atelier")
    source = digits(tmp_path / "inputs", 20_000)
    words = ["batch", "digits", "--from", str(source), "--on", "ray", "--to"]
    with cluster(folder) as process:
        begun = subprocess.Popen(
            atelier(*words, str(tmp_path / "three")),
            cwd=folder,
            env=environment(PYTHONPATH=str(folder)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        answers = tmp_path / "three/answers"
        assert until(lambda: len(list(answers.glob("0*.parquet"))) > 3, 1200)
        os.kill(raylets(process)[-1].pid, signal.SIGKILL)
        said = begun.communicate()[0]
        assert begun.returncode == 0, said
        assert "another takes its place" in said
    assert numbers(tmp_path / "three") == list(range(20_001))
    with cluster(folder, 1):
        alone = run(folder, *words, str(tmp_path / "one"))
        assert alone.returncode == 0, alone.stderr
    assert numbers(tmp_path / "one") == numbers(tmp_path / "three")
