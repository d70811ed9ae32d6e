"""A refusal is a problem for a program, and a page for a person with a browser; /health is both too."""

import asyncio
from types import SimpleNamespace
from typing import Any

import html5lib
import httpx
import pytest
from fastapi import FastAPI

from serving import endpoints, telemetry

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MODEL = {"family": "digits", "version": 7, "digest": "d" * 64, "data": "e" * 64, "commit": None, "run_id": "r"}
RULES = ("default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'")


@pytest.fixture(scope="module")
def app() -> FastAPI:
    app = endpoints.application("digits", "Which digit is on this picture?")
    app.post("/predict")(_predict)
    served = SimpleNamespace(pointer={"tag": "digits:v7-dddddddddddd", "model": MODEL})
    app.state.champion = SimpleNamespace(served=served, rejected={"version": 8, "reason": "<b>It crashed.</b>"})
    return app


async def _predict(request: Any) -> Any:
    raise NotImplementedError


def ask(app: FastAPI, method: str, path: str, **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(telemetry.Telemetry(app, "problems-test"), root_path="/root")
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, f"/root{path}", headers=headers)

    return asyncio.run(asked())


REFUSED = [("/nothing", 404), ("/predict", 405), ("/static/none.css", 404), ("/static/page.html", 404), ("/card", 404)]


@pytest.mark.parametrize(("path", "status"), REFUSED)
def test_a_browser_is_shown_a_page_and_a_program_gets_a_problem(app: FastAPI, path: str, status: int) -> None:
    page, problem = ask(app, "GET", path, **BROWSER), ask(app, "GET", path)
    assert (page.status_code, problem.status_code, page.headers["Content-Type"]) == (status, status, "text/html; charset=utf-8")
    found = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False, strict=True).parse(page.text)
    assert [part.text for part in found.iter("p") if part.get("class") == "lede"] == [problem.json()["detail"]]
    assert {link.get("href") for link in found.iter("a")} == {"/root/", "/root/docs"}
    assert not [*found.iter("script"), *found.iter("img")]
    assert all(rule in page.headers["Content-Security-Policy"] for rule in RULES)
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers.get("Allow") == problem.headers.get("Allow") == ("POST" if status == 405 else None)


def test_what_is_not_answered_says_what_is(app: FastAPI) -> None:
    assert ask(app, "GET", "/predict").json()["detail"] == "GET is not answered at this address; POST is. /docs says what to send."
    assert ask(app, "POST", "/nothing", **BROWSER).headers["Content-Type"] == "application/problem+json"


def test_health_is_a_page_in_a_browser(app: FastAPI) -> None:
    page, json = ask(app, "GET", "/health", **BROWSER), ask(app, "GET", "/health").json()
    assert (page.status_code, json["status"], json["model"]) == (200, "ok", MODEL)
    assert "Version 7 answers." in page.text
    assert "Version 8 was rejected. &lt;b&gt;It crashed.&lt;/b&gt;" in " ".join(page.text.split())
