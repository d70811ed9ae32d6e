"""The order of the packages, read from the source: imports run one way, and every family has the same modules."""

import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
import yaml

from pipelines import discovery
from pipelines.fingerprints.modules import ROOT, Module, Sources
from tests.conftest import environment

ORDER = """
atelier
pipelines.audit
pipelines.stages serving.<family> serving.portal
serving
serving.jobs serving.feedback serving.batch
serving.auth serving.live
serving.pages serving.inputs
serving.telemetry serving.limits serving.pools
serving.problems serving.metric_files serving.exits
pipelines.lineage pipelines.sweeps
pipelines.registry pipelines.families.<family>
pipelines.tracking pipelines.cluster
pipelines.training pipelines.models pipelines.artifacts pipelines.imagestore
pipelines.datasets pipelines.ledger pipelines.configs pipelines.predictions
pipelines.metrics pipelines.fingerprints
pipelines
"""  # a module imports its own package, and packages of lines below
FRAMEWORKS = {"tensorflow", "keras", "torch", "torchvision"}
REQUIRED = {"settings", "embedded", "data", "examples", "picture", "probe", "model", "fit", "predict", "score"}
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SOURCES = Sources()


def modules() -> Iterator[Module]:
    """Every module of the project."""
    for path in sorted(file for package in ("atelier", "pipelines", "serving") for file in (ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield SOURCES.named(name)


def places() -> dict[str, int]:
    """{package: its line}, the families written out."""
    rows = enumerate(ORDER.split("\n"))
    names = ["<family>", *discovery.names()]
    return {word.replace("<family>", name): row for row, line in rows for word in line.split() for name in names}


PLACES = places()


def package(name: str) -> str:
    """The package of ORDER that a module belongs to."""
    while name not in PLACES:
        name = name.rpartition(".")[0]
    return name


def imported(module: Module) -> set[str]:
    return {found.name for target in module.targets if (found := SOURCES.owner(target))} - {module.name}


def test_imports_run_one_way() -> None:
    pairs = [(module.name, other) for module in modules() for other in sorted(imported(module))]
    wrong = [
        f"{here} -> {there}" for here, there in pairs if package(here) != package(there) and PLACES[package(here)] >= PLACES[package(there)]
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_cycle() -> None:
    graph = {module.name: imported(module) for module in modules()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(f"a cycle of imports: {' <- '.join(cycle.args[1])}")


@pytest.mark.parametrize("family", discovery.names())
def test_every_family_has_the_same_modules(family: str) -> None:
    assert {path.stem for path in (ROOT / "pipelines/families" / family).glob("*.py")} >= REQUIRED
    assert {path.name for path in (ROOT / "serving" / family).iterdir()} >= {"service.py", "answers.py", "flags.py", "page.html"}


@pytest.mark.parametrize("family", discovery.names())
def test_no_package_is_named_like_a_family(family: str) -> None:
    """A bento leaves out the folders of other families by their names."""
    assert [name for name in PLACES if name.rpartition(".")[2] == family] == [f"serving.{family}", f"pipelines.families.{family}"]


@pytest.mark.parametrize("family", discovery.names())
def test_what_is_served_needs_no_training_framework(family: str) -> None:
    for name in (f"pipelines.families.{family}.predict", f"serving.{family}.service"):
        for module in SOURCES.closure(name, family).values():
            imported = {target.partition(".")[0] for target in module.targets}
            assert not FRAMEWORKS & imported, f"{module.name} imports a training framework"


def test_dvc_yaml_lists_no_code() -> None:
    """What a stage computes with is a fingerprint (stage `code`): a list of files would have to be kept by hand."""
    assert not [dep for stage in STAGES.values() for dep in stage["do"].get("deps", []) if "pipelines/" in dep or "serving/" in dep]


def test_dvc_yaml_names_every_family_and_candidate() -> None:
    for stage in ("look", "code", "ingest", "promote"):
        assert sorted(STAGES[stage]["foreach"]) == discovery.names()
    for stage in ("train", "evaluate"):
        listed = {key: row["family"] for key, row in STAGES[stage]["foreach"].items()}
        assert listed == {candidate: family for family in discovery.names() for candidate in discovery.candidates(family)}


def test_importing_leaves_no_trace(tmp_path: Path) -> None:
    shared = [
        "pipelines.registry.reconcile",
        "pipelines.lineage.starts",
        "pipelines.registry.promotion",
        "serving.live.champion",
        "serving.ask",
    ]
    answers = [f"serving.{family}.answers" for family in discovery.names()]
    subprocess.run([sys.executable, "-c", f"import {', '.join(shared + answers)}"], cwd=tmp_path, env=environment(), check=True)
    assert not list(tmp_path.iterdir())
