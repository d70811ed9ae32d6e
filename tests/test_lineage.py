"""The walk back: from every place it can start, and with every link cut."""

import json
import shutil
from pathlib import Path

import pytest

from benchmarks import models
from pipelines import configs, folders, ledger, lineage, promotion, stores
from tests.conftest import evaluate, tiny_model

WORDS = ["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1"]


@pytest.fixture
def champion(project: Path) -> dict[str, object]:
    """The model block of an answer."""
    tiny_model("digits-adam", 1)
    evaluate("digits-adam", 0.5)
    promotion.promote(configs.compose(WORDS))
    model: dict[str, object] = stores.pointed("digits")["model"]
    return model


def statuses(of: str) -> dict[str, str]:
    return {link.name: link.status for link in lineage.flat(lineage.walk(of))}


def test_every_start_leads_to_the_same_source(champion: dict[str, object]) -> None:
    Path("answer.json").write_text(json.dumps({"prediction": 7, "model": champion}))
    Path("batch.json").write_text(json.dumps({"results": [{"prediction": 7, "model": champion}, {"success": False}], "model": champion}))
    starts = ["digits@champion", "digits@v1", "digits@1", str(champion["run_id"]), "answer.json", "batch.json"]
    for of in starts:
        links = list(lineage.flat(lineage.walk(of)))
        assert links[-1].name == "source"
        assert "digits.csv.gz" in links[-1].words
        assert {link.status for link in links if link.name not in {"commit", "code"}} == {lineage.OK}


@pytest.mark.parametrize("of", ["nowhere", "digits@v2", "letters@champion", "0" * 32, "digits@"])
def test_a_start_that_is_nowhere_names_the_forms(champion: dict[str, object], of: str) -> None:
    with pytest.raises(LookupError, match=r"There are: 1|Choose one of: digits|Start from"):
        lineage.walk(of)


def test_a_file_that_is_no_answer_is_refused(champion: dict[str, object]) -> None:
    for text in ("no json", "[1]", "3"):
        Path("answer.json").write_text(text)
        with pytest.raises(lineage.UnknownPlace, match=r"answer\.json"):
            lineage.walk("answer.json")


def test_a_forged_answer_is_broken(champion: dict[str, object]) -> None:
    Path("answer.json").write_text(json.dumps({"model": {**champion, "digest": "0" * 64}}))
    assert statuses("answer.json")["answer"] == lineage.BROKEN


def test_altered_native_weights_are_broken(champion: dict[str, object]) -> None:
    models.trained(Path("models/digits-adam")).write_bytes(b"altered")
    assert statuses("digits@v1")["model folder"] == lineage.BROKEN


def test_altered_data_is_broken(champion: dict[str, object]) -> None:
    Path("data/digits/test-labels.npy").write_bytes(b"altered")
    assert statuses("digits@v1")["data"] == lineage.BROKEN


def test_what_is_elsewhere_is_listed_as_not_here(champion: dict[str, object]) -> None:
    shutil.rmtree("models")
    shutil.rmtree("data")
    found = statuses("digits@v1")
    assert found["served files"] == lineage.OK
    assert found["model folder"] == found["data"] == found["source"] == lineage.NOT_HERE


def test_a_source_that_changed_is_broken(champion: dict[str, object]) -> None:
    card = json.loads(Path("data/digits/card.json").read_text())
    card["sources"][0]["sha256"] = "0" * 64
    folders.write_json(Path("data/digits/card.json"), card)
    assert statuses("digits@v1")["source"] == lineage.BROKEN


def test_an_altered_ledger_stops_the_walk(champion: dict[str, object]) -> None:
    path = ledger.path("digits")
    path.write_text(path.read_text().replace("digits-adam", "digits-sgd"))
    with pytest.raises(ledger.AlteredLedger, match="git checkout"):
        lineage.walk("digits@v1")
