"""The endpoint of signatures over real HTTP: a page in any form that people send, a PDF page by page, and what is refused."""

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines import configs
from serving import problems
from serving.inputs import bodies
from serving.signatures import answers, pages
from tests import asked, papers
from tests import tiffs as hostile
from tests.asked import assert_refused, form, header, raw
from tests.forms import FORMS, STORED, drawing, encoded, seven, turned
from tests.services import LOADED, Service, run, running, stored, until

pytestmark = pytest.mark.slow

LIMITS = configs.serving("signatures")
MARKS = [(100, 600, 200, 60), (350, 100, 90, 40)]
LETTER = papers.letter(MARKS)
THREE = papers.paper([papers.ink([mark]) for mark in [*MARKS, (50, 400, 300, 200)]])


def page(width: int = 620, height: int = 877) -> Image.Image:
    """A letter as a scanner gives it, turned or mirrored it is another."""
    paper = Image.new("L", (width, height), 250)
    pen = ImageDraw.Draw(paper)
    for line in range(12):
        pen.rectangle([60, 60 + line * 25, 300 + (line * 37) % 200, 68 + line * 25], fill=20)
    pen.line([80, 700, 130, 640, 160, 720, 240, 650, 300, 690], fill=10, width=4)
    return paper


PAGE = encoded(page())
SCAN = encoded(page(), "TIFF", save_all=True, append_images=[Image.new("L", (300, 200), 255), page(1240, 1754)], compression="tiff_lzw")
BATCH = "/predict/batch"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {version: stored(folder, version, "signatures") for version in (1, 2)}) as service:
        yield service


def ok_json(response: httpx.Response) -> dict[str, Any]:
    """What an answer says, without its name."""
    assert response.status_code == 200, response.text
    return {key: value for key, value in response.json().items() if key != "prediction_id"}


def wrapped(content: bytes, prefix: str = "", **more: Any) -> dict[str, Any]:
    """JSON with a file as base64."""
    return {"json": {"image": prefix + base64.b64encode(content).decode(), **more}}


def near(found: dict[str, Any], tolerance: float = 1.0) -> Any:
    return [pytest.approx(box, abs=tolerance) for box in found["prediction"]]


def opened(response: httpx.Response) -> Image.Image:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(response.content))


WELCOME: dict[str, dict[str, Any]] = {
    **asked.WELCOME,
    "json": wrapped(PAGE),
    "data-url": wrapped(PAGE, "data:image/png;base64,"),
    "odd-data-url": wrapped(PAGE, "DATA:image/x-anything;charset=utf-8;Base64,"),
    "lines": {"json": {"image": base64.encodebytes(PAGE).decode()}},
    "escaped": raw(json.dumps({"image": base64.b64encode(PAGE).decode()}).replace("/", "\\/").encode(), "application/json"),
    "a-large-one": wrapped(encoded(Image.effect_noise((1200, 1600), 90))),
    "one-pixel": form(image=encoded(Image.new("L", (1, 1), 255))),
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "form": form(image=LETTER),
    "application/pdf": raw(LETTER, "application/pdf"),
    "json": wrapped(LETTER, "data:application/pdf;base64,"),
    "under-another-name": raw(LETTER, "image/jpeg"),
}


@pytest.mark.parametrize("name", WELCOME)
def test_every_kind_of_request_is_answered_in_one_shape(service: Service, name: str) -> None:
    answer = service.predict(**WELCOME[name])
    assert set(answer.json()) == {"success", "prediction", "count", "scores", "prediction_id", "model"}
    assert_found(ok_json(answer))
    assert answer.json()["model"] == service.pointers[1]["model"]


def assert_found(found: dict[str, Any]) -> None:
    assert found["count"] == len(found["prediction"]) == len(found["scores"])
    assert all(len(box) == 4 and box == [round(side, 1) for side in box] for box in found["prediction"])
    assert all(0.5 <= score <= 1 for score in found["scores"])


def test_the_same_page_has_the_same_answer_however_it_is_sent(service: Service) -> None:
    ways = [form(image=PAGE), raw(PAGE), raw(PAGE, "Image/PNG; charset=binary"), *(WELCOME[name] for name in ("json", "data-url", "lines"))]
    found = [service.predict(**way) for way in ways]
    assert [ok_json(answer) for answer in found] == [ok_json(found[0])] * len(ways)
    assert len({answer.json()["prediction_id"] for answer in found}) == len(ways)
    assert ok_json(found[0])["count"] > 1


def test_boxes_are_in_pixels_of_the_page_that_was_sent(service: Service) -> None:
    small = ok_json(service.predict(**form(image=PAGE)))
    for size in [(1240, 1754), (2480, 3508), (1860, 1754)]:
        found = ok_json(service.predict(**form(image=encoded(page().resize(size, Image.Resampling.BOX)))))
        scale = np.array([size[0] / 620, size[1] / 877] * 2)
        assert [(np.array(box) / scale).tolist() for box in found["prediction"]] == near(small, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (415, 417), (4000, 40), (5000, 7000)])
def test_no_box_leaves_the_page(service: Service, size: tuple[int, int]) -> None:
    found = ok_json(service.predict(**form(image=encoded(page().resize(size)))))
    for x, y, w, h in found["prediction"]:
        assert 0 <= x <= x + w <= size[0] + 1e-6
        assert 0 <= y <= y + h <= size[1] + 1e-6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_boxes_are_those_of_the_upright_page(service: Service, orientation: int, kind: str) -> None:
    found, wanted = (ok_json(service.predict(**form(image=sent))) for sent in (turned(page(), orientation, kind), PAGE))
    assert found["prediction"] == near(wanted, 5)
    drawn = opened(service.predict("/predict?draw=true", **form(image=turned(page(), orientation, kind))))
    assert drawn.size == (620, 877)


@pytest.mark.parametrize("name", FORMS)
def test_a_picture_of_any_mode_is_answered_as_it_looks(service: Service, name: str) -> None:
    found, wanted = (ok_json(service.predict(**form(image=sent))) for sent in (FORMS[name](drawing()), encoded(drawing())))
    assert found["prediction"] == near(wanted)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_pdf_is_answered_page_by_page(service: Service, name: str) -> None:
    found = ok_json(service.predict(**DOCUMENTS[name]))
    assert found == ok_json(service.predict(**DOCUMENTS["form"]))
    assert [(page["page"], page["width"], page["height"]) for page in found["pages"]] == [(1, 1240, 1755)]
    assert found["pages"][0]["prediction"] == found["prediction"]
    assert_found(found)


def test_the_pages_of_a_pdf_come_in_order_and_are_counted_together(service: Service) -> None:
    found = ok_json(service.predict(**form(image=THREE)))
    assert [page["page"] for page in found["pages"]] == [1, 2, 3]
    assert found["count"] == sum(page["count"] for page in found["pages"])
    for key in ("prediction", "scores"):
        assert found[key] == [one for page in found["pages"] for one in page[key]]
    for page in found["pages"]:
        assert_found(page)
    assert len({str(page["prediction"]) for page in found["pages"]}) == 3


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_page_alone_is_answered_as_among_the_others(service: Service, number: int) -> None:
    among = ok_json(service.predict(**form(image=THREE)))["pages"][number - 1]
    alone = ok_json(service.predict(f"/predict?page={number}", **form(image=THREE)))
    assert alone["pages"] == [among]
    assert alone["prediction"] == among["prediction"]


def test_a_page_of_a_pdf_is_answered_as_its_picture(service: Service) -> None:
    pictured = service.predict("/page?page=2", **form(image=THREE))
    found = ok_json(service.predict(**form(image=pictured.content)))
    assert found["prediction"] == near(ok_json(service.predict(**form(image=THREE)))["pages"][1], 3)


def test_the_pages_of_a_tiff_are_answered_as_their_pictures(service: Service) -> None:
    found = ok_json(service.predict(**raw(SCAN, "image/tiff")))
    assert found == ok_json(service.predict(**form(image=SCAN))) == ok_json(service.predict(**wrapped(SCAN)))
    assert [(one["page"], one["width"], one["height"]) for one in found["pages"]] == [(1, 620, 877), (2, 300, 200), (3, 1240, 1754)]
    assert found["pages"][0]["prediction"] == ok_json(service.predict(**form(image=PAGE)))["prediction"]
    third = ok_json(service.predict("/predict?page=3", **form(image=SCAN)))
    assert third["pages"] == [found["pages"][2]]
    for path, size in ("/page?page=2", (300, 200)), ("/predict?draw=true&page=3", (1240, 1754)):
        assert opened(service.predict(path, **form(image=SCAN))).size == size
    assert_refused(service.predict("/predict?page=4", **form(image=SCAN)), 422, ("page=4", "3 pages", "page=1 to 3"))


def test_each_file_of_a_batch_is_answered_or_refused_by_itself(service: Service) -> None:
    sent = [PAGE, b"a letter, I believe", LETTER, SCAN]
    response = service.predict(BATCH, files=[("images", (f"{number}", content)) for number, content in enumerate(sent)])
    results = response.json()["results"]
    assert [result["success"] for result in results] == [True, False, True, True]
    assert results[1]["problem"]["status"] == 415
    for content, result in zip(sent, results, strict=True):
        if result["success"]:
            assert result["prediction"] == ok_json(service.predict(**form(image=content)))["prediction"]
            assert service.recorded(result["prediction_id"])["input"] == hashlib.sha256(content).hexdigest()
    many = service.predict(BATCH, files=[("images", (f"{number}", b"x")) for number in range(65)])
    assert_refused(many, 422, ("at most 64",))


def frames(plain: Image.Image, drawn: Image.Image) -> list[list[int]]:
    """x, y, w, h of what is red on one and not on the other."""
    before, after = (np.asarray(picture.convert("RGB")).astype(int) for picture in (plain, drawn))
    rows, columns = (np.flatnonzero((before != after).any(2).any(axis)) for axis in (1, 0))
    return [[int(columns[0]), int(rows[0]), int(np.ptp(columns)), int(np.ptp(rows))]] if len(rows) else []


def around(boxes: list[list[float]]) -> list[float]:
    """The box around all boxes."""
    corners = np.array(boxes)
    low, high = corners[:, :2].min(0), (corners[:, :2] + corners[:, 2:]).max(0)
    return [*low, *(high - low)]


@pytest.mark.parametrize(("name", "number"), [("page", 1), ("pdf", 1), ("pdf", 3)])
def test_a_page_is_drawn_with_its_boxes(service: Service, name: str, number: int) -> None:
    sent = {"page": PAGE, "pdf": THREE}[name]
    found = ok_json(service.predict(f"/predict?page={number}", **form(image=sent)))
    response = service.predict(f"/predict?draw=true&page={number}", **form(image=sent))
    plain = opened(service.predict(f"/page?page={number}", **form(image=sent)))
    drawn = opened(response)
    assert drawn.size == plain.size == ((620, 877) if name == "page" else (1240, 1755))
    assert frames(plain, drawn) == [pytest.approx(around(found["prediction"]), abs=2)]
    assert int(response.headers["x-count"]) == found["count"]
    assert response.headers["x-model-version"] == "1"
    assert len(response.headers["x-prediction-id"]) == 32


def test_without_a_number_the_first_page_is_drawn(service: Service) -> None:
    first, none = (service.predict(f"/predict?draw=true{more}", **form(image=THREE)) for more in ("&page=1", ""))
    assert first.content == none.content
    assert "json" in service.predict("/predict?draw=false", **form(image=THREE)).headers["content-type"]


def test_a_huge_page_is_drawn_reduced(service: Service) -> None:
    drawn = opened(service.predict("/predict?draw=true", **form(image=encoded(page().resize((5000, 7000))))))
    assert drawn.size == (2926, pages.SHOWN_SIDE)


JSON = "application/json"
UNWELCOME: dict[str, asked.Refused] = {
    **asked.UNWELCOME,
    "huge-picture": (raw(header(30_000, 30_000)), 413, ("30000 x 30000", "40 megapixels")),
    "large-picture": (raw(header(8000, 8000)), 413, ("8000 x 8000", "40 megapixels")),
    "huge-body": (raw(bytes(30_000_000)), 413, ("30.0 MB", "25 MB")),
    "huge-form": (form(image=bytes(30_000_000)), 413, ("30.0 MB", "25 MB")),
    "over-the-limit": (raw(bytes(25_000_001)), 413, ("25 MB",)),
    "huge-json": (raw(b'{"image": "' + b"A" * 30_000_000 + b'"}', JSON), 413, ("30.0 MB", "25 MB")),
    "text": (raw(b"seven", "text/plain"), 415, ("'text/plain'", "application/json", "application/pdf")),
    "not-an-image": (raw(b"a letter, I believe"), 415, ("a letter", "PNG, JPEG or WebP, or a PDF or TIFF")),
    "broken-base64": ({"json": {"image": "a letter!"}}, 422, ("'image' is not base64", "'!'")),
    "url-safe-base64": ({"json": {"image": "ab-_"}}, 422, ("'-' at character 2",)),
    "cut-base64": ({"json": {"image": "QUJDR"}}, 422, ("5 characters", "no multiple of 4")),
    "padded-in-the-middle": ({"json": {"image": "QUI=QUJD"}}, 422, ("'='", "not base64")),
    "a-data-url-of-text": ({"json": {"image": "data:image/png,QUJD"}}, 422, ("data URL", "does not say base64")),
    "base64-of-text": (wrapped(b"a letter"), 415, ("a letter", "PNG, JPEG or WebP")),
    "a-cut-picture-in-base64": (wrapped(PAGE[:900]), 422, ("truncated", "complete file")),
    "huge-picture-in-base64": (wrapped(header(30_000, 30_000)), 413, ("30000 x 30000", "40 megapixels")),
    "numbers": ({"json": {"image": [[0]]}}, 422, ("image", "string")),
    "no-image": ({"json": {}}, 422, ("image", "required")),
    "another-key": ({"json": {"image": "QUJD", "page": 2}}, 422, ("page", "unknown key", "'image'")),
    "a-list": ({"json": []}, 422, ("the body", "'image'")),
    "not-json": (raw(b"a letter", JSON), 400, ("not JSON", "'image'")),
    "a-picture-said-to-be-json": (raw(PAGE, JSON), 400, ("not JSON",)),
    "much-json": (raw(b'{"image": [' + b"[]," * 400_000 + b"[]]}", JSON), 422, ("not one text", "0.25 MB", "'image'")),
    "many-escapes": (raw(b'{"image": "' + rb"\u0041" * 200_000 + b'"}', JSON), 422, ("not one text",)),
    "encrypted": (form(image=papers.encrypted()), 422, ("encrypted", "without a password")),
    "broken-pdf": (raw(LETTER[:200], "application/pdf"), 422, ("truncated or broken",)),
    "500-pages": (raw(papers.paper([b""] * 500), "application/pdf"), 413, ("500 pages", "at most 50", "in parts")),
    "a-field": (form(image=papers.letter([], (900_000, 900_000))), 413, ("40 megapixels", "10 dpi")),
    "51-pages": (raw(hostile.many(51), "image/tiff"), 413, ("51 pages", "at most 50", "in parts")),
    "a-broken-tiff": (raw(SCAN[: len(SCAN) // 2], "image/tiff"), 422, ("TIFF", "truncated or broken")),
}


@pytest.mark.parametrize("name", UNWELCOME)
def test_a_bad_request_is_refused_with_a_reason_and_the_next_is_answered(service: Service, name: str) -> None:
    request, status, words = UNWELCOME[name]
    assert_refused(service.predict(**request), status, words)
    assert ok_json(service.predict(**form(image=PAGE)))


QUERIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "draw=yes": ("draw=yes", ("draw='yes'", "true nor false")),
    "draw": ("draw", ("draw=''",)),
    "True": ("draw=True", ("draw='True'",)),
    "draw-twice": ("draw=true&draw=false", ("draw is given 2 times",)),
    "page=0": ("page=0", ("page='0'", "page=1")),
    "page=-1": ("draw=true&page=-1", ("page='-1'",)),
    "page=two": ("page=two", ("page='two'",)),
    "page=1.5": ("page=1.5", ("page='1.5'",)),
    "page": ("page=", ("page=''",)),
    "a-long-page": (f"page={'9' * 5000}", ("page='9999",)),
    "another-script": ("page=%D9%A1", ("not the number",)),
    "page-twice": ("page=1&page=2", ("page is given 2 times", "'1, 2'")),
    "no-such-page": ("page=2", ("page=2", "1 page", "page=1")),
    "no-such-page-drawn": ("draw=true&page=7", ("page=7", "1 page")),
}


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("sent", [PAGE, LETTER], ids=["picture", "pdf"])
def test_a_bad_query_is_refused_by_name(service: Service, name: str, sent: bytes) -> None:
    query, words = QUERIES[name]
    assert_refused(service.predict(f"/predict?{query}", **form(image=sent)), 422, words)


def test_a_page_that_a_pdf_has_not_is_refused_with_those_it_has(service: Service) -> None:
    for path in ("/predict?page=4", "/predict?draw=true&page=4", "/page?page=4"):
        assert_refused(service.predict(path, **form(image=THREE)), 422, ("page=4", "3 pages", "page=1 to 3"))


def test_the_id_the_reason_and_the_version_are_in_the_log(service: Service) -> None:
    response = service.predict("/predict?draw=true", **form(image=PAGE), headers={"X-Request-ID": "letter-17"})
    assert until(lambda: "letter-17" in service.log())
    line = next(json.loads(line) for line in service.log().splitlines() if "letter-17" in line)
    assert (line["status"], line["version"], line["prediction_id"]) == (200, 1, response.headers["x-prediction-id"])


def test_an_answer_is_recorded_as_it_was_given_also_where_it_is_drawn(service: Service) -> None:
    answer, drawn = service.predict(**form(image=THREE)), service.predict("/predict?draw=true&page=2", **form(image=THREE))
    rows = [service.recorded(id) for id in (answer.json()["prediction_id"], drawn.headers["x-prediction-id"])]
    assert [(row["family"], row["version"], row["input"]) for row in rows] == [("signatures", 1, hashlib.sha256(THREE).hexdigest())] * 2
    assert rows[0]["output"] == answer.text
    assert [page["page"] for page in json.loads(rows[1]["output"])["pages"]] == [2]


def test_many_at_once_are_answered_as_each_alone(service: Service) -> None:
    sent = [form(image=encoded(page().transpose(turn))) for turn in STORED.values()] + [form(image=THREE), form(image=LETTER)]
    alone = [ok_json(service.predict(**request)) for request in sent]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda request: ok_json(service.predict(**request)), sent * 2))
    assert [answer["prediction"] for answer in together] == [near(answer, 0.2) for answer in alone * 2]


def test_a_large_json_keeps_nobody_waiting(service: Service) -> None:
    large = json.dumps({"image": base64.b64encode(bytes(17_000_000)).decode()}).encode()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(service.predict, **raw(large, JSON))
        waits = [service.client.get("/health").elapsed.total_seconds() for _ in range(50)]
        assert asking.result().status_code == 415
    assert max(waits) < 1


def test_a_moved_pointer_is_followed(service: Service) -> None:
    def stands(version: int) -> bool:
        return bool(service.client.get("/health").json()["model"] == service.pointers[version]["model"])

    before = ok_json(service.predict(**form(image=PAGE)))
    service.point(service.pointers[2])
    try:
        assert until(lambda: stands(2)), service.log()
        after = ok_json(service.predict(**form(image=PAGE)))
        assert after["model"] == service.pointers[2]["model"]
        assert after["prediction"] != before["prediction"]
    finally:
        service.point(service.pointers[1])
    assert until(lambda: stands(1)), service.log()


def test_the_openapi_description_names_what_goes_in_and_what_comes_out(service: Service) -> None:
    described = service.client.get("/openapi.json").json()
    operation = described["paths"]["/predict"]["post"]
    assert set(operation["requestBody"]["content"]) == set(answers.KINDS) == {*bodies.KINDS, "application/pdf", "image/tiff"}
    assert {parameter["name"] for parameter in operation["parameters"]} == {"draw", "page"}
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "image/png"}
    assert [parameter["name"] for parameter in described["paths"]["/page"]["post"]["parameters"]] == ["page"]
    assert all(problems.MEDIA_TYPE in operation["responses"][status]["content"] for status in ("400", "413", "415", "422"))
    assert asked.dangling(described) == []


def test_no_training_framework_is_imported_to_serve(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""


def test_a_seven_is_no_letter_and_answered_all_the_same(service: Service) -> None:
    assert_found(ok_json(service.predict(**form(image=encoded(seven())))))
