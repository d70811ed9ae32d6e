"""The endpoint of gravures over real HTTP: a drawing and its matches, lenses by tag and by id, pictures, and what is refused."""

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from pipelines import folders
from pipelines.databases import NoDatabase
from pipelines.families.gravures import examples
from pipelines.families.gravures.parts import additions
from pipelines.families.gravures.parts.index import OtherModel
from pipelines.families.gravures.picture import Convention
from serving import problems
from serving.gravures import answers, catalogue
from serving.gravures.lookup import Lookup
from serving.inputs import bodies, pictures
from serving.problems import Refusal
from tests import asked, engravers
from tests.asked import assert_refused, form, header, raw
from tests.engravers import SHAPES
from tests.forms import FORMS, drawing, encoded
from tests.services import LOADED, Service, run, running, stored, until

BARE = {"verre_id": 900, "name": "bare", "index_code": "16", "picture": None}
POINTS = {  # of a square of 100
    "bar": [(5, 50), (95, 50)],
    "square": [(5, 5), (95, 5), (95, 95), (5, 95), (5, 5)],
    "triangle": [(5, 95), (95, 95), (50, 5), (5, 95)],
}


def drawn(shape: str, side: int = 300, pen: int = 6) -> Image.Image:
    """A shape as somebody draws it on white paper."""
    paper = Image.new("L", (side, side), 255)
    line = [(x * side / 140 + side / 7, y * side / 140 + side / 7) for x, y in POINTS[shape]]
    ImageDraw.Draw(paper).line(line, fill=15, width=pen, joint="curve")
    return paper


PICTURE = encoded(drawn("triangle"))


def changed(model: Path) -> None:
    """One more lens, which has no picture; the first of version 2 has another name."""
    path = model / "catalogue.json"
    catalogue = json.loads(path.read_text())
    catalogue["lenses"].append(BARE)
    catalogue["lenses"][0]["name"] = f"lens of {model.name}"
    path.write_text(json.dumps(catalogue))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    with running(folder, {version: stored(folder, version, "gravures", changed) for version in (1, 2)}) as service:
        yield service


@pytest.fixture
def shown(service: Service) -> Iterator[dict[str, bytes]]:
    """The data's pictures on this machine: they are made here, and taken away again."""
    folder = service.folder / "data/gravures"
    files = {f"catalogue/gravure_000{number}.png": encoded(drawn("square", 40 + number)) for number in range(3)}
    files |= {"drawn/été/1 a.jpeg": encoded(drawn("bar"), "JPEG"), "drawn/note.txt": b"<script>alert(1)</script>"}
    with folders.replacing(folder) as out:
        examples.pack(out, files.items())
    yield files
    for name in (examples.FILES, examples.PLACES):
        (folder / name).unlink()


def ok_json(response: httpx.Response) -> dict[str, Any]:
    """What an answer says, without its name."""
    assert response.status_code == 200, response.text
    return {key: value for key, value in response.json().items() if key != "prediction_id"}


def matched(service: Service, content: bytes, query: str = "") -> list[dict[str, Any]]:
    return list(ok_json(service.predict(f"/match{query}", **form(image=content)))["matches"])


def wrapped(content: bytes, prefix: str = "", **more: Any) -> dict[str, Any]:
    """JSON with a file as base64."""
    return {"json": {"image": prefix + base64.b64encode(content).decode(), **more}}


WELCOME: dict[str, dict[str, Any]] = {
    **asked.WELCOME,
    "json": wrapped(PICTURE),
    "data-url": wrapped(PICTURE, "data:image/png;base64,"),
    "lines": {"json": {"image": base64.encodebytes(PICTURE).decode()}},
    "a-large-one": wrapped(encoded(Image.blend(drawn("triangle").resize((1200, 1400)), Image.effect_noise((1200, 1400), 90), 0.3))),
}


@pytest.mark.parametrize("name", WELCOME)
def test_every_kind_of_request_is_answered_in_one_shape(service: Service, name: str) -> None:
    answer = service.predict(**WELCOME[name]).json()
    assert set(answer) == {"success", "matches", "added", "prediction_id", "model"}
    assert answer["model"] == service.pointers[1]["model"]
    assert [match["rank"] for match in answer["matches"]] == [*range(1, 11)]
    similarities = [match["similarity"] for match in answer["matches"]]
    assert similarities == sorted(similarities, reverse=True)
    for match in answer["matches"]:
        assert set(match) == {"rank", "engraving", "kind", "similarity", "picture", "lenses", "lenses_total"}
        assert match["kind"] == ("class" if match["engraving"] in SHAPES else "catalogue")
        assert all(set(lens) == {"verre_id", "name", "index_code", "index"} for lens in match["lenses"])


@pytest.mark.parametrize("shape", POINTS)
@pytest.mark.parametrize("paper", ["thin", "thick", "small", "chalk", "wide"])
def test_a_drawing_finds_its_engraving_however_it_is_drawn(service: Service, shape: str, paper: str) -> None:
    picture = {"thin": drawn(shape, 560, 4), "thick": drawn(shape, 560, 20), "small": drawn(shape, 64, 1), "wide": drawn(shape)}.get(paper)
    picture = ImageOps.invert(drawn(shape)) if picture is None else picture
    sent = encoded(ImageOps.expand(picture, (200, 0, 10, 0), 255) if paper == "wide" else picture)
    assert matched(service, sent, "?k=1")[0]["engraving"] in {shape, f"gravure_000{SHAPES.index(shape)}.png"}


@pytest.mark.parametrize(("k", "count"), [(1, 1), (3, 3), (10, 10), (12, 12), (100, 12)])
def test_as_many_engravings_are_told_as_are_asked_for_and_known(service: Service, k: int, count: int) -> None:
    matches = matched(service, PICTURE, f"?k={k}")
    assert len(matches) == count
    assert len({match["engraving"] for match in matches}) == count
    assert matches == matched(service, PICTURE, "?k=100")[:count]


def test_the_lenses_of_a_class_are_those_of_its_pictures(service: Service) -> None:
    found = {match["engraving"]: match for match in matched(service, PICTURE, "?k=100")}
    for number, shape in enumerate(SHAPES):
        assert found[shape]["lenses"] == found[f"gravure_000{number}.png"]["lenses"]
        assert [lens["verre_id"] for lens in found[shape]["lenses"]] == [187 + number, 193 + number]
        assert found[shape]["lenses_total"] == 2
        assert found[shape]["lenses"][1] == {"verre_id": 193 + number, "name": f"lens {6 + number}", "index_code": "15", "index": 1.5}


def test_an_answer_is_told_as_a_table(service: Service) -> None:
    first, *rows = answers.as_text(service.predict(**form(image=PICTURE)).json()).splitlines()
    assert first in {"Most like it: triangle.", "Most like it: gravure_0004.png."}
    assert len(rows) == 12
    assert next(row for row in rows if "triangle" in row).endswith("class      2 lenses: lens 4 (191), lens 10 (197)")
    assert rows[-1] == "Walk back to the data: make lineage of=gravures@v1"


def test_an_embedding_is_256_numbers_of_length_one_and_the_same_however_it_is_sent(service: Service) -> None:
    answers = [service.client.post("/embedding", **way) for way in (form(image=PICTURE), raw(PICTURE), wrapped(PICTURE))]
    vectors = [np.array(ok_json(answer)["embedding"]) for answer in answers]
    assert vectors[0].shape == (256,)
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-5)
    for vector in vectors:
        np.testing.assert_allclose(vector, vectors[0], atol=1e-6)
    with chdir(service.folder):
        model = Path(
            run(service.folder, "-c", "from pipelines.registry import store; print(store.location(store.read_pointer('gravures')['tag']))")
        )
    brought = Convention(**json.loads((model / "model.json").read_text())["preprocessing"]).from_grey(pictures.inked(drawn("triangle")))
    np.testing.assert_allclose(vectors[0], engravers.embedded(model / "model.onnx", brought[None])[0], atol=1e-6)


@pytest.mark.parametrize("name", FORMS)
def test_a_picture_of_any_mode_is_answered_as_it_looks(service: Service, name: str) -> None:
    found, wanted = (matched(service, sent, "?k=3") for sent in (FORMS[name](drawing()), encoded(drawing())))
    assert found[0]["engraving"] == wanted[0]["engraving"]
    assert [match["similarity"] for match in found] == pytest.approx([match["similarity"] for match in wanted], abs=0.05)


JSON = "application/json"
BLANK = ("The picture is blank", "Draw the engraving")
UNWELCOME: dict[str, asked.Refused] = {
    **asked.UNWELCOME,
    "huge-picture": (raw(header(20_000, 20_000)), 413, ("20000 x 20000", "12 megapixels")),
    "large-picture": (raw(header(8000, 8000)), 413, ("8000 x 8000", "12 megapixels")),
    "huge-body": (raw(bytes(30_000_000)), 413, ("30.0 MB", "5 MB")),
    "huge-form": (form(image=bytes(30_000_000)), 413, ("30.0 MB", "5 MB")),
    "over-the-limit": (raw(bytes(5_000_001)), 413, ("5 MB",)),
    "huge-json": (raw(b'{"image": "' + b"A" * 30_000_000 + b'"}', JSON), 413, ("30.0 MB", "5 MB")),
    "text": (raw(b"circle", "text/plain"), 415, ("'text/plain'", "application/json", "image/webp")),
    "a-pdf": (raw(b"%PDF-1.7 ..."), 415, ("%PDF", "PNG, JPEG or WebP")),
    "empty-canvas": (form(image=encoded(Image.new("L", (560, 560), 255))), 422, BLANK),
    "transparent-canvas": (form(image=encoded(Image.new("RGBA", (560, 560)))), 422, BLANK),
    "all-black": (form(image=encoded(Image.new("L", (64, 64)))), 422, BLANK),
    "all-red": (form(image=encoded(Image.new("RGB", (64, 64), (200, 0, 0)))), 422, BLANK),
    "one-pixel": (raw(encoded(Image.new("L", (1, 1), 255))), 422, BLANK),
    "empty-canvas-in-base64": (wrapped(encoded(Image.new("L", (9, 9), 255)), "data:image/png;base64,"), 422, BLANK),
    "broken-base64": ({"json": {"image": "a circle!"}}, 422, ("'image' is not base64", "'!'")),
    "base64-of-text": (wrapped(b"a circle"), 415, ("a circle", "PNG, JPEG or WebP")),
    "numbers": ({"json": {"image": [[0]]}}, 422, ("image", "string")),
    "another-key": ({"json": {"image": "QUJD", "k": 2}}, 422, ("k", "unknown key", "'image'")),
    "not-json": (raw(b"a circle", JSON), 400, ("not JSON", "'image'")),
}


@pytest.mark.parametrize("path", ["/match", "/embedding"])
@pytest.mark.parametrize("name", UNWELCOME)
def test_a_bad_request_is_refused_with_a_reason_and_the_next_is_answered(service: Service, name: str, path: str) -> None:
    request, status, words = UNWELCOME[name]
    assert_refused(service.predict(path, **request), status, words)
    assert ok_json(service.predict(path, **form(image=PICTURE)))


MANY = "9" * 4000
BAD: dict[str, tuple[int, tuple[str, ...]]] = {  # an address: its status, what the detail says
    "/match?k=0": (422, ("k='0'", "from 1 to 100", "k=10")),
    "/match?k=10000": (422, ("k='10000'", "from 1 to 100")),
    "/match?k=101": (422, ("k='101'",)),
    "/match?k=-1": (422, ("k='-1'",)),
    "/match?k=ten": (422, ("k='ten'", "whole number")),
    "/match?k=": (422, ("k=''",)),
    "/match?k=1.5": (422, ("k='1.5'",)),
    "/match?k=%D9%A1": (422, ("whole number",)),
    f"/match?k={MANY}": (422, ("k='9999",)),
    "/match?k=1&k=2": (422, ("k is given 2 times", "'1, 2'")),
    "/search_tags": (422, ("No tag", "circle")),
    "/search_tags?tags=": (422, ("No tag",)),
    "/search_tags?tags=,%20,": (422, ("No tag",)),
    f"/search_tags?tags={'x' * 5000}": (422, ("5000 characters", "30")),
    f"/search_tags?tags={','.join(map(str, range(50)))}": (422, ("50 tags", "10 are allowed")),
    "/search_tags?tags=circle&page=0": (422, ("page='0'", "from 1 to 1,000,000")),
    "/search_tags?tags=circle&page=x": (422, ("page='x'",)),
    "/search_tags?tags=circle&size=0": (422, ("size='0'", "from 1 to 100")),
    "/search_tags?tags=circle&size=1000": (422, ("size='1000'",)),
    "/search_tags?tags=circle&size=1&size=2": (422, ("size is given 2 times",)),
    "/verre/abc": (422, ("'abc'", "whole number")),
    "/verre/1.5": (422, ("'1.5'",)),
    "/verre/187;drop%20table%20lenses": (422, ("'187;drop table lenses'",)),
    "/verre/%00": (422, ("whole number",)),
    f"/verre/{MANY}": (422, ("'9999",)),
    "/verre/186": (404, ("no lens 186", "187, 188, 189, 190, 191")),
    "/verre/300": (404, ("no lens 300", "198, 197")),
    "/verre/-1": (404, ("no lens -1", "187")),
    "/verre/99999999999999": (404, ("no lens 99999999999999", "900")),
    "/picture/catalogue/gravure_0000.png": (404, ("'catalogue/gravure_0000.png' cannot be shown", "not on this machine", "dvc repro")),
    "/picture/..%2F..%2Fmodel-1%2Fmodel.json": (404, ("cannot be shown",)),
}


@pytest.mark.parametrize("address", BAD, ids=lambda address: address[:60])
def test_a_bad_address_is_refused_by_name(service: Service, address: str) -> None:
    status, words = BAD[address]
    ask = {"files": {"image": PICTURE}} if address.startswith("/match") else {}
    assert_refused(service.client.request("POST" if ask else "GET", address, **ask), status, words)


def search(service: Service, query: str) -> dict[str, Any]:
    return ok_json(service.client.get(f"/search_tags?{query}"))


@pytest.mark.parametrize("query", ["tags=circle", "tags=CIRCLE", "tags=%20circle,", "tags=circle&tags=circle", "tags=circle+circle"])
def test_lenses_are_found_by_what_is_engraved(service: Service, query: str) -> None:
    found = search(service, query)
    assert [lens["verre_id"] for lens in found["items"]] == [188, 194]
    assert (found["page"], found["pages"], found["total"], found["unknown"]) == (1, 1, 2, {})
    assert found["items"][0]["tags"] == ["circle"]
    assert found["items"][0]["engraving"] == {"picture": "gravure_0001.png", "class": "circle"}


def test_what_was_found_comes_page_by_page(service: Service) -> None:
    pages = [search(service, f"tags=circle&size=1&page={page}") for page in (1, 2, 3)]
    assert [[lens["verre_id"] for lens in page["items"]] for page in pages] == [[188], [194], []]
    assert {(page["pages"], page["total"]) for page in pages} == {(2, 2)}


def test_all_tags_must_be_there_and_an_unknown_one_names_those_like_it(service: Service) -> None:
    assert search(service, "tags=circle,square") == {"items": [], "page": 1, "pages": 0, "total": 0, "unknown": {}}
    assert search(service, "tags=circle,sqare")["unknown"]["sqare"][0] == "square"


@pytest.mark.parametrize("words", ["' OR 1=1 --", "circle'; DROP TABLE lenses; --", "%", "_", "\\", '"', "\0", "x' UNION SELECT 1"])
def test_sql_in_tags_is_a_tag_that_nobody_knows(service: Service, words: str) -> None:
    response = service.client.get("/search_tags", params={"tags": words})
    assert response.status_code == 422 if words == "\0" else ok_json(response)["total"] == 0
    assert search(service, "tags=circle")["total"] == 2


def test_known_tags_are_listed_with_the_lenses_of_each(service: Service) -> None:
    tags = ok_json(service.client.get("/tags"))["tags"]
    assert sorted(tag["tag"] for tag in tags) == sorted(SHAPES)
    assert {tag["count"] for tag in tags} == {2}


def test_a_lens_tells_all_that_is_known_and_why_it_has_no_picture(service: Service) -> None:
    lens, bare = (ok_json(service.client.get(f"/verre/{verre}")) for verre in (188, 900))
    assert (lens["name"], lens["index"], lens["maker"], lens["material"], lens["tags"]) == ("lens 1", 1.5, None, None, ["circle"])
    assert (lens["picture"], bare["picture"], bare["engraving"], bare["tags"]) == (None, None, None, [])
    assert "not on this machine" in lens["picture_note"]
    assert "has no picture of this lens" in bare["picture_note"]
    assert lens["model"] == service.pointers[1]["model"]


def test_pictures_that_are_here_have_an_address_and_are_shown_as_they_came(service: Service, shown: dict[str, bytes]) -> None:
    found = {match["engraving"]: match["picture"] for match in matched(service, PICTURE, "?k=100")}
    assert {name: address for name, address in found.items() if address} == {
        f"gravure_000{number}.png": f"picture/catalogue/gravure_000{number}.png" for number in range(3)
    }
    lens = ok_json(service.client.get("/verre/188"))
    assert (lens["picture"], lens["picture_note"]) == ("picture/catalogue/gravure_0001.png", None)
    response = service.client.get(f"/{lens['picture']}")
    assert response.content == shown["catalogue/gravure_0001.png"]
    assert (response.headers["content-type"], response.headers["x-content-type-options"]) == ("image/png", "nosniff")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    again = service.client.get(f"/{lens['picture']}", headers={"If-None-Match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = service.client.get("/picture/catalogue/gravure_0002.png", headers={"If-None-Match": response.headers["etag"]})
    assert (other.status_code, other.content) == (200, shown["catalogue/gravure_0002.png"])


def test_a_picture_is_what_its_bytes_say_and_text_is_none(service: Service, shown: dict[str, bytes]) -> None:
    photo, note = (service.client.get(f"/picture/drawn/{name}") for name in ("été/1 a.jpeg", "note.txt"))
    assert (photo.headers["content-type"], photo.content) == ("image/jpeg", shown["drawn/été/1 a.jpeg"])
    assert note.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "name", ["..%2Fpictures.json", "catalogue%2F..%2Fcatalogue%2Fgravure_0000.png", "%2Fetc%2Fpasswd", "%00", "gravure_0000.png", ""]
)
def test_only_names_of_pictures_are_shown(service: Service, shown: dict[str, bytes], name: str) -> None:
    assert_refused(service.client.get(f"/picture/{name}"), 404, ("There is no picture", "among 5"))


def test_an_added_engraving_is_in_the_next_answer_and_gone_when_it_is_taken_away(service: Service) -> None:
    with chdir(service.folder):
        additions.add("Zeta", Convention().from_grey(np.asarray(zeta())))
    first = ok_json(service.predict(**form(image=encoded(zeta()))))
    match = first["matches"][0]
    assert (match["engraving"], match["kind"], match["lenses"], match["lenses_total"]) == ("Zeta", "added", [], 0)
    assert match["similarity"] == pytest.approx(1, abs=1e-3)
    assert first["added"] == 1
    drawing = service.client.get(f"/{match['picture']}")
    assert (match["picture"], drawing.headers["content-type"]) == ("picture/added/Zeta", "image/png")
    np.testing.assert_array_equal(255 - np.asarray(Image.open(io.BytesIO(drawing.content))), Convention().from_grey(np.asarray(zeta())))
    with chdir(service.folder):
        additions.remove("Zeta")
    later = ok_json(service.predict(**form(image=encoded(zeta()))))
    assert later["added"] == 0
    assert_refused(service.client.get("/picture/added/Zeta"), 404, ("Zeta",))
    assert "Zeta" not in {match["engraving"] for match in later["matches"]}


def zeta() -> Image.Image:
    paper = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(paper).line([(20, 20), (180, 20), (20, 180), (180, 180), (100, 100)], fill=0, width=6)
    return paper


def test_the_id_the_reason_and_the_version_are_in_the_log(service: Service) -> None:
    response = service.predict(**form(image=PICTURE), headers={"X-Request-ID": "engraving-17"})
    service.predict("/match?k=0", **form(image=PICTURE), headers={"X-Request-ID": "engraving-18"})
    assert until(lambda: "engraving-18" in service.log())
    lines = {line["request_id"]: line for line in (json.loads(line) for line in service.log().splitlines() if "engraving-1" in line)}
    assert lines["engraving-17"]["prediction_id"] == response.json()["prediction_id"]
    assert (lines["engraving-17"]["version"], lines["engraving-18"]["refusal"]) == (1, "bad query")


@pytest.mark.parametrize("path", ["/match?k=2", "/embedding"])
def test_an_answer_is_recorded_as_it_was_given(service: Service, path: str) -> None:
    response = service.predict(path, **form(image=PICTURE))
    row = service.recorded(response.json()["prediction_id"])
    assert (row["family"], row["version"], row["output"]) == ("gravures", 1, response.text)
    assert row["input"] == hashlib.sha256(PICTURE).hexdigest()


def test_many_at_once_are_answered_as_each_alone(service: Service) -> None:
    sent = [encoded(drawn(shape, side)) for shape in POINTS for side in (64, 300, 900)]
    alone = [matched(service, content) for content in sent]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(lambda content: matched(service, content), sent * 3))
    for one, many in zip(alone * 3, together, strict=True):
        assert [match["engraving"] for match in many[:2]] == [match["engraving"] for match in one[:2]]
        assert [match["similarity"] for match in many] == pytest.approx([match["similarity"] for match in one], abs=2e-3)


def test_a_moved_pointer_brings_its_catalogue_with_it(service: Service) -> None:
    def stands(version: int) -> bool:
        return bool(service.client.get("/health").json()["model"] == service.pointers[version]["model"])

    def names() -> tuple[str, str]:
        bar = next(match for match in matched(service, PICTURE, "?k=100") if match["engraving"] == "bar")
        return bar["lenses"][0]["name"], ok_json(service.client.get("/verre/187"))["name"]

    assert names() == ("lens of model-1", "lens of model-1")
    before = ok_json(service.client.post("/embedding", **form(image=PICTURE)))
    service.point(service.pointers[2])
    try:
        assert until(lambda: stands(2)), service.log()
        assert names() == ("lens of model-2", "lens of model-2")
        assert ok_json(service.client.post("/embedding", **form(image=PICTURE)))["embedding"] != before["embedding"]
    finally:
        service.point(service.pointers[1])
    assert until(lambda: stands(1)), service.log()
    assert names() == ("lens of model-1", "lens of model-1")


def another_encoder(model: Path) -> None:
    """An index that another model's encoder made."""
    path = model / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "encoder": "e" * 64}))


def test_an_index_of_another_model_is_refused_before_it_is_stored_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(OtherModel, match=r"was made by the encoder eeeeeeeeeeee[\s\S]*make train family=gravures"):
        stored(tmp_path, 1, "gravures", another_encoder)


class Trained(NamedTuple):
    """Of a model that is served, its catalogue."""

    manifest: dict[str, Any]
    catalogue: dict[str, Any]


def trained(sha256: str, lens: str) -> Trained:
    """A model of its own catalogue, in which a lens bears the one engraving."""
    files = {"catalogue.json": {"role": "catalogue", "sha256": sha256}}
    lenses = [{"verre_id": 7, "name": lens, "index_code": "15", "picture": "a.png"}]
    pictures = [{"picture": "a.png", "class": None, "shapes": ["bar"], "letters": []}]
    return Trained({"files": files}, {"pictures": pictures, "lenses": lenses, "classes": {}})


@pytest.fixture
def lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lookup:
    monkeypatch.setenv("CATALOGUE_URL", f"sqlite:///{tmp_path}/catalogue.db")
    return Lookup()


def borne(lookup: Lookup, predictor: Trained) -> str:
    lenses = asyncio.run(lookup.lenses_with(predictor, ["a.png"]))
    return str(lenses["a.png"].lenses[0]["name"])


def test_while_versions_are_swapped_each_is_answered_of_its_own_catalogue(lookup: Lookup) -> None:
    """A worker that serves version 1 yet, while another has brought what version 2 serves, and any number of others after it."""
    first, second = trained("1" * 64, "old"), trained("2" * 64, "new")
    lookup.store(first)
    Lookup().store(second)
    assert [borne(lookup, first), borne(lookup, second), borne(lookup, first)] == ["old", "new", "old"]
    for number in range(catalogue.RETAINED):
        Lookup().store(trained(f"{number:x}" * 32 + "f" * 32, "another"))
    assert [borne(Lookup(), first), borne(Lookup(), second)] == ["old", "new"]


def test_where_the_database_is_away_the_answer_says_so(lookup: Lookup) -> None:
    def away(*_: Any) -> None:
        raise NoDatabase("The database does not answer.")

    with pytest.raises(Refusal) as refused:
        asyncio.run(lookup.query(trained("1" * 64, "old"), away))
    assert (refused.value.status, refused.value.reason) == (503, "no database")


def test_an_engraving_that_is_another_is_flagged_by_its_class(service: Service) -> None:
    sent: dict[str, Any] = {"files": {"image": ("drawing.png", PICTURE)}, "data": {"correction": "wave"}}
    answer = service.client.post("/flag", **sent)
    assert (answer.status_code, answer.json()["count"]) == (201, 1)
    assert (service.folder / "data/feedback/gravures/drawn/wave" / f"{answer.json()['hash']}.png").read_bytes() == PICTURE
    assert service.client.get("/flag").json() == {"choices": sorted(SHAPES)}
    assert_refused(service.client.post("/flag", **sent | {"data": {"correction": "gravure_0000.png"}}), 422, ("bar, circle, cross",))


def test_the_openapi_description_names_what_goes_in_and_what_comes_out(service: Service) -> None:
    described = service.client.get("/openapi.json").json()
    assert {"/match", "/embedding", "/search_tags", "/tags", "/verre/{verre_id}", "/picture/{name}"} <= set(described["paths"])
    operation = described["paths"]["/match"]["post"]
    assert set(operation["requestBody"]["content"]) == set(bodies.KINDS)
    assert [(parameter["name"], parameter["schema"]["maximum"]) for parameter in operation["parameters"]] == [("k", 100)]
    assert [parameter["name"] for parameter in described["paths"]["/search_tags"]["get"]["parameters"]] == ["tags", "page", "size"]
    assert all(problems.MEDIA_TYPE in operation["responses"][status]["content"] for status in ("400", "413", "415", "422"))
    assert asked.dangling(described) == []


def test_no_training_framework_is_imported_to_serve(service: Service) -> None:
    assert run(service.folder, "-c", LOADED, service.family) == ""
