"""The endpoint of digits over real HTTP: what it answers, what it refuses, and how it follows the champion."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from starlette.requests import Request

from pipelines.families.digits.picture import Convention
from pipelines.registry import store
from serving import endpoints, problems
from serving.inputs import bodies, pictures
from tests import asked
from tests.asked import PICTURE, assert_refused, form, raw
from tests.forms import encoded, seven
from tests.services import LOADED, Service, figures, run, running, stored, until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {version: stored(folder, version) for version in (1, 2)}) as service:
        yield service


PIXELS = Convention().from_grey(pictures.inked(seven())).tolist()


def sent(value: Any) -> dict[str, Any]:
    """As JSON, the way Python writes it: NaN and Infinity too."""
    return raw(json.dumps(value).encode(), "application/json")


def pixels(value: Any) -> dict[str, Any]:
    """A good picture with one wrong value, in row 3 and column 5."""
    image = [list(row) for row in PIXELS]
    image[3][5] = value
    return sent({"image": image})


WELCOME = {
    **asked.WELCOME,
    "json": sent({"image": PIXELS}),
    "json-floats": sent({"image": [[float(value) for value in row] for row in PIXELS]}),
    "json-unit": sent({"image": [[value / 255 for value in row] for row in PIXELS]}),
    "json-charset": {**sent({"image": PIXELS}), "headers": {"content-type": "Application/JSON; charset=utf-8"}},
}

SAME = ["multipart", "image/png", "json", "json-floats", "json-unit", "json-charset"]

UNWELCOME: dict[str, asked.Refused] = {
    **asked.UNWELCOME,
    "json-zeros": (sent({"image": [[0] * 28] * 28}), 422, ("numbers are blank", "0 to 0")),
    "text": (raw(b"seven", "text/plain"), 415, ("'text/plain'", *bodies.KINDS)),
    "huge-json": (raw(b" " * 30_000_000, "application/json"), 413, ("MB or more", "0.25 MB")),
    "blank": (raw(encoded(Image.new("L", (40, 40), 255))), 422, ("blank", "24")),
    "27-rows": (sent({"image": PIXELS[:27]}), 422, ("image", "28", "27")),
    "29-rows": (sent({"image": [*PIXELS, PIXELS[0]]}), 422, ("image", "28", "29")),
    "short-row": (sent({"image": [*PIXELS[:27], [0] * 27]}), 422, ("image.27", "28", "27")),
    "flat": (sent({"image": [0] * 784}), 422, ("image", "28", "784")),
    "8-by-8": (sent({"image": [[0] * 8] * 8}), 422, ("image", "28", "8")),
    "one-more-axis": (sent({"image": [PIXELS] * 28}), 422, ("image.0.0", "number")),
    "nan": (pixels(float("nan")), 422, ("NaN", "finite")),
    "infinity": (pixels(float("inf")), 422, ("Infinity", "finite")),
    "minus-infinity": (pixels(float("-inf")), 422, ("-Infinity", "finite")),
    "overflow": (raw(pixels(77777)["content"].replace(b"77777", b"1e999"), "application/json"), 422, ("image.3.5", "finite")),
    "256": (pixels(256), 422, ("image.3.5", "256", "255")),
    "minus-one": (pixels(-1), 422, ("image.3.5", "-1", "greater than or equal to 0")),
    "string": (pixels("seven"), 422, ("image.3.5", "seven", "number")),
    "digit-string": (pixels("7"), 422, ("image.3.5", "'7'", "number")),
    "true": (pixels(True), 422, ("image.3.5", "True", "number")),
    "null-value": (pixels(None), 422, ("image.3.5", "None", "number")),
    "null-image": (sent({"image": None}), 422, ("image", "list")),
    "null": (sent(None), 422, ("body", "'image'")),
    "list": (sent(PIXELS), 422, ("body", "'image'")),
    "no-key": (sent({}), 422, ("image", "required")),
    "unknown-key": (sent({"image": PIXELS, "imgae": 1}), 422, ("imgae", "unknown", "'image'")),
    "empty-json": (raw(b"", "application/json"), 422, ("empty", "'image'")),
    "broken-json": (raw(b'{"image": [[0,', "application/json"), 400, ("JSON", "char 14", "'image'")),
    "not-utf-8": (raw(b"\xff\xfe\x00", "application/json"), 400, ("JSON", "'image'")),
    "nested": (raw(b"[" * 200_000, "application/json"), 400, ("JSON", "'image'")),
    "nested-and-closed": (raw(b'{"image":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json"), 400, ("JSON", "'image'")),
    "endless-number": (raw(b'{"image": ' + b"1" * 5000 + b"}", "application/json"), 400, ("JSON", "'image'")),
    "many-unknown-keys": (sent({str(number): 0 for number in range(1000)}), 422, ("image", "0: unknown key", "1: unknown key")),
    "long-unknown-key": (sent({"image": PIXELS, "k" * 100_000: 1}), 422, ("unknown", "'image'")),
}


@pytest.mark.parametrize("name", WELCOME)
def test_every_kind_of_request_is_answered(service: Service, name: str) -> None:
    response = service.predict(**WELCOME[name])
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    digits, confidences = zip(*((rank["digit"], rank["confidence"]) for rank in answer["ranking"]), strict=True)
    assert set(answer) == {"prediction", "confidence", "ranking", "prediction_id", "model"}
    assert (answer["prediction"], answer["confidence"]) == (digits[0], confidences[0])
    assert type(answer["prediction"]) is int
    assert sorted(digits) == list(range(10))
    assert list(confidences) == sorted(confidences, reverse=True)
    assert sum(confidences) == pytest.approx(1, abs=1e-5)
    assert answer["model"] == service.pointers[1]["model"]


def test_the_same_picture_has_the_same_answer_however_it_is_sent(service: Service) -> None:
    answers = [service.predict(**WELCOME[name]).json() for name in SAME]
    assert [answer["ranking"] for answer in answers] == [answers[0]["ranking"]] * len(SAME)
    assert len({answer["prediction_id"] for answer in answers}) == len(SAME)


@pytest.mark.parametrize("name", UNWELCOME)
def test_a_bad_request_is_refused_with_a_reason_and_the_next_is_answered(service: Service, name: str) -> None:
    request, status, words = UNWELCOME[name]
    assert_refused(service.predict(**request), status, words)
    assert service.predict(**WELCOME["multipart"]).status_code == 200


def test_a_body_without_a_length_is_read_no_further_than_the_limit(service: Service) -> None:
    pieces = (bytes(1_000_000) for _ in range(30))
    response = service.predict(content=pieces, headers={"content-type": "image/png"})
    assert response.status_code == 413
    assert response.headers["content-type"] == problems.MEDIA_TYPE


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_a_problem_too(service: Service, method: str) -> None:
    response = service.client.request(method, "/predict")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert response.headers["content-type"] == problems.MEDIA_TYPE


@pytest.mark.parametrize(("path", "allowed"), [("/flag", "GET, POST"), ("/", "GET, HEAD")])
def test_a_refused_method_names_every_other(service: Service, path: str, allowed: str) -> None:
    response = service.client.put(path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


def test_a_method_that_a_static_file_has_not_is_refused(service: Service) -> None:
    assert service.client.post("/static/style.css").status_code == 405


def test_health_says_which_model_answers(service: Service) -> None:
    assert service.client.get("/health").json() == {"status": "ok", "model": service.pointers[1]["model"], "refused": None}


@pytest.mark.parametrize("path", ["/", "/health"])
def test_what_is_read_may_be_asked_for_by_its_head(service: Service, path: str) -> None:
    response = service.client.head(path)
    assert (response.status_code, response.content) == (200, b"")


def test_a_route_that_asks_for_more_than_the_request_is_refused_when_it_is_made() -> None:
    async def predict(request: Request, image: str) -> None: ...

    with pytest.raises(TypeError, match="/predict: predict must take `request` alone"):
        endpoints.application("digits", "Which digit?").post("/predict")(predict)


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_the_probes_answer(service: Service, path: str) -> None:
    assert service.client.get(path).status_code == 200


def test_the_metrics_count_requests(service: Service) -> None:
    before = figures(service)
    service.predict(**WELCOME["multipart"])
    service.predict(**UNWELCOME["blank"][0])
    after = figures(service)
    for figure in (
        'atelier_requests_total{family="digits",path="/predict",status="200"}',
        'atelier_requests_total{family="digits",path="/predict",status="422"}',
        'atelier_refusals_total{family="digits",reason="blank"}',
        'atelier_batch_size_count{family="digits"}',
    ):
        assert after[figure] == before.get(figure, 0) + 1, figure
    assert after['atelier_request_seconds_count{family="digits",path="/predict"}'] >= 2
    assert after['atelier_model_version{family="digits"}'] == 1


def test_every_answer_has_a_request_id_and_a_line_in_the_log(service: Service) -> None:
    response = service.predict(**form(image=PICTURE), headers={"X-Request-ID": "order-17"})
    assert response.headers["x-request-id"] == "order-17"
    assert until(lambda: "order-17" in service.log())
    line = next(json.loads(line) for line in service.log().splitlines() if "order-17" in line)
    assert (line["path"], line["status"], line["prediction_id"]) == ("/predict", 200, response.json()["prediction_id"])
    assert line["version"] == 1


def test_the_front_page_says_what_is_served(service: Service) -> None:
    response = service.client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert service.pointers[1]["model"]["digest"] in response.text


def test_the_openapi_description_names_what_goes_in_and_what_comes_out(service: Service) -> None:
    page = service.client.get("/openapi.json").json()
    operation = page["paths"]["/predict"]["post"]
    assert page["openapi"].startswith("3.1")
    assert set(operation["requestBody"]["content"]) == set(bodies.KINDS)
    assert {"200", "400", "413", "415", "422"} <= set(operation["responses"])
    assert all(problems.MEDIA_TYPE in operation["responses"][status]["content"] for status in ("400", "413", "415", "422"))
    assert asked.dangling(page) == []


def test_no_training_framework_is_imported_to_serve(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""


def test_a_moved_pointer_is_followed_while_requests_are_answered(service: Service) -> None:
    def answered_by(version: int) -> bool:
        response = service.predict(**WELCOME["json"])
        assert response.status_code == 200
        assert response.json()["model"] in [pointer["model"] for pointer in service.pointers.values()]
        return bool(service.client.get("/health").json()["model"] == service.pointers[version]["model"])

    before = service.predict(**WELCOME["json"]).json()
    service.point(service.pointers[2])
    try:
        assert until(lambda: answered_by(2)), service.log()
        after = service.predict(**WELCOME["json"]).json()
        assert after["model"] == service.pointers[2]["model"]
        assert after["ranking"] != before["ranking"]
    finally:
        service.point(service.pointers[1])
    assert until(lambda: answered_by(1)), service.log()


def test_a_pointer_to_a_model_that_is_not_stored_leaves_the_old_one_serving(service: Service) -> None:
    model = {**service.pointers[1]["model"], "version": 3}
    missing = {"tag": store.tag_of("digits", 3, model["digest"]), "model": model}
    service.point(missing)
    try:
        assert until(lambda: "digits keeps serving version 1" in service.log()), service.log()
        assert service.client.get("/health").json()["model"] == service.pointers[1]["model"]
        assert service.predict(**WELCOME["multipart"]).json()["model"] == service.pointers[1]["model"]
    finally:
        service.point(service.pointers[1])
