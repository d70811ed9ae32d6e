"""What is packed depends on the sources alone: the stage ingest in two environments gives the same files, byte for byte."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines import discovery
from tests.conftest import environment, worktree

DISPATCHED = np._core._multiarray_umath.__cpu_dispatch__  # what NumPy computes in other ways on other processors
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
PLAIN = {
    **dict.fromkeys(THREADS, "1"),
    **{"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C", "NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED)},
    **{"OPENCV_CPU_DISABLE": "SSE4.2,AVX,AVX2,FMA3,AVX512-SKX", "OPENCV_IPP": "disabled"},
}
OTHER = {**dict.fromkeys(THREADS, "3"), "PYTHONHASHSEED": "2", "TZ": "Pacific/Chatham", "LC_ALL": "C.UTF-8"}
BACKWARDS = """
import os, runpy, sys
forwards = os.listdir
os.listdir = lambda *words: sorted(forwards(*words), reverse=True)
sys.argv[:1] = []
runpy.run_module("pipelines.stages.ingest", run_name="__main__", alter_sys=True)
"""


def ingested(folder: Path, family: str, *words: str, umask: int, **env: str) -> dict[str, str]:
    """{name: SHA-256} of the files that the stage packs from embedded data."""
    asked = [sys.executable, *words, f"family={family}", "run=smoke", "data.sources=[embedded]"]
    given = environment(PYTHONPATH=str(folder), **env)
    done = subprocess.run(asked, cwd=folder, env=given, umask=umask, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "data" / family).iterdir())}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    places = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("another place é") / "deep"]
    worktree(places[0], "registry/", "released/", "tests/")
    shutil.copytree(places[0], places[1])
    return places


@pytest.mark.slow
@pytest.mark.parametrize("family", discovery.names())
def test_two_environments_pack_the_same(projects: list[Path], family: str) -> None:
    one = ingested(projects[0], family, "-m", "pipelines.stages.ingest", umask=0o022, **PLAIN)
    other = ingested(projects[1], family, "-c", BACKWARDS, "pipelines.stages.ingest", umask=0o077, **OTHER)
    assert one == other
    assert "card.json" in one
