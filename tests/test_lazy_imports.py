"""Modules of the project are imported at the top, but for a short list with reasons; frameworks and MLflow where they are needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.imports import ROOT

LAZY = {  # {file: why it imports a module of the project inside a function}
    "pipelines/stages/promote.py": "every `dvc repro` runs it, and it ends before the heavy imports where there is nothing to decide",
    "pipelines/stages/look.py": "every `dvc repro` runs it; the image store brings NumPy and Pillow",
    "pipelines/families/signatures/probe.py": "a bento has no tqdm, which the drawn pages need; it has its example already",
    "pipelines/cluster/tasks.py": "Ray runs these functions on a node, which imports its own modules",
    "serving/auth/policy.py": "half a second and 28 MB of each worker, and only where tokens are required",
    "serving/endpoints.py": "as serving/auth/policy.py",
    "serving/__main__.py": "Prometheus reads its environment when it is imported, and this sets it",
    "serving/inputs/pictures.py": "the portal reads headers alone; NumPy and OpenCV would be a third of its process",
    "serving/pages/routes.py": "the portal has pages, but no model cards, which bring what reads models",
    "serving/jobs/worker.py": "Celery and kombu are loaded only where BROKER_URL names a broker",
    "serving/jobs/supervisor.py": "as serving/__main__.py, which imports it before",
}
LIGHT = (
    "pipelines.registry.reconcile, pipelines.registry.promotion, pipelines.lineage.starts, pipelines.audit.rebuild, "
    "serving.gravures.adding, serving.live.champion"
)
HEAVY = {"mlflow", "tensorflow", "keras", "torch", "transformers", "dvc.repo", "bentoml"}
FILES = sorted(path for folder in ("pipelines", "serving") for path in (ROOT / folder).rglob("*.py"))


def lazy(path: Path) -> Iterator[str]:
    """The modules of the project that a file imports inside a function."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    for node in (node for function in functions for node in ast.walk(function)):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "pipelines"
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_modules_of_the_project_are_imported_at_the_top() -> None:
    found = {path for path in FILES if {name.split(".")[0] for name in lazy(path)} & {"pipelines", "serving"}}
    assert {path.relative_to(ROOT).as_posix() for path in found} == set(LAZY)


def test_what_looks_loads_neither_mlflow_nor_a_framework(tmp_path: Path) -> None:
    assert loaded(tmp_path, LIGHT) & HEAVY == set()


def test_the_service_is_begun_before_prometheus_is_imported(tmp_path: Path) -> None:
    assert "prometheus_client" not in loaded(tmp_path, "serving.__main__")


def test_the_portal_loads_nothing_that_computes(tmp_path: Path) -> None:
    assert not {"numpy", "cv2", "mlflow", "onnxruntime", "bentoml"} & set(loaded(tmp_path, "serving.portal.__main__"))


@pytest.mark.parametrize("module", ["pipelines.registry.reconcile", "serving.live.champion", "serving.digits.service"])
def test_a_bento_needs_no_tqdm(tmp_path: Path, module: str) -> None:
    assert "tqdm" not in loaded(tmp_path, module)


def loaded(folder: Path, modules: str) -> set[str]:
    """What importing these modules loads, in a process of its own."""
    words = [sys.executable, "-c", f"import {modules}, sys; print(*sys.modules)"]
    return set(subprocess.run(words, cwd=folder, env=environment(), check=True, capture_output=True, text=True).stdout.split())
