"""What a training and an ingest record: every module that is imported, lazily or not, and every package that is installed."""

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from pipelines import configs, discovery, folders
from pipelines import git as system
from pipelines.audit import verify
from pipelines.ledger import cross_checks
from pipelines.lineage import starts, steps
from pipelines.stages import ingest
from pipelines.tracking import client as tracking
from pipelines.tracking import tags
from pipelines.training import records
from tests.conftest import commit, git, git_refuses, tiny_model

REPORT = Path("reports/digits/ingest.json")
CFG = ["family=digits", "run=smoke", "data.sources=[embedded]"]


@pytest.mark.parametrize("family", discovery.names())
def test_a_record_names_every_module_of_the_family_that_trains(family: str) -> None:
    code = records.begun(family)["code"]
    folder = Path("pipelines/families", family)
    assert {f"{folder}/{part}.py" for part in ("fit", "model", "settings", "picture", "examples")} <= set(code)
    assert all(folders.sha256(records.ROOT / path) == sha256 for path, sha256 in code.items())


def test_a_record_of_ocr_names_its_network() -> None:
    """Which was imported after the record was taken."""
    code = records.begun("ocr")["code"]
    parts = {"pipelines/families/ocr/parts/" + part for part in ("trocr.py", "graphs.py", "initial_weights.py")}
    assert parts <= set(code)


def test_a_record_names_the_tables_that_modules_read() -> None:
    assert "pipelines/families/gravures/parts/tags.csv" in records.code("gravures", "pipelines.stages.ingest")


def test_a_record_names_every_installed_package() -> None:
    versions = records.versions()
    assert versions.keys() >= {package.name.lower() for package in metadata.distributions()} | {"python"}
    assert versions["numpy"] == metadata.version("numpy")


def test_what_git_refuses_is_recorded_as_unknown_with_the_remedy(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the record, in MLflow, in lineage: not as no commit of a clean folder."""
    assert {"commit": None, "dirty": None}.items() <= records.begun("digits").items()  # no repository
    git(project, "init", "-q")
    commit(project)
    assert records.begun("digits")["dirty"] is False
    git_refuses(monkeypatch)
    folder = tiny_model("digits-adam", 1)
    remedy = f"git config --global --add safe.directory {project}"
    record = records.read(folder)
    assert (record["commit"], record["dirty"]) == (None, None)
    assert remedy in record[records.UNKNOWN]
    assert remedy in capsys.readouterr().err
    run = tracking.run_of_folder(tracking.client(), folder, None, {})
    assert [run.data.tags[tag] for tag in (tags.COMMIT, tags.DIRTY)] == [tags.UNKNOWN] * 2
    found = [link for link in steps.flat(starts.walk("models/digits-adam")) if link.name in {"commit", "code"}]
    assert [link.status for link in found] == [steps.NOT_HERE] * 2
    assert remedy in found[0].words


def test_an_unusable_git_is_no_absent_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.committed(Path("card")) == b""  # no repository
    git(project, "init", "-q")
    assert system.committed(Path("card")) == b""  # no commit
    Path("card").write_text("one\ntwo")
    commit(project)
    assert (system.committed(Path("card")), system.committed(Path("other"))) == (b"one\ntwo", b"")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        with pytest.raises(system.Unusable, match="git is not installed"):
            system.committed(Path("card"))
    git_refuses(monkeypatch)
    with pytest.raises(system.Unusable, match=r"safe\.directory"):
        system.committed(Path("card"))
    with pytest.raises(system.Unusable, match=r"safe\.directory"):
        verify.verify("digits")
    (fault,) = cross_checks.contradictions("digits")
    assert "cannot be held against git's last commit" in fault.words
    assert fault.repair == f"git config --global --add safe.directory {project}"


def test_differences_are_named() -> None:
    then, now = {"numpy": "2.4", "pillow": "13.0", "six": "1"}, {"numpy": "2.4", "pillow": "12.3", "tqdm": "4"}
    assert records.differing(then, then) == "as then"
    assert records.differing(then, now) == "pillow 12.3, then 13.0; six missing, then 1; 1 more than then"


def test_an_ingest_records_what_packed_the_data(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest.main(configs.compose(CFG))
    report = json.loads(REPORT.read_text())
    assert report["data"] == json.loads(Path("data/digits/card.json").read_text())["hash"]
    assert {"pipelines/families/digits/data.py", "pipelines/families/digits/embedded.py"} <= set(report["code"])
    assert report["versions"]["pillow"] == metadata.version("pillow")
    assert "WARNING" not in capsys.readouterr().err


def test_other_data_than_git_has_are_told_with_the_packages_that_differ(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ingest.main(configs.compose(CFG))
    report = json.loads(REPORT.read_text())
    folders.write_json(REPORT, {**report, "data": "0" * 64, "versions": {**report["versions"], "pillow": "1.0"}})
    for words in ("init -q", "add reports", "-c user.name=test -c user.email=test@localhost commit -qm then"):
        subprocess.run(["git", *words.split()], check=True)
    ingest.main(configs.compose(CFG))
    said = capsys.readouterr().err
    assert f"the data hash is {report['data'][:12]}, in git's last commit 000000000000" in said
    assert f"pillow {metadata.version('pillow')}, then 1.0" in said


@pytest.mark.parametrize("family", ["objects", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gravures", "ocr", "signatures"))])
def test_a_card_names_its_decoder(project: Path, family: str) -> None:
    cfg = configs.compose([f"family={family}", "run=smoke", "data.sources=[embedded]"])
    with folders.replacing(cfg.data_folder) as out:
        card = discovery.part(family, "data").prepare(cfg, out)
    assert card["decoder"]["pillow"] == metadata.version("pillow")
    assert folders.hash_of(card["files"]) == card["hash"]
