"""The endpoint of ocr over real HTTP: a line, a page and a TIFF in any form that people send, and what is refused."""

import base64
import hashlib
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from pipelines import configs
from pipelines.families.ocr.parts.ctc import Reading
from serving import problems
from serving.inputs import bodies, tiffs
from serving.ocr import answers
from serving.problems import Refusal
from tests import asked, corpus, receipts
from tests import tiffs as hostile
from tests.asked import assert_refused, form, header, raw
from tests.forms import FORMS, STORED, encoded, turned
from tests.services import LOADED, Service, run, running, stored, until

pytestmark = pytest.mark.slow

LIMITS = configs.serving("ocr")
RECEIPT = receipts.receipt()
PAGE = encoded(Image.fromarray(RECEIPT.grey))
ROW = receipts.line("TOTAL : 12.00")
LINE = encoded(Image.fromarray(ROW))
BLANK = Image.new("L", (300, 200), 255)


def tiff(*pictures: Image.Image, **options: object) -> bytes:
    return encoded(pictures[0], "TIFF", save_all=True, append_images=pictures[1:], **options)


OTHER = Image.fromarray(receipts.columns(14, 6).grey)
SCAN = tiff(Image.fromarray(RECEIPT.grey), BLANK, OTHER, compression="tiff_lzw")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {version: stored(folder, version, "ocr") for version in (1, 2)}, JOBS_WORKERS="0") as service:
        yield service


@pytest.mark.parametrize("path", ["/predict", "/flag", "/jobs", "/token", "/logout", "/desk/gradio_api/upload"])
def test_without_sign_in_no_other_site_changes_anything(service: Service, path: str) -> None:
    """A page of another site, and one whose name was given this machine's address; a person with curl sends neither header."""
    for headers, status in ({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example", "Origin": "http://evil.example"}, 421):
        refused = service.client.post(path, headers=headers)
        assert (refused.status_code, service.client.delete("/jobs/" + "a" * 32, headers=headers).status_code) == (status, status)
    assert service.client.post(path).status_code not in (403, 421)


@pytest.mark.parametrize("path", ["/", "/health", "/readyz", "/metrics", "/openapi.json", "/desk/"])
def test_no_other_name_reads_anything(service: Service, path: str) -> None:
    assert service.client.get(path, headers={"Host": "evil.example"}).status_code == 421


def ok_json(response: httpx.Response) -> dict[str, Any]:
    """What an answer says, without its name."""
    assert response.status_code == 200, response.text
    return {key: value for key, value in response.json().items() if key != "prediction_id"}


def wrapped(content: bytes, prefix: str = "", **more: Any) -> dict[str, Any]:
    """JSON with a file as base64."""
    return {"json": {"image": prefix + base64.b64encode(content).decode(), **more}}


def assert_read(found: dict[str, Any]) -> None:
    """An answer agrees with itself."""
    lines = found["lines"]
    assert found["text"] == "\n".join(line["text"] for line in lines)
    assert all(line["text"].strip() and 0 < line["confidence"] <= 1 and len(line["box"]) == 4 for line in lines)
    characters = sum(len(line["text"]) for line in lines)
    mean = sum(len(line["text"]) * line["confidence"] for line in lines) / characters if characters else 0
    assert found["confidence"] == pytest.approx(mean, abs=1e-4)


WELCOME: dict[str, dict[str, Any]] = {
    **asked.WELCOME,
    "page": form(image=PAGE),
    "json": wrapped(LINE),
    "data-url": wrapped(LINE, "data:image/png;base64,"),
    "a-large-json": wrapped(encoded(Image.effect_noise((900, 1200), 90))),
    "one-pixel": form(image=encoded(Image.new("L", (1, 1), 255))),
}
SCANS: dict[str, dict[str, Any]] = {
    "form": form(image=SCAN),
    "image/tiff": raw(SCAN, "image/tiff"),
    "under-another-name": raw(SCAN, "image/jpeg"),
    "json": wrapped(SCAN, "data:image/tiff;base64,"),
}


@pytest.mark.parametrize("name", WELCOME)
def test_every_kind_of_request_is_answered_in_one_shape(service: Service, name: str) -> None:
    answer = service.predict(**WELCOME[name])
    assert set(answer.json()) == {"text", "confidence", "lines", "prediction_id", "model"}
    assert_read(ok_json(answer))
    assert all(set(line) == {"text", "box", "confidence"} for line in answer.json()["lines"])
    assert answer.json()["model"] == service.pointers[1]["model"]


def test_the_same_picture_has_the_same_answer_however_it_is_sent(service: Service) -> None:
    ways = [form(image=LINE), raw(LINE), raw(LINE, "Image/PNG; charset=binary"), WELCOME["json"], WELCOME["data-url"]]
    found = [service.predict(**way) for way in ways]
    assert [ok_json(answer) for answer in found] == [ok_json(found[0])] * len(ways)
    assert len({answer.json()["prediction_id"] for answer in found}) == len(ways)
    assert ok_json(found[0])["text"]


def test_a_picture_of_a_line_is_one_line_as_large_as_the_picture(service: Service) -> None:
    found = ok_json(service.predict(**form(image=LINE)))
    assert [line["box"] for line in found["lines"]] == [[0, 0, *ROW.shape[::-1]]]


def middle(box: list[int]) -> tuple[float, float]:
    return box[0] + box[2] / 2, box[1] + box[3] / 2


@pytest.mark.parametrize("scale", [1, 3, 7])
def test_the_lines_of_a_page_come_in_order_in_its_pixels(service: Service, scale: int) -> None:
    grey = Image.fromarray(RECEIPT.grey)
    found = ok_json(service.predict(**form(image=encoded(grey.resize((grey.width * scale, grey.height * scale))))))
    assert len(found["lines"]) == len(RECEIPT.lines)
    assert_read(found)
    for line, (left, top, right, bottom) in zip(found["lines"], RECEIPT.lines, strict=True):
        assert [side / scale for side in middle(line["box"])] == pytest.approx([(left + right) / 2, (top + bottom) / 2], abs=4)


def test_each_line_of_a_page_is_read_as_it_is_alone(service: Service) -> None:
    found = ok_json(service.predict(**form(image=PAGE)))["lines"][:6]
    for line in found:
        x, y, width, height = line["box"]
        alone = ok_json(service.predict(**form(image=encoded(Image.fromarray(RECEIPT.grey[y : y + height, x : x + width])))))
        assert alone["text"] == line["text"]


def test_a_page_that_is_askew_is_read_as_it_is_when_level(service: Service) -> None:
    page = receipts.turned(RECEIPT, 3)
    found = ok_json(service.predict(**form(image=encoded(Image.fromarray(page.grey)))))
    assert len(found["lines"]) == len(page.lines)
    for line, (left, top, right, bottom) in zip(found["lines"], page.lines, strict=True):
        assert middle(line["box"]) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_boxes_are_those_of_the_upright_picture(service: Service, orientation: int, kind: str) -> None:
    small = Image.fromarray(receipts.receipt(12).grey)
    wanted = ok_json(service.predict(**form(image=encoded(small))))
    found = ok_json(service.predict(**form(image=turned(small, orientation, kind))))
    assert [line["box"] for line in found["lines"]] == [pytest.approx(line["box"], abs=4) for line in wanted["lines"]]


@pytest.mark.parametrize("name", FORMS)
def test_a_picture_of_any_mode_is_answered_as_it_looks(service: Service, name: str) -> None:
    line = Image.fromarray(ROW).resize((48, 32))
    found, wanted = (ok_json(service.predict(**form(image=sent))) for sent in (FORMS[name](line), encoded(line)))
    assert [line["box"] for line in found["lines"]] == [line["box"] for line in wanted["lines"]] == [[0, 0, 48, 32]]


NOTHING: dict[str, Image.Image] = {
    "white": BLANK,
    "black": Image.new("L", (300, 40), 0),
    "a-gradient": Image.linear_gradient("L"),
    "noise": Image.effect_noise((400, 300), 12),
    "transparent": Image.new("RGBA", (300, 40), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("name", NOTHING)
def test_where_no_text_is_none_is_answered(service: Service, name: str) -> None:
    found = ok_json(service.predict(**form(image=encoded(NOTHING[name]))))
    assert (found["text"], found["confidence"], found["lines"]) == ("", 0.0, [])


@pytest.mark.parametrize("name", SCANS)
def test_the_pages_of_a_tiff_are_read_in_order(service: Service, name: str) -> None:
    found = ok_json(service.predict(**SCANS[name]))
    assert_read(found)
    alone = [ok_json(service.predict(**form(image=encoded(page))))["lines"] for page in (Image.fromarray(RECEIPT.grey), BLANK, OTHER)]
    wanted = [{**line, "page": number} for number, lines in enumerate(alone, 1) for line in lines]
    assert found["lines"] == wanted
    assert {line["page"] for line in found["lines"]} == {1, 3}


@pytest.mark.parametrize("compression", hostile.COMPRESSIONS)
def test_a_tiff_of_any_compression_is_read(service: Service, compression: str) -> None:
    line = Image.fromarray(ROW).convert("1" if compression == "group4" else "L")
    found = ok_json(service.predict(**raw(tiff(line, compression=compression), "image/tiff")))
    assert [(line["page"], line["box"]) for line in found["lines"]] == [(1, [0, 0, *ROW.shape[::-1]])]


def test_each_file_of_a_batch_is_answered_or_refused_by_itself(service: Service) -> None:
    sent = [LINE, b"a receipt, I believe", PAGE, SCAN]
    response = service.predict("/predict/batch", files=[("images", (f"{number}", content)) for number, content in enumerate(sent)])
    results = response.json()["results"]
    assert [result.get("problem", {}).get("status") for result in results] == [None, 415, None, None]
    assert response.json()["model"] == service.pointers[1]["model"]
    for content, result in zip(sent, results, strict=True):
        if "problem" not in result:
            assert result["text"] == ok_json(service.predict(**form(image=content)))["text"]


JSON = "application/json"
UNWELCOME: dict[str, asked.Refused] = {
    **asked.UNWELCOME,
    "not-a-tiff": (raw(b"a receipt, I believe", "image/tiff"), 415, ("a receip", "PNG, JPEG or WebP, or a TIFF")),
    "100-pages": (raw(hostile.many(100), "image/tiff"), 413, ("100 pages", "at most 10", "in parts")),
    "11-pages-in-json": (wrapped(hostile.many(11)), 413, ("11 pages", "at most 10")),
    "5,000-pages": (raw(hostile.chained(5000), "image/tiff"), 413, ("1,000 pages or more", "at most 10")),
    "a-broken-tiff": (raw(SCAN[: len(SCAN) // 2], "image/tiff"), 422, ("TIFF", "truncated or broken")),
    "an-oversized-tiff": (raw(hostile.file(hostile.directory([(1, 7, 10**9, 8)] * 400)), "image/tiff"), 422, ("400,000,000,000 bytes",)),
    "a-huge-page": (raw(hostile.file(hostile.directory(hostile.page(9000, 9000)))), 413, ("Page 1", "9000 x 9000", "25 megapixels")),
    "huge-json": (raw(b'{"image": "' + b"A" * 11_000_000 + b'"}', JSON), 413, ("11.0 MB", "10 MB")),
    "broken-base64": ({"json": {"image": "a letter!"}}, 422, ("'image' is not base64", "'!'")),
    "huge-picture-in-base64": (wrapped(header(30_000, 30_000)), 413, ("30000 x 30000", "25 megapixels")),
    "another-key": ({"json": {"image": "QUJD", "page": 2}}, 422, ("page", "unknown key", "'image'")),
    "not-json": (raw(b"a letter", JSON), 400, ("not JSON", "'image'")),
}


@pytest.mark.parametrize("name", UNWELCOME)
def test_a_bad_request_is_refused_with_a_reason_and_the_next_is_answered(service: Service, name: str) -> None:
    request, status, words = UNWELCOME[name]
    assert_refused(service.predict(**request), status, words)
    assert ok_json(service.predict(**form(image=LINE)))["text"]


def test_too_many_pages_are_refused_before_one_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiffs.Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(Refusal, match=f"100 pages; at most {LIMITS.limit_pages} are read"):
        tiffs.count(hostile.many(100), LIMITS)


def test_an_oversized_tiff_is_refused_or_read_in_bounds() -> None:
    assert {body.name: size for body in hostile.oversized() if (size := largest(body)) > LIMITS.limit_megapixels * 1e6} == {}


def largest(body: corpus.Body) -> int:
    """The pixels of the largest page that is opened; 0 where the file is refused."""
    try:
        count = tiffs.count(body.content, LIMITS)
        return max(math.prod(tiffs.opened(body.content, number, LIMITS).size) for number in range(count))
    except Refusal as refusal:
        assert refusal.status in {413, 422}
        return 0


def test_the_id_and_the_version_are_in_the_log(service: Service) -> None:
    response = service.predict(**form(image=LINE), headers={"X-Request-ID": "receipt-17"})
    assert until(lambda: "receipt-17" in service.log())
    line = next(json.loads(line) for line in service.log().splitlines() if "receipt-17" in line)
    assert (line["status"], line["version"], line["prediction_id"]) == (200, 1, response.json()["prediction_id"])


@pytest.mark.parametrize("way", [form(image=LINE), wrapped(LINE)], ids=["picture", "json"])
def test_an_answer_is_recorded_as_it_was_given(service: Service, way: dict[str, Any]) -> None:
    response = service.predict(**way)
    row = service.recorded(response.json()["prediction_id"])
    assert (row["family"], row["version"], row["output"]) == ("ocr", 1, response.text)
    assert row["input"] == hashlib.sha256(LINE if "files" in way else response.request.content).hexdigest()


def test_many_at_once_are_answered_as_each_alone(service: Service) -> None:
    texts = ["TOTAL", "GST 6%", "12/03/2018 10:33", "THANK YOU. PLEASE COME AGAIN!"]
    sent = [*(form(image=encoded(Image.fromarray(receipts.line(text)))) for text in texts), form(image=PAGE), form(image=SCAN)]
    alone = [ok_json(service.predict(**request))["text"] for request in sent]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda request: ok_json(service.predict(**request))["text"], sent * 2))
    assert together == alone * 2
    assert len(set(alone)) == len(alone)


def test_a_moved_pointer_is_followed(service: Service) -> None:
    def stands(version: int) -> bool:
        return bool(service.client.get("/health").json()["model"] == service.pointers[version]["model"])

    before = ok_json(service.predict(**form(image=LINE)))
    service.point(service.pointers[2])
    try:
        assert until(lambda: stands(2)), service.log()
        after = ok_json(service.predict(**form(image=LINE)))
        assert after["model"] == service.pointers[2]["model"]
        assert after["text"] != before["text"]
    finally:
        service.point(service.pointers[1])
    assert until(lambda: stands(1)), service.log()


def test_the_openapi_description_names_what_goes_in_and_what_comes_out(service: Service) -> None:
    described = service.client.get("/openapi.json").json()
    operation = described["paths"]["/predict"]["post"]
    assert set(operation["requestBody"]["content"]) == set(answers.KINDS) == {*bodies.KINDS, "image/tiff"}
    assert all(problems.MEDIA_TYPE in operation["responses"][status]["content"] for status in ("400", "413", "415", "422"))
    assert {"/jobs", "/jobs/{id}", "/flag", "/predict"} <= set(described["paths"])
    assert asked.dangling(described) == []


def test_no_training_framework_is_imported_to_serve(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""


MODEL = {"family": "ocr", "version": 1, "digest": "d" * 64, "data": "e" * 64, "commit": None, "run_id": "r"}
READINGS = [Reading("TOTAL", 0.9), Reading("1.90", 0.5)]


def test_longer_lines_count_more_in_the_confidence() -> None:
    lines = [{"text": reading.text, "box": [0, 0, 9, 9], "confidence": reading.confidence} for reading in READINGS]
    found = answers.together(lines)
    assert found["text"] == "TOTAL\n1.90"
    assert found["confidence"] == pytest.approx((5 * 0.9 + 4 * 0.5) / 9, abs=1e-4)
    assert answers.together([]) == {"text": "", "confidence": 0.0, "lines": []}


def test_an_answer_is_told_line_by_line() -> None:
    lines = [{"text": reading.text, "box": [0, 0, 9, 9], "confidence": reading.confidence} for reading in READINGS]
    said = answers.as_text({**answers.together(lines), "model": MODEL, "prediction_id": "p"})
    assert said.startswith("It says, in 2 lines:\n  TOTAL  90.0%\n  1.90   50.0%\nFrom ocr version 1")
    assert answers.as_text({**answers.together([]), "model": MODEL}).startswith("No text was found.\nFrom ocr version 1")


def test_a_box_of_a_reduced_page_stays_on_the_page(service: Service) -> None:
    wide = np.full((60, 9000), 255, np.uint8)
    wide[:, :200], wide[:, 8800:] = receipts.line("TOTAL", 40)[:60, :200].max(), 255
    picture = Image.fromarray(wide)
    picture.paste(Image.fromarray(receipts.line("TOTAL : 1.90 AND CHANGE", 36)[:60]), (8300, 6))
    for line in ok_json(service.predict(**form(image=encoded(picture))))["lines"]:
        x, y, width, height = line["box"]
        assert 0 <= x < x + width <= 9000
        assert 0 <= y < y + height <= 60
