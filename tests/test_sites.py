"""Which names a service answers to, and that no other site's page changes anything, with or without sign-in."""

import asyncio
import socket
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from pipelines.errors import BadSetting
from serving import telemetry
from serving.auth import hosts
from serving.auth.sites import OwnSite

OWN = {
    "localhost": True,
    "LocalHost:3000": True,
    "app.localhost:3000": True,
    "localhost.": True,
    "127.0.0.1:3000": True,
    "[::1]:3000": True,
    "[::1]": True,
    "192.0.2.7:80": True,
    "0.0.0.0:3000": True,
    "atelier.example.org": True,
    "Atelier.Example.org:8443": True,
    "below.lab.example": True,
    "deep.below.lab.example": True,
    "lab.example": False,
    "evil.example": False,
    "evil.example:3000": False,
    "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "notlocalhost": False,
    "evil.example#localhost": False,
    "localhost@evil.example": False,
    "[::1]evil.example": False,
    "2130706433": False,
    "[": False,
    ":": False,
}


def ask(method: str, host: str, **headers: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        app = telemetry.Telemetry(OwnSite(PlainTextResponse("reached")), "sites-test")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, "/jobs", headers={"Host": host} | headers)

    return asyncio.run(asked())


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", " Atelier.example.org, .lab.example,")


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(("host", "own"), OWN.items())
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_service_answers_to_its_own_names_alone(host: str, own: bool, method: str) -> None:
    answer = ask(method, host)
    assert answer.status_code == (200 if own else 421)
    assert own or (answer.json()["reason"], "ALLOWED_HOSTS" in answer.json()["detail"]) == ("unknown host", True)


def test_this_machines_name_and_what_host_says_are_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "")
    hosts.add("press.example")
    assert ask("GET", "press.example:3000").status_code == ask("GET", socket.gethostname()).status_code == 200


@pytest.mark.parametrize("word", ["https://atelier.example.org", "atelier.example.org:3000", "*", "a b", "-"])
def test_what_is_no_name_is_refused_before_anything_is_served(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", f"localhost,{word}")
    with pytest.raises(BadSetting, match="is not the name of a host"):
        hosts.add("127.0.0.1")


PAGES: dict[str, tuple[dict[str, str], bool]] = {
    "curl": ({}, True),
    "its own page": ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:3000"}, True),
    "its own page, at a proxy that drops the port": ({"Sec-Fetch-Site": "same-origin", "Origin": "https://localhost:8443"}, True),
    "its own page, in an old browser": ({"Origin": "http://localhost:3000"}, True),
    "its own form, which names no origin": ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
    "typed": ({"Sec-Fetch-Site": "none"}, True),
    "a program with a token": ({"Sec-Fetch-Site": "cross-site", "Authorization": "Bearer x"}, True),
    "a password that the browser remembers": ({"Sec-Fetch-Site": "cross-site", "Authorization": "Basic eDp5"}, False),
    "another site": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
    "another port of this machine": ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8888"}, False),
    "another site, in an old browser": ({"Origin": "https://evil.example"}, False),
    "another port, in an old browser": ({"Origin": "http://localhost:8888"}, False),
    "a sandboxed frame": ({"Origin": "null"}, False),
    "a proxy that does not pass the host": ({"Sec-Fetch-Site": "same-origin", "Origin": "https://atelier.example.org"}, False),
    "no origin at all": ({"Origin": "http://["}, False),
}


@pytest.mark.parametrize(("headers", "own"), PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
def test_no_other_page_changes_anything(method: str, headers: dict[str, Any], own: bool) -> None:
    answer = ask(method, "localhost:3000", **headers)
    allowed = own or method in ("GET", "HEAD", "OPTIONS")
    assert answer.status_code == (200 if allowed else 403)
    assert allowed or "Send it from the service's own page" in answer.json()["detail"]
