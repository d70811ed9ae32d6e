"""Trainings, sweeps, batches and their faults on a cluster of three nodes, each with a clone of its own, as `make cluster-up` starts it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from pipelines.models import manifests
from serving.batch import rows
from tests import repro
from tests.conftest import environment, git, worktree
from tests.services import until
from tests.test_batch import digits

pytestmark = pytest.mark.system
CANDIDATES = ["digits-adam", "digits-sgd"]


def atelier(*words: str) -> list[str]:
    return [sys.executable, "-m", "atelier", *words]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = environment(PYTHONPATH=str(folder))
    return subprocess.run(atelier(*words), cwd=folder, env=env, capture_output=True, text=True, check=False)


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    env = environment(PYTHONPATH=str(folder))
    return subprocess.Popen(atelier(*words), cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


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


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two small candidates of digits in a repository, with a DVC remote."""
    return shared(tmp_path, CANDIDATES)


def shared(tmp_path: Path, candidates: list[str]) -> Path:
    folder = repro.clone(tmp_path / "atelier", candidates)
    (folder / ".gitignore").write_text((folder / ".gitignore").read_text() + "cluster.log\nout*\ninputs\n")
    repro.dvc(folder, "remote", "add", "--local", "-d", "store", str(tmp_path / "remote"))
    git(folder, "commit", "-qam", "state")
    return folder


@pytest.mark.timeout(1200)
def test_candidates_train_on_nodes_and_arrive_as_they_left(project: Path) -> None:
    with cluster(project):
        done = run(project, "train", "digits", "--on", "ray")
        assert done.returncode == 0, done.stdout + done.stderr
        told = {found["candidate"]: found["digest"] for line in done.stdout.splitlines() if (found := _told(line))}
        assert sorted(told) == CANDIDATES
        for name, digest in told.items():
            assert manifests.verified(project / "models" / name)["digest"] == digest
            assert f"Stage 'train@{name}' is cached - skipping run" in done.stdout
        assert json.loads((project / "reports/digits/promotion.json").read_text())["open"]
        again = run(project, "train", "digits", "--on", "ray")
        assert again.returncode == 0, again.stderr
        assert not any(map(_told, again.stdout.splitlines())), "nothing is sent to a node twice"


def _told(line: str) -> dict[str, str]:
    _, _, rest = line.partition("] ")
    return json.loads(rest) if line.startswith("[") and rest.startswith("{") else {}


@pytest.mark.timeout(1200)
def test_two_nodes_train_one_model_as_two_processes_of_torchrun_do(tmp_path: Path) -> None:
    """To the bit: each has half of every batch, and two gradients have one sum. One process has other batch statistics and dropout."""
    folder = shared(tmp_path, ["objects-simple"])
    repro.dvc(folder, "repro", "ingest@objects")
    done = repro.python(folder, *repro.TORCHRUN, "family=objects", "candidate=objects-simple", "run=short")
    assert done.returncode == 0, done.stderr
    model = folder / "models/objects-simple"
    expected = manifests.verified(model)["digest"]
    shutil.rmtree(model)
    with cluster(folder, 2):
        done = run(folder, "train", "objects", "--on", "ray", "--nodes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert manifests.verified(model)["digest"] == expected


def test_what_a_node_or_this_machine_lacks_is_named(project: Path) -> None:
    with cluster(project, 2):
        settings = project / ".store/cluster/node-2/.dvc/config.local"
        other = project / ".store/cluster/node-1/.dvc/config.local"
        content = settings.read_text()
        for path in (settings, other):
            path.unlink()
        lacking = run(project, "train", "digits", "--on", "ray")
        assert lacking.returncode == 1
        assert "has no DVC remote, which data and models travel through. There: `dvc remote add --local -d store" in lacking.stdout
        for path in (settings, other):
            path.write_text(content)
        model = project / ".store/cluster/node-2/pipelines/families/digits/model.py"
        model.write_text(model.read_text() + "\n")
        dirty = run(project, "train", "digits", "--on", "ray")
        assert (dirty.returncode, "has changes that are not committed:  M pipelines/families/digits/model.py" in dirty.stderr) == (1, True)
        git(model.parent, "checkout", "-q", ".")
        git(project, "commit", "-q", "--allow-empty", "-m", "another")
        behind = run(project, "train", "digits", "--on", "ray")
        assert behind.returncode == 1
        assert "is at commit" in behind.stderr
        assert "There: `git fetch && git checkout" in behind.stderr
    (project / ".dvc/config.local").unlink()
    assert "NoCluster: on=ray: no cluster is known" in run(project, "train", "digits", "--on", "ray").stderr


def numbers(folder: Path) -> list[int]:
    return [row["number"] for path in sorted((folder / "answers").glob("0*.parquet")) for row in rows.read(path, ["number"])]


@pytest.mark.timeout(1200)
def test_a_batch_whose_node_is_killed_has_one_row_for_each_input(tmp_path: Path) -> None:
    folder = worktree(tmp_path / "atelier")
    source = digits(tmp_path / "inputs", 20_000)
    words = ["batch", "digits", "--from", str(source), "--on", "ray", "--to"]
    with cluster(folder) as process:
        begun = start(folder, *words, str(tmp_path / "three"))
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


SWEEP = """base: digits-sgd
seed: 1
budget: {trials: 5, seconds: null, cpus: 1, floor: 0.01, settings: {fit.epochs: 2}}
sampler: random
pruner: {kind: none}
space: {fit.learning_rate: {low: 0.01, high: 0.1, log: true}}
"""
ENDED = re.compile(r"^\[ ?(\d+)/5\] trial (\d+): ", re.MULTILINE)  # what the sweep says of a finished trial


def trains(node: psutil.Process) -> bool:
    """Is a trial at work on this node?"""
    return any("pipelines.stages.trial" in each.cmdline() for each in node.children(recursive=True))


@pytest.mark.timeout(1800)
def test_a_sweep_whose_node_is_killed_finishes_as_many_trials_as_on_one_node(project: Path) -> None:
    for name in ("three", "one"):
        (project / f"conf/sweep/digits-{name}.yaml").write_text(SWEEP)
    git(project, "add", "-A")
    git(project, "commit", "-qm", "sweeps")
    repro.dvc(project, "repro", "ingest@digits")
    with cluster(project) as process:
        begun = start(project, "sweep", "digits", "--name", "three", "--on", "ray")
        assert until(lambda: any(map(trains, raylets(process)[1:])) or begun.poll() is not None, 1800)
        next(node for node in raylets(process)[1:] if trains(node)).kill()
        three = begun.communicate()[0]
        assert begun.returncode == 0, three
        assert "ended with exit code 137 and is tried again" in three
    with cluster(project, 1):
        one = run(project, "sweep", "digits", "--name", "one", "--on", "ray")
        assert one.returncode == 0, one.stderr
    for said in (three, one.stdout + one.stderr):
        ended = ENDED.findall(said)
        assert [int(count) for count, _ in ended] == [1, 2, 3, 4, 5]
        assert len({number for _, number in ended}) == 5, "none twice"
