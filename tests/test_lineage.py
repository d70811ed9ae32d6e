"""The walk back: from every place it can start, and with every link cut."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import models
from pipelines import configs, folders, predictions
from pipelines.artifacts import copies, lock
from pipelines.datasets import archives
from pipelines.ledger import lines as ledger
from pipelines.lineage import links as lineage_links
from pipelines.lineage import show as lineage_command
from pipelines.lineage import sources, starts, steps
from pipelines.models import checksums
from pipelines.registry import promotion, releases
from pipelines.registry import store as model_store
from pipelines.tracking import client as tracking
from pipelines.tracking import reader, tags
from tests.conftest import ROOT, embedded_data, environment, evaluate, tiny_model

WORDS = ["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1"]
PREDICTION, SENT = "f" * 32, b"what was sent"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with its code, data and two candidates under DVC, digits-adam promoted, one answer of it recorded with its input."""
    folder = tmp_path_factory.mktemp("origin")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_EXP_NAME", raising=False)
        patch.delenv("DATA_MIRROR", raising=False)
        patch.delenv("PREDICTIONS_URL", raising=False)
        _committed()
        embedded_data()
        for seed, (candidate, accuracy) in enumerate([("digits-adam", 0.6), ("digits-sgd", 0.5)], 1):
            tiny_model(candidate, seed)
            evaluate(candidate, accuracy)
        _kept_by_dvc("data/digits", "models/digits-adam", "models/digits-sgd")
        promotion.promote(configs.compose(WORDS))
        _recorded()
    return folder


def _committed() -> None:
    shutil.copytree(ROOT / "pipelines", "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    for words in ("init -q", "add -A", "-c user.name=test -c user.email=test@localhost commit -qm code"):
        subprocess.run(["git", *words.split()], check=True)


def _kept_by_dvc(*outs: str) -> None:
    from dvc.repo import Repo

    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {Path(out).name: {"cmd": "false", "outs": [out]} for out in outs}}))
    with Repo.init() as repo:
        repo.commit(force=True)


def _recorded() -> None:
    model, sha256 = model_store.read_pointer("digits")["model"], hashlib.sha256(SENT).hexdigest()
    answer = {"prediction_id": PREDICTION, "prediction": 7, "model": model}
    named = {"id": PREDICTION, "family": "digits", "version": 1, "digest": model["digest"]}
    facts = {"time": "2026-11-20T22:49:53Z", "input": sha256, "output": json.dumps(answer), "milliseconds": 1.5}
    store = predictions.Store()
    store.add([{**named, **facts}], {sha256: SENT})
    store.close()


@pytest.fixture
def champion(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A copy of it as the working directory; the model block of an answer."""
    shutil.copytree(origin, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_EXP_NAME", "DATA_MIRROR", "PREDICTIONS_URL"):
        monkeypatch.delenv(name, raising=False)
    model: dict[str, Any] = model_store.read_pointer("digits")["model"]
    return model


def links(of: str, files: bool = False) -> list[steps.Link]:
    return list(steps.flat(starts.walk(of, files)))


def statuses(of: str) -> dict[str, str]:
    return {link.name: link.status for link in links(of)}


def written(answer: object) -> str:
    Path("answer.json").write_text(json.dumps(answer))
    return "answer.json"


STARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "alias": lambda model: "digits@champion",
    "version": lambda model: "digits@v1",
    "number": lambda model: "digits@1",
    "run": lambda model: str(model["run_id"]),
    "answer": lambda model: written({"prediction": 7, "model": model}),
    "recorded answer": lambda model: written({"prediction_id": PREDICTION, "prediction": 7, "model": model}),
    "batch": lambda model: written({"results": [{"prediction": 7, "model": model}, {"success": False}], "model": model}),
    "prediction": lambda model: PREDICTION,
    "DVC hash": lambda model: str(ledger.read("digits")[0]["dvc"]),
    "model folder": lambda model: "models/digits-adam",
    "stored model": lambda model: str(model_store.location(model_store.read_pointer("digits")["tag"])),
}


@pytest.mark.parametrize("start", STARTS)
def test_every_start_leads_to_the_same_source(champion: dict[str, Any], start: str) -> None:
    found = links(STARTS[start](champion))
    assert {link.status for link in found} == {steps.OK}
    assert {"decision", "served files", "run", "model folder", "configuration", "commit", "code", "data"} <= {link.name for link in found}
    assert found[-1].name == "source"
    assert "digits.csv.gz" in found[-1].words
    assert found[-1].facts["licence"] in found[-1].words


NEVER: dict[str, Callable[[], str]] = {
    "run": lambda: reader.tagged("candidate", "digits-sgd")[0].id,
    "model folder": lambda: "models/digits-sgd",
    "DVC hash": lambda: str(lock.hash_of(Path("models/digits-sgd"))),
}


@pytest.mark.parametrize("start", NEVER)
def test_what_was_never_promoted_leads_there_too(champion: dict[str, Any], start: str) -> None:
    found = links(NEVER[start]())
    assert {link.status for link in found} == {steps.OK}
    assert "digits-sgd: never promoted" in found[0].words
    assert "digits.csv.gz" in found[-1].words


@pytest.mark.parametrize("of", ["data/digits", "the DVC hash"])
def test_a_data_folder_names_what_rests_on_it_and_what_it_is_from(champion: dict[str, Any], of: str) -> None:
    root = starts.walk(of if Path(of).exists() else ledger.read("digits")[0]["data_dvc"])
    assert (root.name, [link.name for link in root.links]) == ("data", ["version", "run", "source"])
    version, run, source = root.links
    assert version.words.startswith("digits@v1: digits-adam")
    assert "digits-sgd, never promoted" in run.words
    assert "digits.csv.gz" in source.words
    assert {link.status for link in steps.flat(root)} == {steps.OK}


@pytest.mark.parametrize(
    "of", ["nowhere", "digits@v2", "letters@champion", "digits@challenger", "0" * 32, f"{'0' * 32}.dir", "digits@", "pipelines"]
)
def test_a_start_that_is_nowhere_names_the_forms(champion: dict[str, Any], of: str) -> None:
    with pytest.raises(LookupError, match=r"There are: 1|Choose one of: digits|Start from|make challenge"):
        starts.walk(of)


def test_a_file_that_is_no_answer_is_refused(champion: dict[str, Any]) -> None:
    for text in ("no json", "[1]", "3"):
        Path("answer.json").write_text(text)
        with pytest.raises(starts.UnknownStart, match=r"answer\.json"):
            starts.walk("answer.json")


def _edited(path: str, **changed: object) -> None:
    folders.write_json(Path(path), {**json.loads(Path(path).read_text()), **changed})


def _sql(path: str, words: str, *values: object) -> None:
    with sqlite3.connect(path) as database:
        assert database.execute(words, values).rowcount == 1
    database.close()


def _renamed(table: str, column: str) -> None:
    with sqlite3.connect(reader.DATABASE) as database:
        database.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
    database.close()


def _stored_file() -> Path:
    return model_store.location(model_store.read_pointer("digits")["tag"]) / "model.onnx"


def _licence() -> None:
    (source,) = json.loads(Path("data/digits/card.json").read_text())["sources"]
    _edited("data/digits/card.json", sources=[{**source, "licence": "anything"}])


CUTS: dict[str, tuple[str, str, Callable[[], object]]] = {
    "forged answer": (
        "answer",
        "digest",
        lambda: _edited("answer.json", model={**model_store.read_pointer("digits")["model"], "digest": "0" * 64}),
    ),
    "another answer than was given": ("prediction", "another answer", lambda: _edited("answer.json", prediction=8)),
    "altered row": ("prediction", "its hash", lambda: _sql(".store/predictions.db", "UPDATE predictions SET milliseconds = 9")),
    "altered input": ("input", "SHA-256", lambda: _sql(".store/predictions.db", "UPDATE inputs SET content = ?", b"other")),
    "served file": ("served files", "model.onnx", lambda: _stored_file().write_bytes(b"altered")),
    "run of another training": (
        "run",
        "atelier.dvc",
        lambda: _sql(
            "mlruns/mlflow.db", "UPDATE tags SET value = 'x' WHERE key = 'atelier.dvc' AND value = ?", ledger.read("digits")[0]["dvc"]
        ),
    ),
    "MLflow's tables as another version has them": ("run", "mlflow db upgrade", lambda: _renamed("tags", "key")),
    "native weights": ("model folder", "native/weights", lambda: models.trained(Path("models/digits-adam")).write_bytes(b"altered")),
    "configuration, which DVC alone vouches for": ("model folder", "model.json", lambda: _edited("models/digits-adam/model.json", seed=3)),
    "record, which DVC alone vouches for": ("model folder", "record.json", lambda: _edited("models/digits-adam/record.json", commit=None)),
    "code of another commit": ("code", "pipelines/ledger/lines.py", lambda: _recommitted()),
    "data": ("data", "test-labels.npy", lambda: Path("data/digits/test-labels.npy").write_bytes(b"altered")),
    "licence, which DVC alone vouches for": ("data", "card.json", _licence),
}


def _recommitted() -> None:
    """The record names a file that its commit holds otherwise, and DVC agrees."""
    record = json.loads(Path("models/digits-adam/record.json").read_text())
    _edited("models/digits-adam/record.json", code={**record["code"], "pipelines/ledger/lines.py": "0" * 64})
    path = ledger.path("digits")
    line = {**json.loads(path.read_text().splitlines()[0]), "dvc": None}
    del line["hash"]
    path.write_text(folders.canonical({**line, "hash": folders.hash_of(line)}) + "\n")


@pytest.mark.parametrize("cut", CUTS)
def test_a_cut_is_found_and_named_on_the_last_line(
    champion: dict[str, Any], cut: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name, word, damage = CUTS[cut]
    answer = written({"prediction_id": PREDICTION, "prediction": 7, "model": champion})
    for path in Path("models").rglob("*"):
        path.chmod(0o755)
    damage()
    assert lineage_command.main(answer) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"Broken at {name}: ")
    assert word in last


def test_a_source_that_changed_is_broken(champion: dict[str, Any]) -> None:
    (source,) = json.loads(Path("data/digits/card.json").read_text())["sources"]
    with pytest.raises(ValueError, match="SHA-256"):
        sources.checked({**source, "sha256": "0" * 64})


def test_models_and_data_are_read_in_the_cache(champion: dict[str, Any]) -> None:
    shutil.rmtree("models")
    shutil.rmtree("data")
    before = sum(1 for _ in Path.cwd().rglob("*"))
    found = links("digits@v1")
    assert {link.status for link in found} == {steps.OK}
    assert sum("DVC's cache" in link.words for link in found) == 2
    assert sum(1 for _ in Path.cwd().rglob("*")) == before


def test_a_damaged_cache_is_broken(champion: dict[str, Any]) -> None:
    shutil.rmtree("models")
    line = ledger.read("digits")[0]
    weights = copies.of_cache(line["dvc"]).files["native/weights"]
    weights.chmod(0o644)
    weights.write_bytes(b"altered")
    assert statuses("digits@v1")["model folder"] == steps.BROKEN


def test_what_is_elsewhere_is_listed_as_not_here(champion: dict[str, Any]) -> None:
    for name in ("models", "data", ".dvc/cache"):
        shutil.rmtree(name)
    _sql(".store/predictions.db", "DELETE FROM inputs")
    found = {link.name: link for link in links(PREDICTION)}
    assert found["served files"].status == steps.OK
    absent = ["input", "model folder", "code", "data", "source"]
    assert {found[name].status for name in absent} == {steps.NOT_HERE}
    assert all("`" in found[name].words for name in absent)


@pytest.mark.parametrize("place", ["store", "release"])
@pytest.mark.parametrize(("damage", "status"), [("none", steps.OK), ("altered", steps.BROKEN), ("nobody vouches", steps.NOT_HERE)])
def test_a_configuration_and_a_card_are_told_where_somebody_vouches_for_them(
    champion: dict[str, Any], place: str, damage: str, status: str
) -> None:
    releases.release("digits")
    stored = model_store.location(model_store.read_pointer("digits")["tag"])
    for name in ("models", "data", ".dvc/cache"):
        shutil.rmtree(name)
    if place == "release":
        shutil.rmtree(stored)
    folder, witness = (stored, checksums.SUMS) if place == "store" else (Path("released/digits"), releases.RELEASE)
    told = [("configuration", "model.json")] + [("source", "card.json")] * (place == "release")
    for _, name in told if damage == "altered" else []:
        _edited(str(folder / name), seed=3)
    if damage == "nobody vouches":
        (folder / witness).unlink()
    found = {link.name: link.status for link in steps.flat(lineage_links.training(ledger.read("digits")[0], False))}
    assert [found[name] for name, _ in told] == [status] * len(told)


def test_a_damaged_card_is_a_broken_link_and_no_start(champion: dict[str, Any]) -> None:
    Path("data/digits/card.json").write_text("damaged")
    assert statuses("models/digits-sgd")["data"] == steps.BROKEN
    with pytest.raises(starts.UnknownStart, match="make verify"):
        starts.walk("data/digits")


def test_an_answer_that_was_not_recorded_is_not_here(champion: dict[str, Any]) -> None:
    found = {link.name: link for link in links(written({"prediction_id": "e" * 32, "model": champion}))}
    assert found["prediction"].status == steps.NOT_HERE
    assert "serving.predictions" in found["prediction"].words
    assert found["source"].status == steps.OK


def test_a_prediction_store_that_is_away_stops_no_walk(champion: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREDICTIONS_URL", "postgresql://127.0.0.1:1/nobody")
    found = {link.name: link for link in links(written({"prediction_id": PREDICTION, "prediction": 7, "model": champion}))}
    assert found["prediction"].status == steps.NOT_HERE
    assert "does not answer" in found["prediction"].words
    assert found["source"].status == steps.OK


def test_an_altered_ledger_stops_the_walk(champion: dict[str, Any]) -> None:
    path = ledger.path("digits")
    path.write_text(path.read_text().replace("digits-adam", "digits-sgd"))
    with pytest.raises(ledger.AlteredLedger, match="make verify"):
        starts.walk("digits@v1")


def test_a_walk_imports_neither_mlflow_nor_bentoml(champion: dict[str, Any]) -> None:
    """They take seconds; looking is enough where everything follows the ledger."""
    heavy = {"mlflow", "bentoml", "dvc.repo"}
    words = f"import sys; from pipelines.lineage import starts; starts.walk('digits@v1'); print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", words], env=environment(), capture_output=True, text=True, check=True)
    assert not done.stdout.strip()


def test_what_was_deleted_is_made_to_follow_again(champion: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    store = tracking.client()
    store.delete_registered_model_alias("digits", "champion")
    Path(".store/champions/digits.json").unlink()
    assert set(statuses("digits@champion").values()) == {steps.OK}
    assert store.get_model_version_by_alias("digits", "champion").version == 1
    assert model_store.read_pointer("digits")["model"] == champion
    assert capsys.readouterr().out == ""


def test_runs_are_read_as_mlflow_shows_them(champion: dict[str, Any]) -> None:
    store, line = tracking.client(), ledger.read("digits")[0]
    assert tracking.uri() == f"sqlite:///{reader.DATABASE.absolute()}"
    for shown in store.search_runs([tracking.experiment(store, "digits")]):
        run = reader.run(shown.info.run_id)
        assert run is not None
        assert (run.family, run.tags, int(run.started * 1000)) == ("digits", shown.data.tags, shown.info.start_time)
        assert reader.of_training("digits", shown.data.tags[tags.KEY]) == run
        assert run.tags[tags.DVC] == lock.hash_of(Path("models", run.tags["candidate"]))
        assert run.tags[tags.DATA_DVC] == line["data_dvc"]
    assert reader.versions("digits") == {1: (champion["run_id"], champion["digest"])}
    assert reader.alias("digits", "champion") == 1
    store.delete_run(champion["run_id"])
    assert reader.run(champion["run_id"]) is None


def test_the_tree_for_programs_names_every_hash_and_licence(
    champion: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = lineage_command.main("digits@champion", json=True)
    printed = capsys.readouterr()
    walked = json.loads(printed.out)
    (source,) = json.loads(Path("data/digits/card.json").read_text())["sources"]
    assert (code, walked["status"], walked["broken"]) == (0, "ok", None)
    assert source == walked["tree"]["links"][2]["links"][2]["links"][0]["facts"]
    assert printed.err.startswith("9 links are ok")


@pytest.mark.parametrize("kind", ["folder", "tar", "tar.xz"])
def test_the_files_inside_a_source_are_told_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    contents = {f"pages/{number}.txt": os.urandom(number + 1) for number in range(5)}
    for name, content in contents.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    path = tmp_path / "source"
    if kind != "folder":
        path = tmp_path / f"source.{kind}"
        with tarfile.open(path, "w:xz") if kind == "tar.xz" else tarfile.open(path, "w") as archive:
            archive.add(tmp_path / "source", "source")
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path))
    source = {"kind": "folder", "path": path.name, "sha256": archives.fingerprint(path), "bytes": archives.size(path), "licence": "CC0"}
    prefix = "" if kind == "folder" else "source/"
    wanted = {(f"{prefix}{name}", len(content), hashlib.sha256(content).hexdigest()) for name, content in contents.items()}
    assert set(sources.files(source)) == wanted
    assert ("5 files" in sources.checked(source)) == (kind != "tar.xz")
    link = lineage_links.source(source, files=True)
    assert {below.words for below in link.links} == {f"{sha256}  {name}" for name, _, sha256 in wanted}
