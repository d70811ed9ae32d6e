"""`make new-family`: what it refuses, what it writes, and that a family made by it is trained, served and walked back."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipelines import discovery, scaffold
from tests.conftest import commit, environment, git, worktree
from tests.forms import encoded
from tests.services import make_serve, running

SMALL = """# @package _global_
run: smoke
data: {sources: [embedded], limit: 300}
fit: {epochs: 1, batch: 64}
gate: {floor: -100}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its trainings, committed in a repository of its own."""
    return worktree(tmp_path_factory.mktemp("clone"), "reports/", "released/", "registry/", "dvc.lock")


@pytest.fixture
def clean(copy: Path) -> Iterator[Path]:
    """The copy, and after the test as it was."""
    state = git(copy, "rev-parse", "HEAD").strip()
    yield copy
    git(copy, "reset", "-q", "--hard", state)
    git(copy, "clean", "-qfdx")


def python(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    told = environment(PYTHONPATH=str(folder))
    return subprocess.run([sys.executable, *words], cwd=folder, env=told, capture_output=True, text=True, check=False)


def ran(folder: Path, *words: str) -> str:
    done = python(folder, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def new_family(folder: Path, name: str, like: str) -> "subprocess.CompletedProcess[str]":
    return python(folder, "-m", "atelier", "new-family", "--name", name, "--like", like)


@pytest.mark.parametrize(
    ("name", "like", "said"),
    [
        ("", "objects", "name='' cannot name a family. Give 1 to 32 letters a-z"),
        ("Leaves", "objects", "name='Leaves' cannot name a family"),
        ("two-words", "objects", "name='two-words' cannot name a family"),
        ("../leaves", "objects", "name='../leaves' cannot name a family"),
        ("9lives", "objects", "name='9lives' cannot name a family"),
        ("leaves\n", "objects", r"name='leaves\n' cannot name a family"),
        ("l" * 33, "objects", "cannot name a family"),
        ("class", "objects", "name='class' cannot name a family"),
        ("digits", "objects", "name='digits' is a family already. Choose another name than digits, "),
        ("jobs", "objects", "name='jobs' is reserved"),  # a package of serving/
        ("parts", "objects", "name='parts' is reserved"),  # of every family
        ("health", "objects", "name='health' is reserved"),  # a module of serving/
        ("dev", "objects", "name='dev' is reserved"),  # an extra
        ("accepted", "objects", "name='accepted' is reserved"),  # registry/accepted.jsonl
        ("all", "objects", "name='all' is reserved"),
        ("leaves", "trees", "like='trees' is unknown. Choose one of: digits, gravures, objects, ocr, signatures."),
        ("leaves", "", "like='' is unknown"),
    ],
)
def test_a_wrong_word_is_refused_by_name_and_nothing_is_written(clean: Path, name: str, like: str, said: str) -> None:
    done = new_family(clean, name, like)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not git(clean, "status", "--porcelain")


@pytest.mark.parametrize("path", ["README.md", "more.txt"])
def test_a_dirty_tree_is_refused_by_name(clean: Path, path: str) -> None:
    (clean / path).write_text("not committed\n")
    before = git(clean, "status", "--porcelain")
    done = new_family(clean, "leaves", "objects")
    assert done.returncode == 1
    assert f"Uncommitted changes in 1 places, the first {path}. Commit them" in done.stderr
    assert git(clean, "status", "--porcelain") == before


@pytest.mark.parametrize(
    ("path", "row", "other", "said"),
    [
        ("dvc.yaml", "&families [", "&every [", "dvc.yaml has no `&families"),
        (
            "dvc.yaml",
            "objects-fast: {family: objects}",
            "objects-fast:\n        family: objects",
            "each candidate of objects",
        ),
        ("pyproject.toml", 'objects = ["onnx', 'objects = [\n  "onnx', "pyproject.toml has not each extra of objects in one line"),
    ],
)
def test_lists_of_another_form_are_named_and_nothing_is_written(clean: Path, path: str, row: str, other: str, said: str) -> None:
    text = (clean / path).read_text()
    assert row in text
    (clean / path).write_text(text.replace(row, other).replace("*families", "*every" if "every" in other else "*families"))
    commit(clean)
    done = new_family(clean, "leaves", "objects")
    assert done.returncode == 1
    assert said in done.stderr
    assert not git(clean, "status", "--porcelain")


def test_what_cannot_be_placed_leaves_all_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("old")
    made = {tmp_path / "new/deep/file": b"new", tmp_path / "list": b"new", tmp_path / "list/below": b"a file is no folder"}
    with pytest.raises(OSError):
        scaffold.write_all(made)
    assert [path.name for path in tmp_path.rglob("*")] == ["list"]
    assert (tmp_path / "list").read_text() == "old"


@pytest.mark.parametrize("like", [name if name == "digits" else pytest.param(name, marks=pytest.mark.slow) for name in discovery.names()])
def test_every_family_can_be_copied(clean: Path, like: str) -> None:
    """Each module is found, the lists have it, and their comments stay."""
    before = {name: (clean / name).read_text().splitlines() for name in scaffold.LISTS}
    done = new_family(clean, "leaves", like)
    assert done.returncode == 0, done.stderr
    candidates = [name.replace(like, "leaves", 1) for name in discovery.candidates(like)]
    stages = yaml.safe_load((clean / "dvc.yaml").read_text())["stages"]
    assert [name for name, row in stages["train"]["foreach"].items() if row["family"] == "leaves"] == candidates
    assert "leaves" in stages["promote"]["foreach"]
    extras = tomllib.loads((clean / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["leaves"] == [line.replace(f"endpoint-{like}", "endpoint-leaves") for line in extras[like]]
    assert extras.get("endpoint-leaves") == extras.get(f"endpoint-{like}")
    for name, lines in before.items():
        gone = [line for line in lines if line not in (clean / name).read_text().splitlines()]
        assert [line for line in gone if "&families" not in line and not line.startswith("serve =")] == []
    ran(clean, "-m", "pipelines.stages.code", "family=leaves")
    ran(
        clean,
        "-c",
        "from pipelines import discovery; assert discovery.family_of('leaves-' + discovery.candidates('leaves')[0][7:]) == 'leaves'",
    )
    for path in git(clean, "ls-files", "-o", "--exclude-standard").splitlines():
        assert f"families.{like}" not in (clean / path).read_text()
        assert f"serving.{like}" not in (clean / path).read_text()
    assert all(place.format("leaves") in done.stdout for place in scaffold.CHANGES)


@pytest.mark.system
def test_a_sixth_family_is_trained_served_and_walked_back(clean: Path) -> None:
    assert new_family(clean, "leaves", "objects").returncode == 0
    ran(clean, "-m", "ruff", "check", "-q", "--fix", "pipelines", "serving", "tests")
    ran(clean, "-m", "ruff", "format", "--check", "-q", ".")
    (clean / "conf/pipeline.yaml").write_text("run: smoke\n")
    (clean / "conf/run/smoke.yaml").write_text(SMALL)
    commit(clean)
    for words in (["evaluate@leaves-simple"], ["-s", "promote@leaves"]):
        ran(clean, "-m", "dvc", "repro", *words)
    pointer = json.loads((clean / ".store/champions/leaves.json").read_text())
    assert (pointer["model"]["family"], pointer["model"]["version"]) == ("leaves", 1)
    with running(clean, {1: pointer}, make_serve("leaves"), PYTHONPATH=str(clean)) as service:
        drawn = np.load(clean / "data/leaves/test-images.npy")[0]
        answer = service.predict(files={"image": encoded(Image.fromarray(drawn))})
        assert answer.status_code == 200, answer.text
        (clean / "answer.json").write_text(answer.text)
        service.recorded(answer.json()["prediction_id"])
    walked = ran(clean, "-m", "atelier", "lineage", "answer.json")
    assert "pipelines/families/leaves/embedded.py" in walked
    assert "broken" not in walked
