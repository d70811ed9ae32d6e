"""The endpoint of objects over real HTTP: one picture or many, in any form that people send, and what is refused."""

import asyncio
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.datastructures import State

from pipelines import configs
from pipelines.families.objects import examples
from pipelines.families.objects.embedded import drawn
from serving import problems
from serving.inputs import bodies
from serving.live.batches import Batches
from serving.live.champion import Served
from serving.live.recorder import Recorder
from serving.live.shadow import Shadow
from serving.many import MOST
from serving.objects import answers
from tests import asked, corpus
from tests.asked import PICTURE, WELCOME, assert_refused, form, raw
from tests.forms import FORMS, STORED, drawing, encoded, turned
from tests.services import LOADED, Service, figures, run, running, stored, until

BATCH = "/predict/batch"
FILES = [encoded(Image.fromarray(picture)) for _, picture in drawn(MOST + 1, seed=3)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {version: stored(folder, version, "objects") for version in (1, 2)}) as service:
        yield service


def images(contents: Sequence[bytes], field: str = "images") -> dict[str, Any]:
    """Several files in one multipart field."""
    return {"files": [(field, (f"{number}.png", content)) for number, content in enumerate(contents)]}


def top(response: httpx.Response) -> dict[str, float]:
    """{class: confidence} of a whole answer, the likeliest first."""
    assert response.status_code == 200, response.text
    return ranked(response.json())


def ranked(answer: dict[str, Any]) -> dict[str, float]:
    return {rank["class"]: rank["confidence"] for rank in answer["top3_predictions"]}


def answered(service: Service, contents: Sequence[bytes]) -> list[dict[str, Any]]:
    """What /predict/batch says of each file."""
    response = service.predict(BATCH, **images(contents))
    assert response.status_code == 200, response.text
    assert set(response.json()) == {"results", "model"}
    return list(response.json()["results"])


def coloured() -> Image.Image:
    """48 wide and 32 high, every channel another ramp: turned, mirrored, or with red for blue, it is another picture."""
    across, down = np.meshgrid(np.linspace(0, 255, 48), np.linspace(0, 255, 32))
    return Image.fromarray(np.dstack([across, down, 255 - across / 2]).astype(np.uint8))


def layered() -> Image.Image:
    """The same, its lower half half transparent."""
    layers = coloured()
    layers.putalpha(Image.fromarray(np.repeat(np.array([[255], [128]], np.uint8), (16, 16), 0).repeat(48, 1)))
    return layers


def on_white(layers: Image.Image) -> Image.Image:
    page = Image.new("RGB", layers.size, "white")
    page.paste(layers, mask=layers.getchannel("A"))
    return page


def deep() -> bytes:
    """A PNG of 16 bits for each of red, green and blue; Pillow writes none."""
    rows = [b"\0" + (row.astype(">u2") * 257).tobytes() for row in np.asarray(coloured())]
    return corpus.png(48, 32, corpus.chunk(b"IDAT", zlib.compress(b"".join(rows))), corpus.chunk(b"IEND", b""), colour=2, depth=16)


def animated(kind: str, **options: Any) -> bytes:
    return encoded(coloured(), kind, save_all=True, append_images=[Image.new("RGB", (48, 32))], **options)


CONVERTED: dict[str, tuple[bytes, Image.Image]] = {  # a file, and how it looks as 8 bits of red, green and blue
    "rgb": (encoded(coloured()), coloured()),
    "grey": (encoded(coloured().convert("L")), coloured().convert("L").convert("RGB")),
    "palette": (encoded(coloured().quantize(32)), coloured().quantize(32).convert("RGB")),
    "1-bit": (encoded(coloured().convert("1")), coloured().convert("1").convert("RGB")),
    "16-bit": (deep(), coloured()),
    "transparent": (encoded(layered()), on_white(layered())),
    "transparent-webp": (encoded(layered(), "WEBP", lossless=True), on_white(layered())),
    "cmyk": (encoded(coloured().convert("CMYK"), "JPEG", quality=100), coloured()),
    "jpeg": (encoded(coloured(), "JPEG", quality=100), coloured()),
    "progressive": (encoded(coloured(), "JPEG", quality=100, progressive=True), coloured()),
    "animated-png": (animated("PNG"), coloured()),
    "animated-webp": (animated("WEBP", lossless=True), coloured()),
}


@pytest.mark.parametrize("name", WELCOME)
def test_every_kind_of_request_is_answered_in_one_shape(service: Service, name: str) -> None:
    response = service.predict(**WELCOME[name])
    assert response.headers["content-type"] == "application/json"
    assert_an_answer(service, response.json())


def assert_an_answer(service: Service, answer: dict[str, Any]) -> None:
    assert set(answer) == {"success", "prediction", "confidence", "top3_predictions", "prediction_id", "model"}
    assert answer["success"] is True
    assert [set(rank) for rank in answer["top3_predictions"]] == [{"class", "confidence"}] * 3
    classes, confidences = list(ranked(answer)), list(ranked(answer).values())
    assert (answer["prediction"], answer["confidence"]) == (classes[0], confidences[0])
    assert len(set(classes)) == 3
    assert confidences == sorted(confidences, reverse=True)
    assert 0 < sum(confidences) <= 1 + 1e-6
    assert answer["model"] == service.pointers[1]["model"]


def test_the_same_picture_has_the_same_answer_however_it_is_sent(service: Service) -> None:
    ways = [service.predict(**WELCOME[name]) for name in ("multipart", "image/png")]
    ways += [service.predict(**raw(PICTURE, "Image/PNG; charset=binary"))]
    assert [top(way) for way in ways] == [top(ways[0])] * len(ways)
    assert len({way.json()["prediction_id"] for way in ways}) == len(ways)


@pytest.mark.parametrize("name", CONVERTED)
def test_a_picture_of_any_mode_is_answered_as_it_looks(service: Service, name: str) -> None:
    content, looks = CONVERTED[name]
    found, wanted = (top(service.predict(**form(image=sent))) for sent in (content, encoded(looks)))
    assert found == pytest.approx(wanted, abs=0.02 if name in {"cmyk", "jpeg", "progressive"} else 1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_so_is_every_form_of_a_grey_one(service: Service, name: str) -> None:
    found, wanted = (top(service.predict(**form(image=sent))) for sent in (FORMS[name](drawing()), encoded(drawing())))
    assert found == pytest.approx(wanted, abs=0.02)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_turns_a_picture_upright(service: Service, orientation: int, kind: str) -> None:
    found, wanted = (top(service.predict(**form(image=sent))) for sent in (turned(coloured(), orientation, kind), encoded(coloured())))
    assert found == pytest.approx(wanted, abs=0.05)
    lying = top(service.predict(**form(image=encoded(coloured().transpose(STORED[orientation])))))
    assert lying != pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (31, 33), (32, 32), (33, 31), (640, 480), (2000, 3000)])
def test_a_picture_of_any_size_is_answered(service: Service, size: tuple[int, int]) -> None:
    assert len(top(service.predict(**form(image=encoded(coloured().resize(size)))))) == 3


def test_a_larger_picture_is_answered_about_as_the_small_one(service: Service) -> None:
    small = coloured().resize((32, 32))
    found, wanted = (top(service.predict(**form(image=encoded(sent)))) for sent in (small.resize((1600, 1600)), small))
    assert found == pytest.approx(wanted, abs=0.05)


def test_the_middle_square_of_a_picture_counts(service: Service) -> None:
    wide = Image.new("RGB", (320, 32), "red")
    wide.paste(coloured().resize((32, 32)), (144, 0))
    found, wanted = (top(service.predict(**form(image=encoded(sent)))) for sent in (wide, coloured().resize((32, 32))))
    assert found == pytest.approx(wanted, abs=1e-5)


UNWELCOME: dict[str, asked.Refused] = {
    **asked.UNWELCOME,
    "json": (raw(b'{"image": [[0]]}', "application/json"), 415, ("'application/json'", *bodies.PICTURES)),
    "a-picture-said-to-be-json": (raw(PICTURE, "application/json"), 415, ("'application/json'", *bodies.PICTURES)),
    "large-json": (raw(b" " * 1_000_000, "application/json"), 415, ("'application/json'", *bodies.PICTURES)),
    "huge-json": (raw(b" " * 30_000_000, "application/json"), 415, ("'application/json'", *bodies.PICTURES)),
    "several": (images(FILES[:2]), 422, ("too many files", "at most 1 ", "'image'")),
    "the-field-of-several": (images(FILES[:1]), 422, ("'image'", "'images'")),
}


@pytest.mark.parametrize("name", UNWELCOME)
def test_a_bad_request_is_refused_with_a_reason_and_the_next_is_answered(service: Service, name: str) -> None:
    request, status, words = UNWELCOME[name]
    assert_refused(service.predict(**request), status, words)
    assert top(service.predict(**WELCOME["multipart"]))


def test_json_is_not_offered(service: Service) -> None:
    assert "json" not in service.predict(**raw(b"", "text/plain")).json()["detail"].lower()


def test_a_batch_is_answered_in_order_and_as_one_by_one(service: Service) -> None:
    results, alone = answered(service, FILES[:MOST]), [top(service.predict(**form(image=content))) for content in FILES[:MOST]]
    for result in results:
        assert_an_answer(service, result)
    assert [ranked(result) for result in results] == [pytest.approx(answer, abs=1e-5) for answer in alone]
    assert len({result["prediction_id"] for result in results}) == MOST
    assert len({tuple(answer) for answer in alone}) > 3  # the order shows only where answers differ


def test_the_pictures_of_a_batch_go_to_the_model_together(service: Service) -> None:
    names = [f'atelier_batch_size_{part}{{family="objects"}}' for part in ("sum", "count")]
    before, _, after = figures(service), answered(service, FILES[:MOST]), figures(service)
    pictures, calls = (after[name] - before.get(name, 0) for name in names)
    assert pictures == MOST
    assert calls == MOST / configs.serving("objects").batch


BROKEN = {
    "text": (b"a cat, I believe", 415, ("a cat, I", "PNG, JPEG or WebP")),
    "nothing": (b"", 415, ("0 bytes", "PNG, JPEG or WebP")),
    "gif": (encoded(coloured(), "GIF"), 415, ("GIF8", "PNG, JPEG or WebP")),
    "truncated": (PICTURE[: len(PICTURE) // 2], 422, ("truncated", "complete file")),
    "huge": (asked.header(20_000, 20_000), 413, ("20000 x 20000", "25 megapixels")),
}


def test_each_answer_of_a_batch_is_recorded_as_it_was_given(service: Service) -> None:
    sent = [FILES[0], b"no picture", FILES[1]]
    results = service.predict(BATCH, **images(sent)).json()["results"]
    rows = {place: service.recorded(results[place]["prediction_id"]) for place in (0, 2)}
    for place, row in rows.items():
        assert json.loads(row["output"]) == results[place]
        assert (row["version"], row["input"]) == (1, hashlib.sha256(sent[place]).hexdigest())


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_broken_picture_has_its_problem_in_its_place_and_the_others_are_answered(service: Service, name: str, place: int) -> None:
    content, status, words = BROKEN[name]
    results = answered(service, [*FILES[:place], content, *FILES[place:4]])
    broken = results.pop(place)
    assert (set(broken), broken["success"]) == ({"success", "problem"}, False)
    assert set(broken["problem"]) == {"title", "status", "detail", "reason"}
    assert broken["problem"]["status"] == status
    assert [word for word in words if word not in broken["problem"]["detail"]] == []
    assert [ranked(result) for result in results] == [pytest.approx(ranked(result), abs=1e-5) for result in answered(service, FILES[:4])]


def test_a_batch_of_broken_pictures_alone_is_answered_too(service: Service) -> None:
    assert [result["problem"]["status"] for result in answered(service, [content for content, _, _ in BROKEN.values()])] == [
        status for _, status, _ in BROKEN.values()
    ]


UNWELCOME_BATCHES: dict[str, asked.Refused] = {
    "65-pictures": (images(FILES), 422, ("too many files", "at most 64 ", "'images'")),
    "no-pictures": (raw(b"--x--\r\n", "multipart/form-data; boundary=x"), 422, ("'images'", "none")),
    "no-body": (raw(b"", "multipart/form-data; boundary=x"), 422, ("'images'", "none")),
    "only-fields": ({"files": {"note": (None, "a cat")}}, 422, ("'images'", "'note'")),
    "text-for-a-picture": ({"files": [("images", ("1.png", PICTURE)), ("images", (None, "a cat"))]}, 422, ("'images'", "not a file")),
    "the-field-of-one": (form(image=PICTURE), 422, ("'images'", "'image'")),
    "a-picture-alone": (raw(PICTURE), 415, ("'image/png'", "multipart/form-data", "'images'")),
    "json": (raw(b"{}", "application/json"), 415, ("'application/json'", "multipart/form-data")),
    "no-type": (raw(PICTURE, None), 415, ("none", "multipart/form-data")),
    "no-boundary": (raw(b"--x\r\n", "multipart/form-data"), 400, ("Missing boundary", "the multipart body is broken. Send")),
    "too-large": (images([bytes(4_000_000)] * 3), 413, ("12.0 MB", "10 MB", "all pictures together")),
}


@pytest.mark.parametrize("name", UNWELCOME_BATCHES)
def test_a_bad_batch_is_refused_as_a_whole_and_the_next_is_answered(service: Service, name: str) -> None:
    request, status, words = UNWELCOME_BATCHES[name]
    assert_refused(service.predict(BATCH, **request), status, words)
    assert len(answered(service, FILES[:1])) == 1


@pytest.mark.parametrize(("path", "name"), [("/predict", "several"), (BATCH, "65-pictures")])
def test_too_many_pictures_have_a_reason_of_their_own(service: Service, path: str, name: str) -> None:
    request, _, _ = (UNWELCOME | UNWELCOME_BATCHES)[name]
    assert service.predict(path, **request).json()["reason"] == "too many pictures"


def test_a_batch_says_where_it_comes_from(service: Service) -> None:
    said = service.predict(BATCH, **images([*FILES[:2], *(content for content, _, _ in BROKEN.values())])).json()
    assert said["model"] == service.pointers[1]["model"]


def test_the_ids_the_reasons_and_the_version_of_a_batch_are_in_the_log_and_its_refusals_are_counted(service: Service) -> None:
    series = [f'atelier_refusals_total{{family="objects",reason="{reason}"}}' for reason in ("not a picture", "broken picture")]
    before = figures(service)
    sent = images([*FILES[:2], *(content for content, _, _ in BROKEN.values())])
    results = service.predict(BATCH, **sent, headers={"X-Request-ID": "album-17"}).json()["results"]
    after = figures(service)
    assert [after[name] - before.get(name, 0) for name in series] == [3, 1]
    assert until(lambda: "album-17" in service.log())
    line = next(json.loads(line) for line in service.log().splitlines() if "album-17" in line)
    assert (line["status"], line["version"]) == (200, 1)
    assert line["prediction_ids"] == [result["prediction_id"] for result in results[:2]]
    assert line["refusals"] == [result["problem"]["reason"] for result in results[2:]]


def made(version: int) -> Served:
    """A loaded model that knows one class, named after its version."""
    predictor = SimpleNamespace(labels=[f"class of version {version}"], convention=examples.CONVENTION)
    return Served(predictor, {"model": {"version": version}}, Batches(lambda pictures: np.ones((len(pictures), 1)), MOST, "objects"))


def test_a_batch_is_answered_by_the_version_that_it_began_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """The champion changes after the first picture was read."""
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "True")
    module, champion, read = import_module("serving.objects.service"), SimpleNamespace(served=made(1), family="objects"), answers.read

    def swapped(*words: Any) -> NDArray[np.uint8]:
        champion.served = made(2)
        return read(*words)

    async def sent() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(module.app), base_url="http://service") as client:
            return await client.post(BATCH, **images(FILES[:3]))

    beside = {"recorder": Recorder("objects", configs.Predictions(share=0)), "shadow": Shadow(cast(Any, champion))}
    monkeypatch.setattr(module.app, "state", State({"champion": champion, "limits": configs.serving("objects"), **beside}))
    monkeypatch.setattr(answers, "read", swapped)
    said = asyncio.run(sent()).json()
    assert [part["model"]["version"] for part in (said, *said["results"])] == [1] * 4
    assert {result["prediction"] for result in said["results"]} == {"class of version 1"}
    assert champion.served.pointer["model"]["version"] == 2


def test_many_at_once_are_answered_as_each_alone(service: Service) -> None:
    alone = [top(service.predict(**form(image=content))) for content in FILES[:32]]
    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(lambda content: top(service.predict(**form(image=content))), FILES[:32]))
    assert together == [pytest.approx(answer, abs=1e-5) for answer in alone]


@pytest.mark.parametrize("path", ["/predict", BATCH])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_a_problem_too(service: Service, method: str, path: str) -> None:
    response = service.client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.headers["content-type"] == problems.MEDIA_TYPE


def test_health_says_which_model_answers(service: Service) -> None:
    assert service.client.get("/health").json() == {"status": "ok", "model": service.pointers[1]["model"], "refused": None}


def test_an_object_that_is_another_is_flagged_by_its_class(service: Service) -> None:
    content, choices = encoded(drawing()), service.client.get("/flag").json()["choices"]
    answer = service.client.post("/flag", files={"image": ("a.png", content)}, data={"correction": choices[3]})
    assert (answer.status_code, answer.json()["count"]) == (201, 1)
    assert (service.folder / "data/feedback/objects/train" / choices[3] / f"{answer.json()['hash']}.png").read_bytes() == content


def test_the_openapi_description_names_what_goes_in_and_what_comes_out(service: Service) -> None:
    page = service.client.get("/openapi.json").json()
    one, many = (page["paths"][path]["post"] for path in ("/predict", BATCH))
    assert set(one["requestBody"]["content"]) == set(bodies.PICTURES)
    assert many["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["images"]["maxItems"] == MOST
    assert all(problems.MEDIA_TYPE in one["responses"][status]["content"] for status in ("400", "413", "415", "422"))
    assert {"class", "confidence"} == set(page["components"]["schemas"]["Rank"]["properties"])
    assert asked.dangling(page) == []


def test_no_training_framework_is_imported_to_serve(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""


def test_a_moved_pointer_is_followed(service: Service) -> None:
    def stands(version: int) -> bool:
        return bool(service.client.get("/health").json()["model"] == service.pointers[version]["model"])

    before = answered(service, FILES[:1])
    service.point(service.pointers[2])
    try:
        assert until(lambda: stands(2)), service.log()
        after = answered(service, FILES[:1])
        assert after[0]["model"] == service.pointers[2]["model"]
        assert ranked(after[0]) != ranked(before[0])
    finally:
        service.point(service.pointers[1])
    assert until(lambda: stands(1)), service.log()
