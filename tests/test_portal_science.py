"""The data scientist's pages in this process: candidates side by side, runs and sweeps of MLflow, cards of what is served."""

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from pipelines.errors import BadSetting
from serving.auth import users
from serving.auth.authority import Authority
from serving.portal import candidates, science, settings, tracking
from serving.portal.application import application
from serving.portal.tracking import Run, Tracking
from tests.conftest import ROOT
from tests.people import KEY, RIGHT, Clock, hash_quickly
from tests.portals import IDLE, Person

MLFLOW = "http://127.0.0.1:5000"
CARD = "---\ntags: [x]\n---\n# digits\n\n<script>alert(1)</script> [bad](javascript:alert(1))\n\n## Limits\n\nNone.\n"
CROISSANT = {
    "description": "Digits & <b>more</b>",
    "license": ["https://creativecommons.org/licenses/by-sa/3.0/"],
    "distribution": [{"name": "images.npy", "contentSize": "12 B", "sha256": "a" * 64}],
}


def run(id: str, *, parent: str = "", begun: int = 1_800_000_000_000, **tags: str) -> dict[str, Any]:
    """A run as MLflow gives it."""
    every = {**tags, **({tracking.PARENT: parent} if parent else {})}
    return {
        "info": {"run_id": id, "status": "FINISHED", "start_time": begun},
        "data": {"tags": [{"key": key, "value": value} for key, value in every.items()]},
    }


RUNS = [
    run("b" * 32, **{"mlflow.runName": "night <b>", "atelier.sweep": "k"}),
    run("c" * 32, parent="b" * 32, **{"atelier.sweep": "k"}),
    run("d" * 32, parent="b" * 32, **{"atelier.sweep": "k"}),
    run("a" * 32, begun=1_700_000_000_000, **{"mlflow.runName": "digits-adam", "candidate": "digits-adam"}),
]


def answered(request: httpx.Request) -> httpx.Response:
    """MLflow with four runs of digits, and the service of digits with its cards."""
    path = request.url.path
    if path.endswith("experiments/get-by-name"):
        known = request.url.params["experiment_name"] == "digits"
        return httpx.Response(200, json={"experiment": {"experiment_id": "7"}}) if known else httpx.Response(404, json={"error_code": "x"})
    if path.endswith("runs/search"):
        assert json.loads(request.content)["experiment_ids"] == ["7"]
        return httpx.Response(200, json={"runs": RUNS})
    cards = {"/card.md": CARD, "/data/croissant.json": json.dumps(CROISSANT)}
    return httpx.Response(200, text=cards[path]) if request.url.host == "digits" and path in cards else httpx.Response(404)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    hash_quickly(monkeypatch)
    made = Authority(f"sqlite:///{tmp_path}/users.db", KEY, Clock())
    made.users.add("sci", RIGHT)
    made.users.set_role("sci", users.SCIENTIST)
    return made


@pytest.fixture
def opened(authority: Authority) -> Iterator[Callable[..., Person]]:
    """A data scientist who has signed in at a portal whose services answer so."""
    clients: list[TestClient] = []

    def person(answer: Callable[[httpx.Request], httpx.Response] = answered) -> Person:
        addresses = {"digits": "http://digits", "ocr": "http://ocr"}
        app = application(authority, addresses, IDLE, client=lambda: httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        clients.append(TestClient(app, base_url="http://localhost").__enter__())
        made = Person(clients[-1], authority, Clock())
        assert made.sign_in("sci").status_code == 303
        return made

    yield person
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working tree with the reports and ledgers of git."""
    for name in ("registry", "reports"):
        shutil.copytree(ROOT / name, tmp_path / "tree" / name)
    monkeypatch.chdir(tmp_path / "tree")


def test_candidates_are_side_by_side_the_champion_first(tree: None) -> None:
    found = candidates.compared("digits")
    report = json.loads(Path("reports/digits/candidates/digits-adam.json").read_text())
    assert (found.candidates[0].name, found.candidates[0].standing) == ("digits-augmented", "champion")
    assert (found.metric, found.metrics[0]) == ("accuracy", "accuracy")
    adam = next(each for each in found.candidates if each.name == "digits-adam")
    assert (adam.test["accuracy"].value, adam.test["accuracy"].low) == (report["test"]["accuracy"], report["test"]["accuracy_low"])
    assert (adam.seconds, adam.milliseconds, adam.megabytes) == (report["seconds"]["train"], report["latency_ms"], report["size_mb"])
    tests = {each.name: each.test for each in found.candidates}
    assert found.best("accuracy") == max(test["accuracy"].value for test in tests.values())
    assert found.best("nll") == min(test["nll"].value for test in tests.values())


@pytest.mark.parametrize("family", ["digits", "gravures", "objects", "ocr", "signatures"])
def test_each_family_has_its_page(tree: None, opened: Callable[..., Person], family: str) -> None:
    page = opened().get(f"/science/{family}").text
    assert page.count('<th scope="col">' + family) == len(candidates.compared(family).candidates) > 0
    assert ("No run yet" in page) == (family != "digits")


def test_without_a_working_tree_there_are_runs_alone(
    opened: Callable[..., Person], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = opened().get("/science/digits").text
    assert "no report of a candidate here" in page and "night" in page


def test_runs_lead_to_mlflow_and_trials_are_counted_with_their_sweep(opened: Callable[..., Person]) -> None:
    page = opened().get("/science/digits").text
    assert f'href="{MLFLOW}/#/experiments/7/runs/{"b" * 32}">night &lt;b&gt;</a> <small>sweep' in page
    assert page.count("/#/experiments/7/runs/") == 2


async def runs_of(answer: Callable[[httpx.Request], httpx.Response]) -> list[Run] | None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        return await Tracking(MLFLOW, client).runs("digits")


def test_a_sweep_has_its_trials() -> None:
    sweep, training = asyncio.run(runs_of(answered)) or []
    assert (sweep.sweep, sweep.trials, training.sweep, training.trials) == (True, 2, False, 0)
    assert (training.candidate, training.begun) == ("digits-adam", 1_700_000_000.0)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"experiment": {"experiment_id": "../.."}}),
        httpx.Response(302, headers={"Location": "http://evil.example"}),
    ],
)
def test_an_mlflow_that_answers_nonsense_counts_as_away(answer: httpx.Response) -> None:
    assert asyncio.run(runs_of(lambda _: answer)) is None


def test_an_mlflow_that_is_away_costs_the_runs_alone(tree: None, opened: Callable[..., Person]) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    page = opened(away).get("/science/digits")
    assert page.status_code == 200 and "digits-augmented" in page.text
    assert f"MLflow does not answer at {MLFLOW}" in page.text


@pytest.mark.parametrize("address", ["javascript:alert(1)", "file:///etc/passwd", "http://u:p@a", "mlflow"])
def test_an_address_of_mlflow_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("PORTAL_MLFLOW", address)
    with pytest.raises(BadSetting, match="PORTAL_MLFLOW"):
        settings.mlflow()


def test_the_cards_are_those_of_the_service_and_text(opened: Callable[..., Person]) -> None:
    page = opened().get("/science/digits/cards").text
    assert "<h2>digits</h2>" in page and "tags: [x]" not in page
    assert "<script>alert" not in page and 'href="javascript' not in page
    assert "Digits &amp; &lt;b&gt;more&lt;/b&gt;" in page and "by-sa/3.0" in page and "images.npy" in page


def test_a_service_without_cards_says_so(opened: Callable[..., Person]) -> None:
    person = opened()
    page = person.get("/science/ocr/cards").text
    assert "no data card here" in page and "no model card here" in page
    assert person.get("/science/objects/cards").status_code == 404
    assert person.get("/science/faces").status_code == 404
    assert person.get("/science").headers["location"] == "/science/digits"


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"distribution": 3, "url": "a"}', b"\xff", b'{"license": {}}'])
def test_a_data_card_that_is_none_says_nothing(text: bytes) -> None:
    assert science._data(text) == {}
