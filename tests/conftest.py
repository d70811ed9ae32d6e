"""A small project in a folder of its own: real stores, real MLflow, real ledger, and a model that needs no training framework."""

import atexit
import contextlib
import functools
import hashlib
import importlib
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from pipelines import configs, discovery, folders
from pipelines.artifacts import lock
from pipelines.datasets import cards
from pipelines.models import manifests
from pipelines.registry import promotion
from pipelines.stages import evaluate as stage
from pipelines.tracking import client as tracking
from pipelines.tracking import locations
from pipelines.training import records, session
from tests.forms import encoded
from tests.postgres import cluster, postgres  # noqa: F401  (fixtures)

ROOT = Path(__file__).parents[1]
GATE = ["gate.floor=0.1", "gate.confidence=0.001", "gate.gain=0"]
pytest_plugins = ["tests.browsers", "tests.portals", "tests.tiers"]


def pytest_configure(config: pytest.Config) -> None:
    """Child processes compute with one thread each: what tests train is so small that threads wait for each other more than they work.

    They hear Ctrl-C: a runner in the background ignores it, and so would all that it starts.
    """
    os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    signal.signal(signal.SIGINT, signal.default_int_handler)


def worktree(folder: Path, *left_out: str) -> Path:
    """The working tree, but for paths that begin so, committed in a repository of its own."""
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith(left_out) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    git(folder, "init", "-q")
    commit(folder)
    return folder


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "state")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as the working directory, with embedded data of 400 digits in data/digits/."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    embedded_data()
    return tmp_path


def embedded_data(family: str = "digits") -> None:
    """data/<family>/ with at most 400 embedded images a split, and an MLflow without runs, here: each is made once a process."""
    shutil.copytree(_prepared(family), Path.cwd(), dirs_exist_ok=True)


@functools.cache
def _prepared(family: str) -> Path:
    cfg, folder = configs.compose([f"family={family}", "run=smoke", "data.sources=[embedded]"]), Path(tempfile.mkdtemp(prefix="prepared-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.chdir(folder):
        with folders.replacing(cfg.data_folder) as out:
            discovery.part(family, "data").prepare(cfg, out)
        shutil.copytree(_mlflow(), "mlruns")
    return folder


@functools.cache
def _mlflow() -> Path:
    """mlruns/ without runs: MLflow takes seconds to make its tables."""
    folder = Path(tempfile.mkdtemp(prefix="mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.chdir(folder):
        tracking.client()
    return folder / "mlruns"


def tiny_model(candidate: str, seed: int) -> Path:
    """A complete model folder models/<candidate>/ whose network is one random layer."""
    family = discovery.family_of(candidate)
    cfg = configs.compose([f"family={family}", f"candidate={candidate}", "run=smoke", "data.sources=[embedded]"])
    digest = cards.read(cfg.data_folder)["hash"]
    begun, training = records.begun(family), session.under_way(cfg, digest, "this code")
    training.epoch({"accuracy": 0.5, "valid_accuracy": 0.4}, lambda folder: None)
    with folders.replacing(cfg.model_folder) as out:
        described = network(family, out, seed)
        session.write_history(out, training.history)
        records.write(out, training, begun)
        manifests.write(out, cfg, digest, described)
    training.finish()
    return cfg.model_folder


def promoted_project(*trained: tuple[str, int, float]) -> None:
    """What is left where tiny models (candidate, seed, figure on validation) were promoted one after the other, here; each is made once."""
    made = _promoted(trained)
    shutil.copytree(made, Path.cwd(), dirs_exist_ok=True)
    locations.mend(tracking.ROOT)
    moved()


@functools.cache
def _promoted(trained: tuple[tuple[str, int, float], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="promoted-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with contextlib.chdir(folder):
        for candidate, seed, accuracy in trained:
            family = discovery.family_of(candidate)
            if not Path("data", family).exists():
                embedded_data(family)
            tiny_model(candidate, seed)
            evaluate(candidate, accuracy)
            promotion.promote(configs.compose([f"family={family}", "run=smoke", "data.sources=[embedded]", *GATE]))
    return folder


def network(family: str, out: Path, seed: int) -> manifests.Description:
    """The files of a tiny model: its weights differ by `seed`."""
    described: manifests.Description = expected(family).network(out, seed)
    return described


def expected(family: str) -> ModuleType:
    """What the tests know of a family, tests/families/<family>.py."""
    return importlib.import_module(f"tests.families.{family}")


def decided(family: str) -> str:
    """The family; the test is skipped for a new one that has no ledger yet."""
    if not (ROOT / f"registry/{family}.jsonl").exists():
        pytest.skip(f"{family} has no champion yet: make train family={family}")
    return family


def evaluate(candidate: str, headline: float) -> None:
    """The real evaluate stage, then the figure on validation that the test needs: that of a random layer means nothing."""
    stage.main(
        configs.compose([f"family={discovery.family_of(candidate)}", f"candidate={candidate}", "run=smoke", "data.sources=[embedded]"])
    )
    page = Path("reports", discovery.family_of(candidate), "candidates", f"{candidate}.json")
    report = json.loads(page.read_text())
    report["valid"][discovery.part(discovery.family_of(candidate), "score").HEADLINE] = headline
    folders.write_json(page, report)
    recorded(page)


def recorded(page: Path) -> None:
    """Name a report in dvc.lock, as DVC does after the evaluate stage."""
    content = (lock.LOCK.exists() and yaml.safe_load(lock.LOCK.read_text())) or {"schema": "2.0", "stages": {}}
    entry = {"path": page.as_posix(), "hash": "md5", "md5": hashlib.md5(page.read_bytes(), usedforsecurity=False).hexdigest()}
    content["stages"][f"evaluate@{page.stem}"] = {"cmd": "false", "outs": [entry | {"size": page.stat().st_size}]}
    lock.LOCK.write_text(yaml.safe_dump(content))


def moved() -> None:
    """The project's folder is another one for this process too: MLflow remembers the place of each run that it wrote to."""
    importlib.import_module("mlflow.tracking._tracking_service.utils")._artifact_repos_cache.clear()


def picture(family: str) -> bytes:
    """A test picture of the embedded data, dark on light, as a file."""
    split = discovery.part(family, "examples").load(Path("data", family), "test")
    if family == "signatures":
        return split.pages[0].content
    return encoded(Image.fromarray(split.pictures[0] if family == "ocr" else 255 - split.images[0]))


def environment(**more: str) -> dict[str, str]:
    """The environment of a child process: the project's code on its path, no mirror, no experiment."""
    inherited = {key: value for key, value in os.environ.items() if key not in {"DATA_MIRROR", "DVC_EXP_NAME"}}
    scripts = str(Path(sys.executable).parent)
    return {**inherited, "PYTHONPATH": str(ROOT), "PATH": f"{scripts}:{inherited['PATH']}", "TF_CPP_MIN_LOG_LEVEL": "3", **more}


@pytest.fixture(scope="session", autouse=True)
def no_log_of_dvc() -> None:
    """DVC's log holds on to the standard output that it finds when it is imported: that of one test, which is closed in the next."""
    importlib.import_module("dvc")
    logging.getLogger("dvc").handlers.clear()


@pytest.fixture(scope="session", autouse=True)
def no_framework() -> Iterator[None]:
    """The tests' own process never imports a training framework: trainings run in processes of their own."""
    yield
    assert not {"tensorflow", "torch"} & set(sys.modules)


def git_refuses(patch: pytest.MonkeyPatch) -> None:
    """As where another user owns the folder, which is what a container sees of a mounted one."""
    for name, value in {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}.items():
        patch.setenv(name, value)


def as_typed(remedy: str) -> list[str]:
    """A remedy that an error names, as a command that runs in a folder without a Makefile."""
    remedy = re.sub(r"make (reconcile|restore-ledger) family=(\w+)", r"python -m atelier \1 \2", remedy)
    return ["bash", "-c", re.sub(r"make verify forget=(\S+)", r"python -m atelier verify --forget \1", remedy)]
