"""The model card of every family, on the page, in MLflow and in a release, says what the ledger says; and Croissant files validate."""

import html
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import html5lib
import mlcroissant
import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

from pipelines import configs, discovery, phrases
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.registry import modelcards, promotion, reconcile, releases
from pipelines.registry import store as model_store
from pipelines.tracking import client as tracking
from serving.pages import markdown
from serving.pages import routes as page_routes
from tests.conftest import ROOT, decided, embedded_data, evaluate, tiny_model
from tests.pages import got
from tests.services import Service, running, stored

EVERY = pytest.mark.parametrize("family", discovery.names())
HEADINGS = ["Uses", "Out-of-scope uses", "Limits", "Figures", "Data", "Training", "Lineage", "Licences"]
HOSTILE = "<script>alert(1)</script> [x](javascript:alert(1)) ![x](https://example.org/x.png) | `a` **b**\n\n# c\n\n---\n&lt;"


def line(family: str) -> ledger.Line:
    """The released champion's promotion."""
    with chdir(ROOT):
        found = ledger.champion(ledger.read(decided(family)))
    assert found
    return found


def released(family: str) -> Path:
    return ROOT / "released" / decided(family)


def told(figures: dict[str, float]) -> dict[str, tuple[float, Any]]:
    """{metric: (value, its interval or None)}"""
    found = phrases.figures(figures)
    return {name: (figure.value, None if figure.low is None else [figure.low, figure.high]) for name, figure in found.items()}


@EVERY
def test_hugging_face_reads_the_card_and_finds_every_figure_with_its_interval(family: str) -> None:
    card = ModelCard(modelcards.render(line(family), cards.read(released(family))))
    assert list(modelcards.sections(card.content)) == HEADINGS
    assert (card.data.license, card.data.library_name, card.data.tags[0]) == ("other", "onnx", family)
    for split in modelcards.SPLITS:
        results = [result for result in card.data.eval_results if result.dataset_split == split]
        found = {result.metric_type: (result.metric_value, (result.metric_args or {}).get("interval")) for result in results}
        assert found == told(line(family)["figures"][split])
        assert {(result.dataset_revision, result.task_type) for result in results} == {(line(family)["data"], card.data.pipeline_tag)}


@EVERY
def test_the_card_names_what_the_version_rests_on(family: str) -> None:
    promoted, card = line(family), cards.read(released(family))
    text = modelcards.render(promoted, card)
    for key in ("digest", "dvc", "data", "data_dvc", "commit", "run", "hash"):
        assert f"`{promoted[key]}`" in text
    for source in card["sources"]:
        assert source["sha256"] in text
        assert modelcards.escape(source["licence"]) in text
        assert modelcards.escape(source["citation"]) in text
    for figure in phrases.figures(promoted["figures"]["test"]).values():
        assert modelcards.share(figure) in text
    assert f"make lineage of={family}@v{promoted['version']}" in text


@pytest.mark.slow
@EVERY
def test_the_embedded_data_have_a_card_and_a_croissant_file_that_validates(family: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    embedded_data(family)
    card = cards.read(Path("data", family))
    assert modelcards.escape(card["description"]) in modelcards.render(line(family), card)
    assert croissant(Path("data", family)) == card["files"]


@EVERY
def test_a_release_carries_its_card_and_a_croissant_file_that_validates(family: str) -> None:
    card = ModelCard.load(released(family) / modelcards.README)
    assert f"`{line(family)['hash']}`" in card.content
    found = {result.metric_type: result.metric_value for result in card.data.eval_results if result.dataset_split == "test"}
    assert found == {name: value for name, (value, _) in told(line(family)["figures"]["test"]).items()}
    assert croissant(released(family)) == cards.read(released(family))["files"]


def croissant(folder: Path) -> dict[str, str]:
    """The files that a Croissant file names, with their SHA-256, as MLCommons' own reader has them; it finds no error."""
    dataset = mlcroissant.Dataset(jsonld=json.loads((folder / cards.CROISSANT).read_text()))
    assert not dataset.metadata.ctx.issues.errors
    return {entry.id: entry.sha256 for entry in dataset.metadata.distribution}


def test_without_its_data_card_a_card_says_so() -> None:
    text = modelcards.render(line("digits"), None)
    assert "The data card is not on the machine that wrote this." in text
    assert ModelCard(text).data.eval_results[0].dataset_name == "digits"


@given(st.text(max_size=60))
def test_whatever_a_data_card_says_is_read_as_it_is(text: str) -> None:
    shown, line = markdown.rendered(f"x {modelcards.escape(text)}."), " ".join(text.replace("\0", "\ufffd").split())
    assert re.search("<(?!/?p>)", shown) is None
    assert html.unescape(shown.removeprefix("<p>").removesuffix("</p>\n")).split() == f"x {line}.".split()


def test_a_hostile_data_card_stays_text() -> None:
    card = cards.read(released("digits"))
    sources = [{**card["sources"][0], "citation": HOSTILE, key: HOSTILE} for key in ("path", "url")]
    hostile = {**card, "name": HOSTILE, "description": HOSTILE, "split": HOSTILE, "sources": sources}
    text = modelcards.render({**line("digits"), "reasons": [HOSTILE], "candidate": HOSTILE}, hostile)
    assert ModelCard(text).data.eval_results[0].dataset_name == HOSTILE
    assert list(modelcards.sections(text)) == HEADINGS
    shown = markdown.rendered(modelcards.split_front_matter(text)[1])
    assert not re.search(r"<(script|img|a)\b", shown)
    html5lib.HTMLParser(strict=True).parseFragment(shown)


def test_tags_in_a_card_are_text_and_links_lead_to_addresses_alone() -> None:
    shown = markdown.rendered('<b onclick="x()">x</b> [a](javascript:x) [b](https://example.org/)')
    assert "<b" not in shown
    assert re.findall('href="([^"]*)"', shown) == ["https://example.org/"]


@EVERY
def test_the_page_has_the_card_and_the_card_is_a_page(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = {key: line(family)[key] for key in ("family", "version", "digest", "data", "commit")} | {"run_id": "run-1"}
    pointer = {"tag": f"{family}:v1-aaaaaaaaaaaa", "model": model, "promotion": line(family), "card": cards.read(released(family))}
    model_store.folder_of(pointer["tag"]).mkdir(parents=True)
    modelcards.write(model_store.folder_of(pointer["tag"]), line(family), released(family))
    for path in ("/", "/card"):
        answer = got(family, pointer, path)
        html5lib.HTMLParser(strict=True).parse(answer.text)
        assert answer.headers["content-security-policy"] == page_routes.HEADERS["Content-Security-Policy"]
        assert not re.search(r"<style|style=|\son\w+=|<script(?! type=\"module\" src=)", answer.text)
        assert len(re.findall("<h1>", answer.text)) == 1
        for words in modelcards.sections(modelcards.render(line(family), None))["Limits"].replace("`", "").split("- ")[1:]:
            assert words.split(":")[0].strip()[:40] in html.unescape(re.sub("<[^>]+>", "", answer.text))
    assert got(family, pointer, "/card.md").text == modelcards.render(line(family), pointer["card"])
    assert got(family, pointer, "/data/croissant.json").json() == json.loads((released(family) / cards.CROISSANT).read_text())


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    pointers = {1: stored(folder, 1)}
    with chdir(folder):
        modelcards.write(model_store.folder_of(pointers[1]["tag"]), line("digits"), released("digits"))
    with running(folder, pointers) as service:
        yield service


def test_a_service_gives_the_card_of_the_version_it_serves(service: Service) -> None:
    kinds = {"/card": "text/html; charset=utf-8", "/card.md": "text/markdown; charset=utf-8", "/data/croissant.json": "application/ld+json"}
    assert {path: service.client.get(path).headers["content-type"] for path in kinds} == kinds
    assert "Out-of-scope uses" in service.client.get("/").text


def test_a_version_without_a_card_says_how_to_get_it(service: Service) -> None:
    with chdir(service.folder):
        card = model_store.folder_of(service.pointers[1]["tag"]) / modelcards.README
    text = card.read_text()
    card.unlink()
    try:
        answer = service.client.get("/card")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert "`make ui` writes it" in answer.json()["detail"]
        assert "The model card is not on this machine" in service.client.get("/").text
    finally:
        card.write_text(text)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"\xff## Limits\n\nIt errs.\n", False), (b"---\nlicense: [\n---\n## Limits\n\nIt errs.\n", True)],
    ids=["not UTF-8", "no YAML"],
)
def test_a_card_that_cannot_be_read_does_not_take_the_page_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, content: bytes, told: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    model = {key: line("digits")[key] for key in ("family", "version", "digest", "data", "commit")} | {"run_id": "run-1"}
    pointer = {"tag": "digits:v1-aaaaaaaaaaaa", "model": model}
    model_store.folder_of(pointer["tag"]).mkdir(parents=True)
    (model_store.folder_of(pointer["tag"]) / modelcards.README).write_bytes(content)
    for _ in range(2):
        assert ("It errs." in got("digits", pointer, "/").text) is told
    assert not told or "It errs." in got("digits", pointer, "/card").text
    assert caplog.text.count("cannot be read") == (not told)
    modelcards.write(model_store.folder_of(pointer["tag"]), line("digits"), released("digits"))
    assert "It errs." not in got("digits", pointer, "/").text
    assert "Limits" in got("digits", pointer, "/").text


def test_the_card_is_in_mlflow_the_store_and_a_release_is_put_back_and_outlives_its_data(project: Path) -> None:
    tiny_model("digits-adam", 1)
    evaluate("digits-adam", 0.5)
    promotion.promote(configs.compose(["family=digits", "run=smoke", "data.sources=[embedded]", "gate.floor=0.1"]))
    text = modelcards.render(ledger.version("digits", 1), cards.read(Path("data/digits")))
    store, beside = tracking.client(), model_store.folder_of(model_store.read_pointer("digits")["tag"])
    version = store.get_model_version("digits", "1")
    run = Path(store.get_run(version.run_id).info.artifact_uri.removeprefix("file://"))
    assert (version.description, (run / modelcards.README).read_text()) == (modelcards.split_front_matter(text)[1], text)
    assert croissant(run / "data") == cards.read(Path("data/digits"))["files"]
    releases.release("digits")
    for folder in (beside, Path("released/digits")):
        assert (folder / modelcards.README).read_text() == text
        assert (folder / cards.CROISSANT).read_text() == Path("data/digits", cards.CROISSANT).read_text()

    store.update_model_version("digits", "1", "mine")
    (beside / modelcards.README).write_text("mine")
    for gone in ("nothing", "data", "released"):
        shutil.rmtree(gone, ignore_errors=True)
        reconcile.reconcile("digits")
        assert store.get_model_version("digits", "1").description == modelcards.split_front_matter(text)[1]
        assert (beside / modelcards.README).read_text() == text
