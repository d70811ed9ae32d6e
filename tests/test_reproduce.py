"""A version trained again from its manifest and record, for real, in a folder of its own; what is not as it was then is told."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import configs, discovery, folders
from pipelines.artifacts import cache
from pipelines.audit import replay, reproduce
from pipelines.audit.reproduce import Finding
from pipelines.ledger import lines as ledger
from pipelines.lineage import starts
from pipelines.models import manifests
from pipelines.registry import promotion
from pipelines.registry import versions as registry_versions
from pipelines.tracking import client as tracking
from pipelines.training import records
from tests.conftest import ROOT, embedded_data, environment, recorded

pytestmark = pytest.mark.slow

RECIPE = ["family=digits", "candidate=digits-sgd", "run=smoke", "data.sources=[embedded]", "model.widths=[4,4,4]"]
Found = tuple[Finding, dict[str, str], dict[str, str]]
PLACE = Path(".store/reproduced/digits-v1")


def git(*words: str) -> None:
    subprocess.run(["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the code, and version 1 of digits: digits-sgd, trained with Keras for one epoch on 400 pictures."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_EXP_NAME", raising=False)
        for name in replay.CODE:
            shutil.copytree(ROOT / name, name, ignore=shutil.ignore_patterns("__pycache__"))
        Path(".gitignore").write_text("__pycache__/\n.store/\n.checkpoints/\nmlruns/\n/data/\n/models/\n")
        git("init", "-q")
        git("add", "-A")
        git("commit", "-qm", "code")
        embedded_data()
        tracking.client()
        (PLACE / "mlruns").mkdir(parents=True)
        shutil.copyfile("mlruns/mlflow.db", PLACE / "mlruns/mlflow.db")  # made once: it takes seconds
        for stage in ("train", "evaluate"):
            words = [sys.executable, "-m", f"pipelines.stages.{stage}", *RECIPE]
            subprocess.run(words, env=environment(PYTHONPATH=str(folder)), check=True, capture_output=True)
        recorded(Path("reports/digits/candidates/digits-sgd.json"))
        decision = promotion.promote(configs.compose([*RECIPE[:1], "gate.floor=0", "run=smoke"]))
        assert decision["open"], decision["words"]
    return folder


@pytest.fixture
def at(trained: Path, monkeypatch: pytest.MonkeyPatch) -> ledger.Line:
    """That repository as the working directory; the line of its version."""
    monkeypatch.chdir(trained)
    return ledger.read("digits")[0]


@pytest.fixture(scope="module")
def found(trained: Path) -> Found:
    """The second training, and the project's files before and after it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        before = contents()
        finding = reproduce.reproduce("digits@champion")
        return finding, before, contents()


def contents() -> dict[str, str]:
    """{path: SHA-256} of all files of the project, git's and MLflow's too, but for the folder of reproductions."""
    files = [path for path in Path().rglob("*") if path.is_file() and ".store/reproduced" not in path.as_posix()]
    return {path.as_posix(): folders.sha256(path) for path in files if path.suffix not in {".db-wal", ".db-shm"}}


def told(finding: Finding, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed, as one line."""
    reproduce.show(finding)
    return " ".join(capsys.readouterr().out.split())


def test_the_second_training_gives_the_same_network(at: ledger.Line, found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    """tf2onnx names nodes in an order that varies: the digests may differ by that, and by nothing else."""
    finding = found[0]
    assert manifests.verified(finding.folder)["digest"] == finding.digest
    assert manifests.read(finding.folder)["config"] == manifests.read(Path("models/digits-sgd"))["config"]
    assert finding.record["key"] != finding.again["key"]
    assert finding.differing == finding.added == []
    assert {after - before for _, _, before, after in finding.differences} == {0.0}
    printed = told(finding, capsys)
    assert f"with commit {at['commit']}; all {len(finding.record['code'])} modules as they were then" in printed
    assert "Versions: as then. Hardware: as then." in printed
    assert (f"The digests agree: {at['digest']}." in printed) is (finding.digest == at["digest"])


def test_digests_that_agree_or_differ_by_names_alone_are_told_apart(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    agreeing = dataclasses.replace(found[0], digest=found[0].line["digest"])
    assert "The digests agree: " in told(agreeing, capsys)
    printed = told(dataclasses.replace(found[0], digest="f" * 64), capsys)
    assert f"now {'f' * 64}. The networks are the same: every operation and weight agrees" in printed
    assert "No metric differs." in printed


def test_nothing_of_the_project_changes(found: Found) -> None:
    _, before, after = found
    assert before == after


def test_other_digests_tell_how_far_the_metrics_are_apart(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    figures = {
        split: {**metrics, "accuracy": metrics["accuracy"] - 0.25} for split, metrics in found[0].figures.items() if split != "examples"
    }
    hardware = {**found[0].again["hardware"], "gpu": ["NVIDIA H100"]}
    versions = {**found[0].again["versions"], "keras": "9.9"}
    again = {**found[0].again, "hardware": hardware, "versions": versions}
    other = dataclasses.replace(found[0], digest="f" * 64, differing=["model.onnx"], figures=figures, again=again)
    assert not other.agrees
    assert {(split, metric): round(after - before, 9) for split, metric, before, after in other.differences if before != after} == {
        ("valid", "accuracy"): -0.25,
        ("test", "accuracy"): -0.25,
    }
    printed = told(other, capsys)
    assert printed.count("-0.25000") == 3
    assert "not the same: model.onnx" in printed
    assert "no metric in common" in told(dataclasses.replace(other, figures={"valid": {}, "test": {}}), capsys)
    assert "The largest difference is accuracy on valid: -0.25000." in printed
    assert "gpu ['NVIDIA H100'], then []" in printed
    assert "keras 9.9, then" in printed


@pytest.mark.parametrize("commit", [None, "0" * 40])
def test_without_the_commit_it_is_the_present_code_and_that_is_told(at: ledger.Line, tmp_path: Path, commit: str | None) -> None:
    recorded = {**records.read(Path("models/digits-sgd"))["code"], "pipelines/folders.py": "0" * 64, "pipelines/gone.py": "1" * 64}
    words = reproduce._code(commit, recorded, tmp_path)
    assert "the present code" in words
    assert words.endswith("not as it was then: pipelines/folders.py, pipelines/gone.py")
    assert folders.sha256(tmp_path / "pipelines/folders.py") == folders.sha256(Path("pipelines/folders.py"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fit": {"optimiser": "sgd"}}, "fit.optimiser is not a known key"),
        ({"seed": -1}, "seed=-1"),
        ({"data": {"sources": ["embedded"], "valid": 2}}, "valid"),
    ],
)
def test_a_configuration_that_the_code_does_not_take_is_told_before_training(
    at: ledger.Line, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    reproduce._code(at["commit"], {}, tmp_path)
    with pytest.raises(reproduce.NotReproducible, match=told):
        reproduce._write_run_config({**manifests.read(Path("models/digits-sgd"))["config"], **change}, tmp_path)


def test_other_data_is_refused(at: ledger.Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("data/digits", tmp_path / "given")
    packed = next(path for path in (tmp_path / "given").iterdir() if path.suffix not in {".json"})
    packed.write_bytes(packed.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(registry_versions, "data_folder", lambda line: tmp_path / "given")
    with pytest.raises(reproduce.NotReproducible, match=packed.name):
        reproduce._data(at, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("part", ["input", "output", "preprocessing"])
def test_what_the_digest_is_of_beside_the_files_is_told_too(
    at: ledger.Line, found: Found, tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    shutil.copytree(found[0].folder, again)
    manifest = manifests.read(again)
    folders.write_json(again / manifests.MANIFEST, {**manifest, part: {**manifest[part], "names": ["another"]}})
    differing = reproduce._differing(found[0].folder, again)
    assert differing == [part]
    printed = told(dataclasses.replace(found[0], digest="f" * 64, differing=differing), capsys)
    assert f"not the same: {part}" in printed
    assert "every operation" not in printed


@pytest.mark.parametrize(("agrees", "code"), [(True, 0), (False, reproduce.DIFFER)])
def test_the_exit_code_tells_whether_the_digests_agree(found: Found, monkeypatch: pytest.MonkeyPatch, agrees: bool, code: int) -> None:
    digest = found[0].line["digest"] if agrees else "f" * 64
    monkeypatch.setattr(reproduce, "reproduce", lambda of: dataclasses.replace(found[0], digest=digest))
    assert reproduce.main("digits@champion") == code


def test_a_relative_mirror_is_the_same_folder_for_the_second_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_MIRROR", "mirror")
    (tmp_path / "place").mkdir()
    done = replay.python(Path("place"), "-c", "import os; print(os.environ['DATA_MIRROR'])", capture_output=True, text=True)
    assert done.stdout.strip() == str(tmp_path / "mirror")


def test_what_darknet_has_trained_is_not_trained_with_another_program(at: ledger.Line, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = manifests.read(Path("models/digits-sgd"))
    monkeypatch.setattr(manifests, "verified", lambda folder: {**manifest, "config": {**manifest["config"], "run": "darknet"}})
    with pytest.raises(reproduce.NotReproducible, match="make darknet-export candidate=digits-sgd"):
        reproduce.reproduce("digits@v1")


@pytest.mark.parametrize(
    ("of", "error"),
    [
        ("digits@best", ledger.UnknownVersion),
        ("objects@champion", starts.UnknownStart),
        ("digits@challenger", starts.UnknownStart),
        ("digits@7", ledger.UnknownVersion),
    ],
)
def test_what_is_no_version_is_refused_with_the_choices(at: ledger.Line, of: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"digits@champion|make train|make challenge|There are: 1"):
        reproduce.reproduce(of)


def test_a_model_that_is_not_here_names_the_remedy(at: ledger.Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree("registry", tmp_path / "registry")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(cache.NotHere, match="make rebuild"):
        reproduce.reproduce(f"{discovery.validate('digits')}@v1")
