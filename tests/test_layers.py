"""The house rules, read from the source: imports run one way, and dvc.yaml names what each stage reads."""

import ast
from pathlib import Path

import pytest
import yaml

from pipelines import discovery
from pipelines.fingerprints.modules import ROOT, Sources
from tests.imports import imported

FILES = sorted(path.relative_to(ROOT) for room in ("pipelines", "serving") for path in (ROOT / room).rglob("*.py"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FRAMEWORKS = {"tensorflow", "keras", "torch", "torchvision"}
FURNITURE = {"settings", "embedded", "data", "examples", "picture", "probe", "model", "fit", "predict", "score"}


def room(path: Path) -> str:
    """stages, families/<name>, serving/<name>, serving or services."""
    if path.parts[0] == "serving":
        return "/".join(path.parts[:2]) if len(path.parts) == 3 else "serving"
    if path.parts[1] == "families" and len(path.parts) > 3:
        return "/".join(path.parts[1:3])
    return "stages" if path.parts[1] == "stages" else "services"


def allowed(here: str, there: str) -> bool:
    if here == there or there == "services":
        return True
    if here == "serving":
        return False
    if here.startswith("serving/"):
        return there in {"serving", here.replace("serving/", "families/")}
    return here == "stages" and there.startswith("families/")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_run_one_way(path: Path) -> None:
    wrong = {str(target) for target in imported(path) if not allowed(room(path), room(target))}
    if path == Path("serving/demo.py"):  # the tour of one family
        wrong -= {"serving/digits/__init__.py", "serving/digits/answers.py"}
    assert not wrong, f"{path} ({room(path)}) may not import {wrong}"


@pytest.mark.parametrize("family", discovery.names())
def test_every_room_has_the_same_furniture(family: str) -> None:
    there = {path.stem for path in (ROOT / "pipelines/families" / family).glob("*.py")}
    assert there >= FURNITURE
    assert {path.name for path in (ROOT / "serving" / family).iterdir()} >= {"service.py", "answers.py", "flags.py", "page.html"}


@pytest.mark.parametrize("family", discovery.names())
def test_what_is_served_needs_no_training_framework(family: str) -> None:
    for name in (f"pipelines.families.{family}.predict", f"serving.{family}.service"):
        for module in Sources().closure(name, family).values():
            assert not FRAMEWORKS & top_imports(module.file), f"{module.name} imports a training framework"


def top_imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def test_dvc_yaml_lists_no_code() -> None:
    """What a stage computes with is a fingerprint (stage `code`): a list of files would have to be kept by hand."""
    assert not [dep for stage in STAGES.values() for dep in stage["do"].get("deps", []) if "pipelines/" in dep or "serving/" in dep]


def test_dvc_yaml_names_every_family_and_candidate() -> None:
    for stage in ("look", "code", "ingest", "promote"):
        assert sorted(STAGES[stage]["foreach"]) == discovery.names()
    for stage in ("train", "evaluate"):
        listed = {key: row["family"] for key, row in STAGES[stage]["foreach"].items()}
        assert listed == {candidate: family for family in discovery.names() for candidate in discovery.candidates(family)}


def test_importing_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    from tests.conftest import environment

    shared = [
        "pipelines.registry.reconcile",
        "pipelines.lineage.starts",
        "pipelines.registry.promotion",
        "serving.live.champion",
        "serving.ask",
    ]
    rooms = [f"serving.{family}.answers" for family in discovery.names()]
    subprocess.run([sys.executable, "-c", f"import {', '.join(shared + rooms)}"], cwd=tmp_path, env=environment(), check=True)
    assert not list(tmp_path.iterdir())
