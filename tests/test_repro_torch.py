"""The families of PyTorch by real DVC, in a repository of their own: one candidate of each network, from ingest to promotion."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmarks import models
from pipelines import discovery
from pipelines.models import manifests
from tests import repro
from tests.conftest import commit
from tests.repro import dvc, python

pytestmark = pytest.mark.slow
FAMILIES = [family for family in discovery.names() if family != "digits"]
CANDIDATES = [candidate for family in FAMILIES for candidate in repro.architectures(family)]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repro.clone(tmp_path_factory.mktemp("clone"), CANDIDATES)


def test_a_killed_training_goes_on_from_its_last_epoch(clone: Path) -> None:
    repro.killed_and_resumed(clone, "objects-simple")


@pytest.mark.timeout(1800)
def test_repro_trains_compares_and_promotes_every_family(clone: Path) -> None:
    printed = dvc(clone, "repro").replace("\n", " ")
    for family in FAMILIES:
        assert repro.promoted(clone, family)["words"].split(";")[0] in printed
    assert [candidate for candidate in CANDIDATES if candidate not in printed] == []
    commit(clone)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_every_network_keeps_the_contract(clone: Path, candidate: str) -> None:
    repro.complete(clone, candidate)
    repro.scored_by_what_is_served(clone, candidate)
    repro.mistakes_are_drawn(clone, candidate)


@pytest.mark.parametrize(
    "family", [family if family == "objects" else pytest.param(family, marks=pytest.mark.system) for family in FAMILIES]
)
def test_trained_again_it_is_the_same_model(clone: Path, family: str, tmp_path: Path) -> None:
    repro.the_same_elsewhere(clone, repro.architectures(family)[0], tmp_path / "elsewhere")


@pytest.mark.parametrize("family", FAMILIES)
def test_sheets_plots_and_model_are_beside_every_run(clone: Path, family: str) -> None:
    repro.in_mlflow(clone, family, repro.architectures(family))


def test_editing_a_candidate_reruns_that_candidate_alone(clone: Path) -> None:
    assert repro.edited(clone, "objects-simple", "dropout: 0.5") == {"train@objects-simple", *repro.always(*FAMILIES)}


@pytest.mark.parametrize("candidate", repro.architectures("signatures"))
def test_weights_of_signatures_are_darknets(clone: Path, candidate: str) -> None:
    """What Darknet would go on from, and what OpenCV is served: as long as the cfg asks, alike but for the variances."""
    native, served = ((clone / "models" / candidate / name).read_bytes() for name in ("native/network.weights", "opencv.weights"))
    assert len(native) == len(served) > 20_000_000
    before, after = (np.frombuffer(content, "<f4", offset=20) for content in (native, served))
    assert np.isfinite(before).all()
    assert 0 < (before != after).mean() < 0.01
    assert np.abs(after - before).max() == pytest.approx(9e-6, rel=0.2)


@pytest.mark.parametrize("candidate", repro.architectures("objects"))
def test_native_weights_of_objects_are_complete_and_finite(clone: Path, candidate: str) -> None:
    tensors = load_file(models.trained(clone / "models" / candidate))
    card = json.loads((clone / "data/objects/card.json").read_text())
    assert tensors["mean"].ravel() == pytest.approx(255 * np.array(card["mean"]))
    assert [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()] == []
    assert sum(tensor.size for name, tensor in tensors.items() if name.startswith("body.")) > 100_000


@pytest.mark.parametrize("family", FAMILIES)
def test_what_was_deleted_comes_back_out_of_the_cache(clone: Path, family: str) -> None:
    repro.restored_from_the_cache(clone, family)


def test_two_processes_train_one_model(clone: Path) -> None:
    done = python(clone, *repro.TORCHRUN, "family=objects", "candidate=objects-simple", "run=both")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("export proven") == 1
    folder = clone / "models/objects-simple"
    assert manifests.verified(folder)["config"]["run"] == "both"
    assert [row["epoch"] for row in repro.history(folder)] == [1, 2, 3]
    assert [row for row in repro.runs(clone, "objects") if row[2] == 3] == [["objects-simple", "FINISHED", 3, 3]]
    assert not list((clone / ".checkpoints").glob("objects-simple-*"))
    assert not list((clone / "models").glob(".*"))
