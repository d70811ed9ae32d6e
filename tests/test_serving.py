"""`make serve`: one command, one process or several, and nothing that a service does not need."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.forms import encoded, seven
from tests.services import LOADED, Service, make_serve, run, running, stored, until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {1: stored(folder, 1)}, make_serve("digits", "--workers", "2")) as service:
        yield service


@pytest.mark.slow
def test_several_workers_answer_and_are_counted_together(service: Service) -> None:
    def answered() -> int:
        with httpx.Client(base_url=service.client.base_url) as client:  # a connection of its own: any worker may take it
            answer = client.post("/predict", files={"image": ("seven.png", encoded(seven()), "image/png")})
        assert answer.json()["model"] == service.pointers[1]["model"]
        return answer.status_code

    assert [answered() for _ in range(20)] == [200] * 20
    counted = 'atelier_requests_total{family="digits",path="/predict",status="200"} 20.0'
    assert until(lambda: counted in service.client.get("/metrics").text, tries=20)


def test_what_a_service_says_is_json_line_by_line(service: Service) -> None:
    service.client.get("/health", headers={"X-Request-ID": "json"})
    assert until(lambda: any(line.get("request_id") == "json" for line in lines(service)), tries=20)
    assert any(str(line["message"]).startswith("Uvicorn running on http://127.0.0.1:") for line in lines(service))


def lines(service: Service) -> list[dict[str, object]]:
    return [json.loads(line) for line in service.log().splitlines()]


@pytest.mark.slow
def test_a_stopped_service_leaves_nothing_behind(service: Service, tmp_path_factory: pytest.TempPathFactory) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    folder = tmp_path_factory.mktemp("other")
    with running(folder, {1: stored(folder, 1)}, make_serve("digits"), TMPDIR=str(temporary)) as other:
        assert list(temporary.iterdir())
    assert other.process.returncode == 0
    assert not list(temporary.iterdir())


def test_a_store_that_follows_the_ledger_is_served_without_mlflow(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""


def test_the_home_of_who_serves_is_left_alone(service: Service, tmp_path: Path) -> None:
    run(service.folder, "-c", LOADED, service.family, HOME=str(tmp_path))
    assert list(tmp_path.iterdir()) == []  # ONNX Runtime would report from .cache/Microsoft
