"""A clone that has trained nothing serves what was released, and says so."""

import json
import shutil
from pathlib import Path

import pytest

from pipelines import configs, discovery, folders
from pipelines.artifacts import copies
from pipelines.ledger import lines as ledger
from pipelines.lineage import starts, steps
from pipelines.models import manifests
from pipelines.registry import promotion, reconcile, releases, store
from tests.conftest import evaluate, promoted_project, tiny_model

WORDS = ["run=smoke", "data.sources=[embedded]", "gate.floor=0.1"]
EVERY = pytest.mark.parametrize("released", discovery.names(), indirect=True)


@pytest.fixture
def released(request: pytest.FixtureRequest, project: Path) -> Path:
    """What a family has released: digits, unless a test asks for others."""
    family = getattr(request, "param", "digits")
    candidate = discovery.candidates(family)[0]
    promoted_project((candidate, 1, 0.5))
    releases.release(family)
    return project / "released" / family


def test_a_release_holds_what_is_served_and_nothing_else(released: Path) -> None:
    there = {str(path.relative_to(released)) for path in released.rglob("*") if path.is_file()}
    assert there == {"model.onnx", "model.json", "example.npz", "card.json", "README.md", "croissant.json", "release.json"}
    named = json.loads((released / "release.json").read_text())["files"]
    assert named == {name: folders.sha256(released / name) for name in there - {"release.json"}}
    assert manifests.verified(released)["digest"] == ledger.version("digits", 1)["digest"]


@pytest.mark.slow
@EVERY
def test_a_fresh_clone_serves_the_release_and_says_so(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family = released.name
    for name in ("models", "data", ".store"):
        shutil.rmtree(name)
    reconcile.reconcile(family)
    assert "this machine has not trained it" in capsys.readouterr().out
    assert manifests.verified(store.location(store.read_pointer(family)["tag"]))["digest"] == ledger.version(family, 1)["digest"]
    found = {link.name: link.status for link in steps.flat(starts.walk(f"{family}@champion"))}
    assert steps.BROKEN not in {status for name, status in found.items() if name not in {"commit", "code"}}
    assert (found["served files"], found["run"], found["model folder"], found["data"]) == ("ok", "ok", "not here", "not here")


def test_a_challenger_is_held_against_the_release(released: Path) -> None:
    for name in ("models", ".store", "reports"):
        shutil.rmtree(name)
    tiny_model("digits-sgd", 2)
    evaluate("digits-sgd", 0.9)
    words = promotion.promote(configs.compose(["family=digits", *WORDS]))["words"]
    assert "gains" in words


def test_a_damaged_release_is_not_served(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree("models")
    shutil.rmtree(".store")
    (released / "model.onnx").write_bytes(b"damaged")
    reconcile.reconcile("digits")
    assert "model.onnx is missing or altered" in capsys.readouterr().err
    with pytest.raises(store.NoChampion):
        store.read_pointer("digits")


def test_what_is_damaged_is_not_released(released: Path) -> None:
    data = Path("data/digits")
    out = {"path": data.as_posix(), "md5": copies.dvc_hash(data)}
    Path("dvc.lock").write_text(json.dumps({"stages": {"ingest@digits": {"outs": [out]}}}))
    stored = store.location(store.read_pointer("digits")["tag"])
    before = folders.sha256(released / "release.json")
    for path in (stored / "example.npz", stored / "model.json", data / "card.json", data / "croissant.json"):
        content = path.read_bytes()
        path.write_bytes(content.replace(b'"seed": 1', b'"seed": 2') if path.name == "model.json" else content + b" ")
        with pytest.raises(releases.NotReleased, match=f"Missing or altered: .*{path.name}.*make verify family=digits"):
            releases.release("digits")
        path.write_bytes(content)
    assert folders.sha256(released / "release.json") == before
    releases.release("digits")


def test_too_large_a_model_is_refused(released: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "LIMIT_MB", 0.001)
    before = folders.sha256(released / "release.json")
    with pytest.raises(releases.NotReleased, match="MB"):
        releases.release("digits")
    assert folders.sha256(released / "release.json") == before


def test_without_a_champion_there_is_nothing_to_release(project: Path) -> None:
    with pytest.raises(releases.NotReleased, match="make train"):
        releases.release("digits")
