"""The products' pages of the portal in front of made-up services: documents, corrections, cameras, engravings, and what may not pass."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import html5lib
import httpx
import pytest
import sqlalchemy as sa
from PIL import Image
from starlette.testclient import TestClient

from pipelines import databases
from serving.auth.authority import Authority
from serving.portal import uploads
from serving.portal.application import application
from serving.portal.products import PRODUCTS
from tests import tiffs
from tests.forms import encoded, seven
from tests.people import KEY, RIGHT, Clock, hash_quickly
from tests.portals import IDLE, Person

EVIL = '<img src=x onerror=alert(1)>"'
DRAWN = {"svg", "g", "path", "rect", "text", "defs", "linearGradient", "stop"}  # neither scripts nor what is loaded from elsewhere
MODEL = {"family": "f", "version": 3, "digest": "d" * 64}
ORIGIN = {"prediction_id": "a" * 32, "model": MODEL}
PDF = b"%PDF-1.7 a document"
PNG = encoded(Image.new("L", (4, 4), 9))
PAGES = [
    {"page": number, "width": 60, "height": 80, "prediction": [[1, 2, 3, 4]] * number, "scores": [0.5] * number, "count": number}
    for number in (1, 2)
]
LENS = {"verre_id": 187, "name": EVIL, "index": 1.5, "tags": ["circle", EVIL], "picture": None}


class Shop(NamedTuple):
    """ada, signed in, and what the services were asked and answer: {path: what is returned}."""

    ada: Person
    asked: list[httpx.Request]
    answers: dict[str, Any]

    def post(self, path: str, content: bytes = PNG, **fields: str) -> httpx.Response:
        return self.ada.client.post(path, data=fields, files={"image": ("image", content)})


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    hash_quickly(monkeypatch)
    authority = Authority(f"sqlite:///{tmp_path}/users.db", KEY, clock := Clock())
    authority.users.add("ada", RIGHT, email="ada@example.org")
    asked, answers = list[httpx.Request](), dict[str, Any]()

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        found = answers.get(request.url.path, httpx.Response(404, json={"reason": "unknown", "detail": "It is not there."}))
        return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(answered))

    addresses = {name: f"http://{name}" for name in ("signatures", "ocr", "digits", "objects", "gravures")}
    with TestClient(application(authority, addresses, IDLE, client=client), base_url="http://localhost") as browser:
        person = Person(browser, authority, clock)
        person.sign_in()
        yield Shop(person, asked, answers)


def form(request: httpx.Request) -> dict[str, bytes]:
    """The fields of a multipart form."""
    message = message_from_bytes(b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.content)
    parts = message.get_payload()
    assert isinstance(parts, list)
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


# Documents


def test_a_documents_pages_are_shown_one_by_one_and_kept_in_the_history(shop: Shop) -> None:
    shop.answers["/predict"] = {"prediction": [], "scores": [0.5] * 3, "count": 3, "pages": PAGES, **ORIGIN}
    page = shop.post("/products/signatures/predict", PDF, title="lease.pdf").text
    assert shop.asked[-1].headers["content-type"] == "application/pdf"
    assert re.findall(r'data-page="(\d)"', page) == ["1", "2"]
    assert "3 signatures" in page and "Page 2 of 2: 2 signatures" in page and page.count("<rect") == 3
    row = shop.ada.client.get("/history.json").json()[0]
    assert (row["width"], row["height"], row["size"], len(row["shown"]["pages"])) == (60, 80, len(PDF), 2)
    entry = re.findall(r"/history/\d+", shop.ada.get("/history").text)[0]
    assert shop.ada.get(entry).text.count("<rect") == 3


@pytest.mark.parametrize(("name", "status"), [("signatures", 200), ("digits", 415), ("ocr", 415)])
def test_a_pdf_goes_to_the_product_that_reads_it(shop: Shop, name: str, status: int) -> None:
    shop.answers["/predict"] = {"prediction": [], "scores": [], "count": 0, "pages": PAGES, **ORIGIN}
    assert shop.post(f"/products/{name}/predict", PDF).status_code == status


def test_a_tiffs_facts_are_those_of_its_first_page() -> None:
    image, kind = uploads.read(tiffs.many(2, Image.new("L", (30, 20))), "scan.tif", ["image/tiff"])
    assert (image.width, image.height, image.is_color, kind) == (30, 20, False, "image/tiff")


@pytest.mark.parametrize("content", [b"II*\0", b"II*\0" + bytes(99), tiffs.chained(1001)])
def test_a_broken_or_endless_tiff_is_refused_before_it_is_sent(shop: Shop, content: bytes) -> None:
    assert shop.post("/products/ocr/predict", content).status_code in (413, 422)
    assert shop.asked == []


def test_a_page_is_drawn_by_the_service(shop: Shop) -> None:
    shop.answers["/page"] = httpx.Response(200, content=PNG, headers={"Content-Type": "image/png"})
    response = shop.post("/products/signatures/page?page=2", PDF)
    assert (response.content, response.headers["content-type"]) == (PNG, "image/png")
    assert shop.asked[-1].url.query == b"page=2"
    assert shop.post("/products/signatures/page?page=x", PDF).status_code == 422
    assert shop.post("/products/digits/page", PNG).status_code == 404


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", ""])
def test_what_a_service_says_is_no_image_is_not_passed_on(shop: Shop, kind: str) -> None:
    evil = httpx.Response(200, content=b"<script>alert(1)</script>", headers={"Content-Type": kind})
    shop.answers.update({"/page": evil, "/picture/a.png": evil})
    assert shop.post("/products/signatures/page", PDF).status_code == 502
    assert shop.ada.client.get("/products/gravures/picture/a.png").status_code == 502


# Corrections


def test_a_correction_goes_to_the_products_feedback_in_the_persons_name(shop: Shop) -> None:
    shop.answers["/flag"] = httpx.Response(201, json={"kept": True, "count": 4})
    fields = {"correction": "4", "prediction_id": "a" * 32, "digest": "d" * 64, "answer": "9"}
    response = shop.post("/products/digits/flag", **fields)
    assert (response.status_code, response.json()) == (201, {"count": 4})
    request = shop.asked[-1]
    assert request.url == "http://digits/flag"
    assert form(request) == {"image": PNG, **{name: value.encode() for name, value in fields.items()}}
    token = request.headers["authorization"].removeprefix("Bearer ")
    assert shop.ada.authority.check(token).user == "ada"
    with databases.reading(shop.ada.authority.engine) as connection:
        last = connection.execute(sa.text("SELECT actor, what, target, detail FROM audit ORDER BY id DESC")).first()
    assert last == ("ada", "answer corrected", "digits", "a" * 32)


def test_a_refused_correction_is_refused_with_the_services_words(shop: Shop) -> None:
    shop.answers["/flag"] = httpx.Response(422, json={"reason": "bad correction", "detail": "correction='x' is not known."})
    response = shop.post("/products/digits/flag", correction="x")
    assert (response.status_code, response.json()["detail"]) == (422, "correction='x' is not known.")
    assert shop.post("/products/digits/flag", correction="4", user="root").status_code == 422  # nobody else's name


def test_the_choices_are_the_products(shop: Shop) -> None:
    shop.answers["/flag"] = {"choices": ["cat", EVIL]}
    assert shop.ada.client.get("/products/objects/flag").json() == {"choices": ["cat", EVIL]}
    shop.answers["/flag"] = {"choices": None}
    assert shop.ada.client.get("/products/ocr/flag").json() == {"choices": []}


@pytest.mark.parametrize("path", ["predict", "flag", "page", "frame"])
def test_an_upload_over_the_limit_is_refused_and_reaches_no_service(shop: Shop, path: str) -> None:
    response = shop.post(f"/products/signatures/{path}", bytes(uploads.LIMIT_MB * 1_000_000 + 1))
    assert response.status_code == 413
    assert shop.asked == []


# A camera


def test_a_cameras_pictures_are_answered_and_not_recorded(shop: Shop) -> None:
    shop.answers["/predict"] = {"prediction": [[1, 2, 3, 4]], "scores": [0.95], "count": 1, **ORIGIN}
    shown = shop.post("/products/signatures/frame", encoded(seven())).json()
    assert shown == {"headline": "1 signature", "share": "Sure (95.00%)", "boxes": [[1, 2, 3, 4]], "width": 60, "height": 80}
    assert shop.ada.client.get("/history.json").json() == []
    assert shop.post("/products/digits/frame").status_code == 404
    assert shop.post("/products/signatures/frame", b"no image").status_code == 415


# Engravings and lenses


def matches(**more: Any) -> dict[str, Any]:
    match = {"engraving": EVIL, "similarity": 0.8, "lenses": [{"verre_id": 187, "name": EVIL}], "lenses_total": 5, **more}
    return {"matches": [match], **ORIGIN}


def test_a_match_without_a_picture_is_a_card_of_text_with_its_lenses(shop: Shop) -> None:
    shop.answers["/match"] = matches(picture=None)
    page = shop.post("/products/gravures/predict").text
    assert "/products/gravures/lenses/187" in page and "5 lenses" in page
    assert page.count("<img") == 1  # what was submitted
    shop.answers["/match"] = matches(picture="picture/catalogue/a%20b.png")
    assert 'src="/products/gravures/picture/catalogue/a%20b.png"' in shop.post("/products/gravures/predict").text
    shop.answers["/match"] = matches(picture="https://evil.example/a.png")
    assert "evil.example" not in shop.post("/products/gravures/predict").text


def test_a_lens_has_a_page(shop: Shop) -> None:
    shop.answers["/verre/187"] = LENS
    page = shop.ada.get("/products/gravures/lenses/187").text
    assert "Lens no. 187" in page and "1.5" in page and "circle" in page
    assert "<img" not in page
    shop.answers["/verre/187"] = {**LENS, "picture": "picture/catalogue/a.png"}
    assert 'src="/products/gravures/picture/catalogue/a.png"' in shop.ada.get("/products/gravures/lenses/187").text
    for word in ("x", "-1", "9" * 12, "1%2F..%2F..%2Ftoken"):
        assert shop.ada.get(f"/products/gravures/lenses/{word}").status_code == 404
    assert shop.ada.get("/products/gravures/lenses/188").status_code == 404


@pytest.mark.parametrize("path", ["../token", "a/../../token", "..%2f..%2ftoken", "%2e%2e/token"])
def test_a_pictures_path_leads_nowhere_else(shop: Shop, path: str) -> None:
    assert shop.ada.client.get(f"/products/gravures/picture/{path}").status_code in (303, 404)
    assert all(request.url.path.startswith("/picture/") for request in shop.asked if request.url.path != "/readyz")


@pytest.mark.parametrize(
    ("name", "path", "answer"),
    [
        ("gravures", "/match", matches(picture=None)),
        ("objects", "/predict", {"prediction": EVIL, "confidence": 0.9, "top3": [{"class": EVIL, "confidence": 0.9}], **ORIGIN}),
        ("ocr", "/predict", {"text": EVIL, "confidence": 0.9, "lines": [{"text": EVIL, "box": [0, 0, 1, 1], "confidence": 0.9}], **ORIGIN}),
    ],
)
def test_what_a_product_says_is_text(shop: Shop, name: str, path: str, answer: dict[str, Any]) -> None:
    shop.answers[path] = json.loads(json.dumps(answer))
    page = shop.post(f"/products/{name}/predict", title=EVIL).text
    pages = [page, shop.ada.get("/history").text, shop.ada.get(re.findall(r"/history/\d+", shop.ada.get("/history").text)[0]).text]
    shop.answers["/verre/187"] = LENS
    for shown in [*pages, shop.ada.get("/products/gravures/lenses/187").text]:
        assert "<img src=x" not in shown
        assert "&lt;img src=x" in shown


@pytest.mark.parametrize("label", ["=1+1", "@SUM(A1)", "-1", "\t=1"])
def test_no_spreadsheet_computes_what_a_product_says(shop: Shop, label: str) -> None:
    shop.answers["/predict"] = {"prediction": label, "confidence": 0.9, "top3": [{"class": label, "confidence": 0.9}], **ORIGIN}
    shop.post("/products/objects/predict")
    (row,) = csv.DictReader(io.StringIO(shop.ada.client.get("/history.csv").text))
    assert row["result"] == f"'{label}"


@pytest.mark.parametrize("name", PRODUCTS)
def test_each_product_has_a_drawn_example(shop: Shop, name: str) -> None:
    address = f"/static/example-{name}.svg"
    assert f'data-example="{address}"' in shop.ada.get(f"/products/{name}").text
    assert f'src="{address}"' in shop.ada.get("/").text
    response = shop.ada.client.get(address)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/svg+xml")
    drawn = ElementTree.fromstring(response.text)  # noqa: S314 (our own file)
    assert {element.tag.rpartition("}")[2] for element in drawn.iter()} <= DRAWN


@pytest.mark.parametrize("send", [lambda shop: shop.ada.get("/products/faces/lenses/1"), lambda shop: shop.post("/products/faces/frame")])
def test_an_unknown_product_has_none_of_these(shop: Shop, send: Callable[[Shop], httpx.Response]) -> None:
    assert send(shop).status_code == 404


def test_the_pages_are_valid_html(shop: Shop) -> None:
    shop.answers["/predict"] = {"prediction": [], "scores": [0.5] * 3, "count": 3, "pages": PAGES, **ORIGIN}
    parts = [shop.post("/products/signatures/predict", PDF).text]
    shop.answers["/predict"] = {"prediction": [[1, 2, 3, 4]], "scores": [0.9], "count": 1, **ORIGIN}
    parts.append(shop.post("/products/signatures/predict").text)
    shop.answers.update({"/match": matches(picture="picture/a.png"), "/verre/187": LENS})
    parts.append(shop.post("/products/gravures/predict").text)
    shop.answers["/predict"] = {
        "text": "a\nb",
        "confidence": 0.9,
        "lines": [{"text": "a", "box": [0, 0, 1, 1], "confidence": 1}] * 2,
        **ORIGIN,
    }
    parts.append(shop.post("/products/ocr/predict").text)
    listed = shop.ada.get("/history").text
    paths = ["/", "/about", "/history", "/statistics", "/nothing", "/products/gravures/lenses/187", *re.findall(r"/history/\d+", listed)]
    pages = [shop.ada.get(path).text for path in [*paths, *(f"/products/{name}" for name in PRODUCTS)]]
    for page in [*pages, *(f"<!doctype html><title>a</title>{part}" for part in parts)]:
        html5lib.HTMLParser(strict=True).parse(page)
        ids = re.findall(r'\sid="([^"]+)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'\s(?:for|aria-labelledby|aria-describedby)="([^" ]+)', page)) <= set(ids)
