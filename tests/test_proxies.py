"""Behind a proxy: who is believed about where a request comes from, and a service below a path."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from pipelines.errors import BadSetting
from serving import telemetry
from serving.auth import attempts, policy, proxies
from serving.auth.authority import Authority
from tests.forms import encoded, seven
from tests.people import KEY, RIGHT, WRONG, hash_quickly
from tests.services import Service, bento_serve, make_serve, running, stored
from tests.test_auth import ADA, PAGE, guarded

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


async def seen(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says whom it sees."""
    request = Request(scope)
    await JSONResponse({"client": request.client.host if request.client else None, "url": str(request.url)})(scope, receive, send)


def ask(app: Any, method: str, path: str, client: str = "127.0.0.1", **more: Any) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(client, 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as sender:
            return await sender.request(method, path, **more)

    return asyncio.run(asked())


def proxied(open: bool) -> Any:
    return telemetry.Telemetry(proxies.Proxied(seen, open), "proxies-test")


BELIEVED = {
    "127.0.0.1": {"127.0.0.1": True, "127.0.0.2": False},
    "10.0.0.0/8, ::1": {"10.9.8.7": True, "::1": True, "127.0.0.1": False},
    "": {"127.0.0.1": False},
}


@pytest.mark.parametrize(("named", "client", "believed"), [(name, *row) for name, rows in BELIEVED.items() for row in rows.items()])
def test_only_a_named_proxy_is_believed(named: str, client: str, believed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIES", named)
    found = ask(proxied(open=False), "GET", "/", client, headers=FORWARDED).json()
    assert found == {"client": "203.0.113.9" if believed else client, "url": f"http{'s' if believed else ''}://localhost/"}


def test_what_a_client_adds_itself_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIES", "127.0.0.1,10.0.0.0/8")
    headers = {"X-Forwarded-For": "192.0.2.1, 203.0.113.9, 10.0.0.3"}
    assert ask(proxied(open=False), "GET", "/", headers=headers).json()["client"] == "203.0.113.9"


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via"])
def test_nobody_is_let_in_by_a_proxy_that_is_not_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROXIES", raising=False)
    refused = ask(proxied(open=True), "GET", "/", headers={name: "x"})
    assert (refused.status_code, refused.json()["reason"]) == (403, "unnamed proxy")
    assert "PROXIES=127.0.0.1 names the proxy" in refused.json()["detail"]
    assert ask(proxied(open=True), "GET", "/").status_code == 200
    monkeypatch.setenv("PROXIES", "127.0.0.1")
    assert ask(proxied(open=True), "GET", "/", headers={name: "x"}).status_code == 200


SETTINGS = [{"PROXIES": "127.0.0.1"}, {"ALLOWED_HOSTS": "atelier.example.invalid"}, {"ALLOWED_HOSTS": ".example.invalid"}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_token_is_required_where_a_proxy_or_another_name_is_set(settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTH", "PROXIES", "ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    assert not policy.required(["127.0.0.1"])
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert policy.required(["127.0.0.1"])
    monkeypatch.setenv("AUTH", "off")
    assert not policy.required(["127.0.0.1"])


@pytest.mark.parametrize("word", ["*", "proxy.example.org", "10.0.0.1/8", "unix:"])
def test_what_names_no_proxy_is_refused(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXIES", f"127.0.0.1,{word}")
    with pytest.raises(BadSetting, match="is no address of a proxy"):
        policy.required(["127.0.0.1"])


@pytest.mark.parametrize("path", ["digits", "/a b", "//evil.example", "https://evil.example", "/a/../b?", "/ä"])
def test_what_is_no_path_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOT_PATH", path)
    with pytest.raises(BadSetting, match="is not a path"):
        proxies.root()


def test_one_clients_wrong_passwords_lock_nobody_else_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hash_quickly(monkeypatch)
    monkeypatch.setenv("PROXIES", "127.0.0.1")
    monkeypatch.setattr(attempts, "ADDRESS_MOST", 3)
    authority = Authority(f"sqlite:///{tmp_path}/users.db", KEY)
    authority.users.add("ada", RIGHT)
    app = proxies.Proxied(guarded(authority), open=False)

    def status(address: str, name: str, password: str) -> int:
        form = {"grant_type": "password", "username": name, "password": password}
        return ask(app, "POST", "/token", data=form, headers={"X-Forwarded-For": address}).status_code

    assert [status("203.0.113.9", f"user{number}", WRONG) for number in range(4)] == [400, 400, 429, 429]
    assert status("203.0.113.9", "ada", RIGHT) == 429
    assert status("203.0.113.10", "ada", RIGHT) == 200


# A real service below a path


ROOT = "/products/digits"
STARTS = {"make serve": make_serve("digits"), "bentoml serve": bento_serve("digits")}


@pytest.fixture(scope="module", params=STARTS.values(), ids=STARTS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("project")
    more = {"ROOT_PATH": ROOT, "PROXIES": "127.0.0.1", "ALLOWED_HOSTS": "atelier.example", "ADMIN_USER": "ada", "ADMIN_PASSWORD": RIGHT}
    with running(folder, {1: stored(folder, 1)}, request.param, **more) as service:
        service.client.headers.update({"Host": "atelier.example", **FORWARDED})
        yield service


@pytest.mark.slow
@pytest.mark.parametrize("passed_on", ["", ROOT], ids=["the proxy takes the path off", "the proxy passes it on"])
def test_all_of_a_service_works_below_a_path(service: Service, passed_on: str) -> None:
    client = service.client
    page = client.get(f"{passed_on}/", headers=PAGE)
    assert (page.status_code, f'action="{ROOT}/token"' in page.text) == (401, True)
    signed = client.post(f"{passed_on}/token", data=ADA, headers=PAGE | {"Origin": "https://atelier.example"})
    assert (signed.status_code, signed.headers["Location"]) == (303, f"{ROOT}/")
    cookies = signed.headers.get_list("set-cookie")
    assert [("; secure" in cookie.lower(), f"path={ROOT};" in f"{cookie.lower()};") for cookie in cookies] == [(True, True)] * 2
    client.cookies = httpx.Cookies(dict(cookie.partition(";")[0].split("=", 1) for cookie in cookies))
    page = client.get(f"{passed_on}/", headers=PAGE)
    assert (page.status_code, f"https://atelier.example{ROOT}/predict" in page.text) == (200, True)
    docs = client.get(f"{passed_on}/docs").text
    for path in re.findall(r"['\"](/[^'\"]+(?:\.json|\.js|\.css))['\"]", docs):
        assert (path.startswith(ROOT), client.get(f"{passed_on}{path.removeprefix(ROOT)}").status_code) == (True, 200)
    assert client.get(f"{passed_on}/static/page.js").status_code == 200
    assert client.get(f"{passed_on}/openapi.json").json()["servers"] == [{"url": ROOT}]
    assert client.get(f"{passed_on}/card/").headers["Location"] == f"https://atelier.example{ROOT}/card"
    answer = client.post(f"{passed_on}/predict", files={"image": ("seven.png", encoded(seven()), "image/png")})
    assert (answer.status_code, answer.json()["model"]) == (200, service.pointers[1]["model"])
    assert client.get(f"{passed_on}/readyz").status_code == 200
    assert client.post(f"{passed_on}/logout", headers=PAGE).headers["Location"] == f"{ROOT}/"
    client.cookies.clear()


@pytest.mark.slow
def test_the_path_itself_leads_to_the_page(service: Service) -> None:
    answer = service.client.get(ROOT)
    assert (answer.status_code, answer.headers["Location"]) == (307, f"{ROOT}/")
