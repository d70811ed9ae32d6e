"""The house rules, read from the source: imports run one way, and dvc.yaml names what each stage reads."""

import ast
from pathlib import Path

import pytest
import yaml

from pipelines import families
from tests.imports import ROOT, closure, imported

FILES = sorted(path.relative_to(ROOT) for room in ("pipelines", "serving") for path in (ROOT / room).rglob("*.py"))
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
FRAMEWORKS = {"tensorflow", "keras", "torch", "torchvision"}
PARTS = "parts"  # of a room: modules that belong to it alone; a stage that needs one depends on all
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


@pytest.mark.parametrize("family", families.names())
def test_every_room_has_the_same_furniture(family: str) -> None:
    there = {path.stem for path in (ROOT / "pipelines/families" / family).glob("*.py")}
    assert there >= FURNITURE
    assert {path.name for path in (ROOT / "serving" / family).iterdir()} >= {"service.py", "answers.py", "flags.py", "page.html"}


@pytest.mark.parametrize("family", families.names())
def test_what_is_served_needs_no_training_framework(family: str) -> None:
    for path in closure(Path("pipelines/families", family, "predict.py"), family) | closure(Path("serving", family, "service.py"), family):
        assert not FRAMEWORKS & top_imports(path), f"{path} imports a training framework"


def top_imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in names}


def declared(stage: str, key: str, family: str) -> set[Path]:
    """The code that dvc.yaml names for a stage."""
    deps = STAGES[stage]["do"]["deps"]
    paths = [Path(dep.replace("${item.family}", family).replace("${item}", family).replace("${key}", key)) for dep in deps]
    parts = {path.relative_to(ROOT) for folder in paths if folder.name == PARTS for path in (ROOT / folder).glob("*.py")}
    return {path for path in paths if path.suffix == ".py"} | {path for path in parts if path.name != "__init__.py"}


def rows() -> list[tuple[str, str, str]]:
    """(stage, key, family) for every line of dvc.yaml that a cache may skip."""
    plain = [("ingest", family, family) for family in STAGES["ingest"]["foreach"]]
    return plain + [(stage, key, row["family"]) for stage in ("train", "evaluate") for key, row in STAGES[stage]["foreach"].items()]


@pytest.mark.parametrize(("stage", "key", "family"), rows())
def test_deps_are_the_files_a_stage_imports(stage: str, key: str, family: str) -> None:
    read = {name: closure(Path("pipelines/stages", f"{stage}.py"), name) for name in families.names()}
    others = {path for found in read.values() for path in found if room(path) == "services"}
    named = declared(stage, key, family)
    assert read[family] <= named
    assert {path for path in named if path.parent.name != PARTS} <= read[family] | others


def test_dvc_yaml_names_every_family_and_candidate() -> None:
    for stage in ("look", "ingest", "promote"):
        assert sorted(STAGES[stage]["foreach"]) == families.names()
    for stage in ("train", "evaluate"):
        listed = {key: row["family"] for key, row in STAGES[stage]["foreach"].items()}
        assert listed == {candidate: family for family in families.names() for candidate in families.candidates(family)}


def test_importing_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    from tests.conftest import environment

    shared = ["pipelines.registry", "pipelines.lineage", "pipelines.promotion", "serving.champion", "serving.ask"]
    rooms = [f"serving.{family}.answers" for family in families.names()]
    subprocess.run([sys.executable, "-c", f"import {', '.join(shared + rooms)}"], cwd=tmp_path, env=environment(), check=True)
    assert not list(tmp_path.iterdir())
