"""The guard before every family's service, signing in and out: tokens, forms, cookies; and when a token is required at all."""

import asyncio
import base64
import hashlib
import io
import json
import logging
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import html5lib
import httpx
import jwt
import pytest
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse

from pipelines import configs, databases
from pipelines.errors import BadSetting
from serving import endpoints, telemetry
from serving.auth import attempts, guard, pool, signin, tokens
from serving.auth import policy as auth_policy
from serving.auth.authority import Authority
from serving.auth.sites import OwnSite
from serving.limits import Limited
from tests.forms import encoded, seven
from tests.people import KEY, RIGHT, WRONG, Clock, hash_quickly
from tests.postgres import Cluster
from tests.services import bento_serve, environment, make_serve, run, running, stored

ADA = {"grant_type": "password", "username": "ada", "password": RIGHT}
SERVICE = "http://service"
PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Sec-Fetch-Site": "same-origin"}
UNIFORM = "application/x-www-form-urlencoded"


class Client(NamedTuple):
    """A client of a guarded application in this process, with the authority that it asks and its clock."""

    app: Any
    authority: Authority
    clock: Clock

    def ask(self, method: str, path: str, base: str = SERVICE, **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=("192.0.2.1", 5000))
            async with httpx.AsyncClient(transport=transport, base_url=base) as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def token(self, **changes: str) -> httpx.Response:
        return self.ask("POST", "/token", data=ADA | changes)

    def predict(self, token: str | None = None, **more: Any) -> httpx.Response:
        return self.ask("POST", "/predict", headers={"Authorization": f"Bearer {token}"} if token is not None else {}, **more)

    def signed(self, **changes: Any) -> str:
        """A token as ours are, but for what is changed; None leaves a claim out."""
        session = self.authority.tokens.issue("access", "ada", "s" * 32)[0]
        claims = jwt.decode(session, options={"verify_signature": False}) | changes
        return jwt.encode({name: value for name, value in claims.items() if value is not None}, KEY, "HS256")

    def browser(self) -> dict[str, str]:
        """The cookies of a user who has signed in on the page."""
        return cookies(self.ask("POST", "/token", data=ADA, headers=PAGE))


def cookies(answer: httpx.Response) -> dict[str, str]:
    return dict(cookie.partition(";")[0].split("=", 1) for cookie in answer.headers.get_list("set-cookie"))


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    hash_quickly(monkeypatch)
    monkeypatch.setenv("ALLOWED_HOSTS", "service")
    clock = Clock()
    authority = Authority(f"sqlite:///{tmp_path}/users.db", KEY, clock)
    authority.users.add("ada", RIGHT)
    return Client(guarded(authority), authority, clock)


def guarded(authority: Authority) -> telemetry.Telemetry:
    app = endpoints.application("digits", "Which digit is on this picture?")
    model = {"family": "digits", "version": 1, "digest": "d" * 64, "data": "d" * 64, "commit": None, "run_id": "r"}
    app.state.champion = SimpleNamespace(served=SimpleNamespace(pointer={"tag": "digits:v1-dddddddddddd", "model": model}), rejected=None)
    app.state.shadow = SimpleNamespace(status=lambda: None)
    app.state.authority = authority

    @app.post("/predict")
    async def predict(request: Request) -> JSONResponse:
        return JSONResponse({"user": request.state.user, "body": len(await request.body())})

    return telemetry.Telemetry(OwnSite(guard.Guard(Limited(app, configs.serving("digits")), authority, "digits")), "auth-test")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged; the loggers are restored."""
    loggers = [logging.getLogger(name) for name in ("atelier", "uvicorn.error")]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    telemetry.log_as_json()
    yield stream
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


# The guard


CLOSED = [
    "/",
    "/predict",
    "/flag",
    "/docs",
    "/openapi.json",
    "/static/style.css",
    "/card",
    "/card.md",
    "/data/croissant.json",
    "/metrics",
    "/nothing",
    "//health",
    "/health/",
    "/token/",
    "/Health",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", CLOSED)
def test_without_a_token_nothing_is_answered(client: Client, method: str, path: str) -> None:
    answer = client.ask(method, path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="atelier"'
    assert answer.headers["Cache-Control"] == "no-store"
    if method != "HEAD":
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "A token is required here. Get one at POST /token."


def test_health_is_open(client: Client) -> None:
    assert client.ask("GET", "/health").status_code == 200
    assert client.ask("GET", "/%68ealth").status_code == 200


def test_a_token_opens_and_says_who_it_is(client: Client) -> None:
    token = client.token().json()["access_token"]
    assert client.predict(token, content=b"abc").json() == {"user": "ada", "body": 3}
    assert client.ask("POST", "/predict", headers={"Authorization": f"bearer   {token} "}).status_code == 200
    assert client.ask("GET", "/docs", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def forged(client: Client) -> dict[str, tuple[str, str]]:
    """Tokens that are worth nothing, and why."""
    good = client.signed()
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    nobody = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "eve"}).encode()).rstrip(b"=").decode()
    ours = "not one of this service's"
    return {
        "expired": (client.signed(exp=int(client.clock.now)), "access token has expired"),
        "alg none": (f"{none}.{body}.", ours),
        "alg none, signed": (f"{none}.{body}.{signature}", ours),
        "alg None by name": (jwt.encode(claims, None, "none"), ours),
        "another key": (jwt.encode(claims, "x" * 64, "HS256"), ours),
        "HS512": (jwt.encode(claims, KEY, "HS512"), ours),
        "another body": (f"{head}.{nobody}.{signature}", ours),
        "a signature cut short": (good[:-2], ours),
        "another issuer": (client.signed(iss="another"), ours),
        "no expiry": (client.signed(exp=None), ours),
        "no session": (client.signed(sid=None), ours),
        "no kind": (client.signed(type=None), ours),
        "a number for a name": (client.signed(sub=1), ours),
        "a word for an expiry": (client.signed(exp="2100"), ours),
        "a list for an expiry": (client.signed(exp=[2**40]), ours),
        "endless": (client.signed(exp=float("inf")), ours),
        "a number for a session": (client.signed(sid=7), ours),
        "an object for a session": (client.signed(sid={}), ours),
        "a list for a kind": (client.signed(type=["access"]), ours),
        "a number for an id": (client.signed(jti=1), ours),
        "a word for its beginning": (client.signed(iat="now"), ours),
        "a refresh token": (client.signed(type="refresh"), "not an access token"),
        "nothing": ("", ours),
        "dots": ("..", ours),
        "words": ("let me in", ours),
        "a megabyte": ("a" * 1_000_000, ours),
        "latin letters": ("\u00e9.\u00e9.\u00e9", ours),
        "two": (f"{good}, {good}", ours),
    }


FORGERIES = ["expired", "alg none", "alg none, signed", "alg None by name", "another key", "HS512", "another body", "a signature cut short"]
FORGERIES += ["another issuer", "no expiry", "no session", "no kind", "a number for a name"]
FORGERIES += ["a word for an expiry", "a list for an expiry", "endless", "a number for a session", "an object for a session"]
FORGERIES += ["a list for a kind", "a number for an id", "a word for its beginning", "a refresh token"]
FORGERIES += ["nothing", "dots", "words", "a megabyte", "latin letters", "two"]


@pytest.mark.parametrize("name", FORGERIES)
def test_a_token_that_is_not_ours_is_refused(client: Client, name: str) -> None:
    assert list(forged(client)) == FORGERIES
    token, why = forged(client)[name]
    answer = client.ask("POST", "/predict", headers={"Authorization": f"Bearer {token}".encode("latin-1")})
    assert (answer.status_code, answer.json()["reason"]) == (401, "invalid token")
    assert why in answer.json()["detail"]
    assert re.fullmatch(r'Bearer realm="atelier", error="invalid_token", error_description="[ -~]+"', answer.headers["WWW-Authenticate"])
    assert not token or token not in answer.text


def test_our_own_forgery_of_a_good_token_would_be_accepted(client: Client) -> None:
    """So that the refusals above are for what was changed, and for nothing else."""
    assert client.predict(client.signed()).status_code == 200


def test_a_token_elsewhere_is_no_token(client: Client) -> None:
    token = client.token().json()["access_token"]
    assert client.ask("GET", f"/docs?access_token={token}&token={token}").status_code == 401
    assert client.ask("POST", "/predict", data={"access_token": token}).status_code == 401
    assert client.ask("POST", "/predict", headers={"Authorization": f"Basic {token}"}).status_code == 401
    assert client.ask("POST", "/predict", headers={"Authorization": token}).status_code == 401


def test_a_bad_token_in_the_head_is_not_made_good_by_a_cookie(client: Client) -> None:
    assert client.ask("GET", "/docs", headers={"Authorization": "Bearer x"}, cookies=client.browser()).status_code == 401


def test_a_token_is_worth_nothing_after_15_minutes_and_after_signing_out(client: Client) -> None:
    first, second = (client.token().json()["access_token"] for _ in range(2))
    assert client.ask("POST", "/logout", headers={"Authorization": f"Bearer {second}"}).status_code == 204
    assert client.predict(second).status_code == 401
    client.clock.now += 15 * 60 - 1
    assert client.predict(first).status_code == 200
    client.clock.now += 1
    assert "expired" in client.predict(first).json()["detail"]


def test_the_log_names_the_user_and_no_secret(client: Client, log: io.StringIO) -> None:
    issued = client.token().json()
    client.predict(issued["access_token"])
    client.token(password=WRONG)
    client.predict("x.y.z")
    cookie_jar = client.browser()
    client.ask("GET", f"/docs?access_token={issued['access_token']}", cookies=cookie_jar)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line.get("user") for line in lines] == ["ada", "ada", None, None, "ada", "ada"]
    assert [line.get("client") for line in lines] == [None, None, "192.0.2.1", None, None, None]
    assert [line.get("refusal") for line in lines] == [None, None, "wrong password", "invalid token", None, None]
    for secret in (RIGHT, WRONG, issued["access_token"], issued["refresh_token"], *cookie_jar.values(), "x.y.z"):
        assert secret not in log.getvalue()


# POST /token


def test_tokens_are_told_as_the_rfc_says(client: Client) -> None:
    answer = client.token()
    assert (answer.status_code, answer.headers["Cache-Control"], answer.headers["Pragma"]) == (200, "no-store", "no-cache")
    issued = answer.json()
    assert (issued["token_type"], issued["expires_in"]) == ("bearer", 900)
    claims = {
        kind: jwt.decode(issued[f"{kind}_token"], KEY, ["HS256"], {"verify_exp": False, "verify_iat": False}) for kind in tokens.SECONDS
    }
    assert {kind: said["exp"] - said["iat"] for kind, said in claims.items()} == {"access": 900, "refresh": 43200}
    assert {(said["iss"], said["sub"], said["type"]) for said in claims.values()} == {
        ("atelier", "ada", "access"),
        ("atelier", "ada", "refresh"),
    }
    assert claims["access"]["jti"] != claims["refresh"]["jti"]
    assert "set-cookie" not in answer.headers


def test_refresh_tokens_are_traded_once(client: Client) -> None:
    first = client.token().json()
    second = client.ask("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
    assert client.predict(second.json()["access_token"]).status_code == 200
    for used in (first, second.json()):
        again = client.ask("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": used["refresh_token"]})
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert client.predict(second.json()["access_token"]).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "access"])
def test_what_is_no_refresh_token_is_refused(client: Client, token: str) -> None:
    token = client.token().json()["access_token"] if token == "access" else token  # noqa: S105
    answer = client.ask("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": token})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant" if token else "invalid_request")


BROKEN = {
    "nothing": (b"", UNIFORM, 400, "invalid_request"),
    "no grant_type": (b"username=ada&password=x", UNIFORM, 400, "invalid_request"),
    "another grant": (b"grant_type=client_credentials", UNIFORM, 400, "unsupported_grant_type"),
    "no name": (b"grant_type=password&password=x", UNIFORM, 400, "invalid_request"),
    "no password": (b"grant_type=password&username=ada&password=", UNIFORM, 400, "invalid_request"),
    "wrong": (b"grant_type=password&username=ada&password=x", UNIFORM, 400, "invalid_grant"),
    "unknown": (b"grant_type=password&username=eve&password=x", UNIFORM, 400, "invalid_grant"),
    "NUL": (b"grant_type=password&username=a%00da&password=%00", UNIFORM, 400, "invalid_grant"),
    "no UTF-8": (b"grant_type=password&username=%ff&password=x", UNIFORM, 400, "invalid_request"),
    "raw bytes": (b"\xff\xfe=\x00", UNIFORM, 400, "invalid_request"),
    "no form": (b"no form at all", UNIFORM, 400, "invalid_request"),
    "twice": (b"grant_type=password&username=ada&username=eve&password=x", UNIFORM, 400, "invalid_request"),
    "many": (b"&".join(b"a%d=1" % number for number in range(1000)), UNIFORM, 400, "invalid_request"),
    "much": (b"grant_type=password&username=ada&password=" + b"x" * 20_000, UNIFORM, 413, "invalid_request"),
    "very much": (b"x" * 3_000_000, UNIFORM, 413, "invalid_request"),
    "JSON": (b'{"grant_type": "password"}', "application/json", 415, "invalid_request"),
    "no type": (b"grant_type=password", "", 415, "invalid_request"),
}


@pytest.mark.parametrize(("body", "kind", "status", "error"), BROKEN.values(), ids=BROKEN)
def test_a_form_that_earns_nothing(client: Client, body: bytes, kind: str, status: int, error: str) -> None:
    answer = client.ask("POST", "/token", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.headers["Content-Type"], answer.headers["Cache-Control"]) == (
        status,
        "application/problem+json",
        "no-store",
    )
    assert answer.json()["error"] == error
    assert answer.json().keys() == {"title", "status", "detail", "reason", "error"}


def test_the_same_words_for_a_wrong_password_and_an_unknown_name(client: Client) -> None:
    assert client.token(password=WRONG).json() == client.token(username="nobody").json()


def test_the_tenth_wrong_password_is_429_and_says_when(client: Client) -> None:
    assert [client.token(password=WRONG).status_code for _ in range(10)] == [400] * 9 + [429]
    client.clock.now += 100
    answer = client.token()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(attempts.PAUSE - 100))
    assert "Try again in 4 min" in answer.json()["detail"]
    client.clock.now += int(answer.headers["Retry-After"])
    assert client.token().status_code == 200


def test_too_many_at_once_are_told_to_come_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signin, "PASSWORDS", pool.UsersPool(1, 0, "none", "signing in"))
    answer = client.token()
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["error"]) == (503, "1", "temporarily_unavailable")


def test_without_its_database_nobody_signs_in_and_tokens_stay_good(
    cluster: Cluster, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", "service")
    authority = Authority(url := cluster.database(), KEY, Clock())
    authority.users.add("ada", RIGHT)
    client = Client(guarded(authority), authority, Clock())
    token = client.token().json()["access_token"]
    with databases.engine(url.rpartition("/")[0] + "/postgres").connect() as connection:
        gone = sa.text(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(gone)
    answer = client.token()
    assert (answer.status_code, answer.json()["reason"]) == (503, "no database")
    assert url.rpartition("/")[2] not in answer.text
    assert not authority.poll()
    assert client.predict(token).status_code == 200
    assert "does not answer" in log.getvalue()
    assert "***" in log.getvalue()


# Browsers


def parsed(answer: httpx.Response) -> Any:
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False, strict=True)
    return parser.parse(answer.text)


@pytest.mark.parametrize("path", ["/", "/docs", "/nothing"])
def test_a_browser_is_asked_to_sign_in(client: Client, path: str) -> None:
    answer = client.ask("GET", path, headers=PAGE)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (401, "no-store")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    page = parsed(answer)
    assert [(form.get("method"), form.get("action")) for form in page.iter("form")] == [("post", "/token")]
    assert {field.get("name") for field in page.iter("input")} == {"grant_type", "username", "password"}
    assert not [*page.iter("script"), *page.iter("img"), *(link for link in page.iter("link") if link.get("href") != "data:,")]
    assert not re.search(r"url\(|@import", answer.text)


def test_the_page_may_do_nothing_but_look_as_it_does(client: Client) -> None:
    answer = client.ask("GET", "/", headers=PAGE)
    style = next(parsed(answer).iter("style")).text
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy


PAGES = [PAGE["Accept"], "text/html", "TEXT/HTML", "*/*;q=0.1, text/html;q=0.2"]
OTHERS = [
    "*/*",
    "",
    "application/json",
    "application/json, text/html;q=0.9",
    "text/html;q=0",
    "text/html;q=x",
    "text/*",
    ",;,=;q=",
    "*/*, text/html",
]


@pytest.mark.parametrize("accept", PAGES + OTHERS)
def test_a_page_is_for_who_asks_for_one(client: Client, accept: str) -> None:
    answer = client.ask("GET", "/", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"].startswith("text/html")) == (401, accept in PAGES)


def test_the_form_sets_cookies_that_no_script_reads_and_leads_to_the_page(client: Client) -> None:
    answer = client.ask("POST", "/token", data=ADA | {"next": "https://evil.example", "redirect_uri": "//evil.example"}, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"], answer.headers["Cache-Control"]) == (303, "/", "no-store")
    sent = answer.headers.get_list("set-cookie")
    assert len(sent) == 2
    for cookie, seconds in zip(sent, ("900", "43200"), strict=True):
        assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "samesite=strict", "path=/", f"max-age={seconds}"}
    assert client.ask("GET", "/", headers=PAGE, cookies=cookies(answer)).status_code == 200


def test_over_https_the_cookies_are_secure(client: Client) -> None:
    answer = client.ask("POST", "/token", "https://service", data=ADA, headers=PAGE)
    assert all("; secure" in cookie.lower() for cookie in answer.headers.get_list("set-cookie"))


def test_a_wrong_password_shows_the_page_again_with_the_words(client: Client) -> None:
    answer = client.ask("POST", "/token", data=ADA | {"password": WRONG, "username": "<script>"}, headers=PAGE)
    assert answer.status_code == 400
    page = parsed(answer)
    assert [part.text for part in page.iter("p") if part.get("role") == "alert"] == ["The user name or the password is wrong."]
    assert not list(page.iter("script"))
    for _ in range(10):
        answer = client.ask("POST", "/token", data=ADA | {"password": WRONG}, headers=PAGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(attempts.PAUSE))
    assert "Too many wrong passwords" in answer.text


def test_the_page_says_who_is_there_and_how_to_leave(client: Client) -> None:
    cookie_jar = client.browser()
    page = parsed(client.ask("GET", "/", headers=PAGE, cookies=cookie_jar))
    assert [(form.get("method"), form.get("action")) for form in page.iter("form") if form.get("action")] == [("post", "logout")]
    left = client.ask("POST", "/logout", headers=PAGE, cookies=cookie_jar)
    assert (left.status_code, left.headers["Location"]) == (303, "/")
    assert all("max-age=0" in cookie.lower() for cookie in left.headers.get_list("set-cookie"))
    assert len(left.headers.get_list("set-cookie")) == 2
    assert client.ask("GET", "/", headers=PAGE, cookies=cookie_jar).status_code == 401
    assert client.ask("POST", "/predict", cookies=cookie_jar).status_code == 401


def test_who_is_not_there_cannot_leave(client: Client) -> None:
    assert client.ask("POST", "/logout").status_code == 401
    assert client.ask("POST", "/logout", headers=PAGE).status_code == 303


def test_a_cookie_is_renewed_when_it_has_run_out(client: Client) -> None:
    cookie_jar = client.browser()
    client.clock.now += 900
    answer = client.ask("POST", "/predict", cookies={"atelier_refresh": cookie_jar["atelier_refresh"]})
    assert (answer.status_code, answer.json()["user"]) == (200, "ada")
    fresh = cookies(answer)
    assert fresh.keys() == cookie_jar.keys()
    assert fresh["atelier_refresh"] != cookie_jar["atelier_refresh"]
    others = client.ask("POST", "/predict", cookies=cookie_jar)  # sent at the same time, with the cookie before
    assert (others.status_code, cookies(others).keys()) == (200, {"atelier_access"})
    assert not cookies(client.ask("POST", "/predict", cookies=fresh))


def test_a_stolen_cookie_ends_the_session_when_both_use_it(client: Client) -> None:
    stolen = client.browser()
    client.clock.now += 900
    fresh = cookies(client.ask("GET", "/", headers=PAGE, cookies=stolen))
    client.clock.now += 900
    assert client.ask("GET", "/", headers=PAGE, cookies=stolen).status_code == 401
    refused = client.ask("GET", "/", headers=PAGE, cookies=fresh)
    assert refused.status_code == 401
    assert "The session is over" in refused.text


def test_cookies_that_are_not_ours_are_no_cookies(client: Client) -> None:
    for cookie_jar in ({"atelier_access": "x"}, {"atelier_refresh": "x"}, {"atelier_access": client.token().json()["refresh_token"]}):
        assert client.ask("GET", "/docs", cookies=cookie_jar).status_code == 401


ELSEWHERE: dict[str, tuple[dict[str, str], bool]] = {
    "a program": ({}, True),
    "the page itself": ({"Sec-Fetch-Site": "same-origin", "Origin": SERVICE}, True),
    "the page, over plain HTTP": ({"Origin": SERVICE}, True),
    "typed by hand": ({"Sec-Fetch-Site": "none"}, True),
    "another site": ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, False),
    "another port": ({"Sec-Fetch-Site": "same-site", "Origin": "http://service:8000"}, False),
    "another site, over plain HTTP": ({"Origin": "http://evil.example"}, False),
    "another port, over plain HTTP": ({"Origin": "http://service:8000"}, False),
    "a page of no site": ({"Origin": "null"}, False),
    "an origin that is none": ({"Origin": "http://["}, False),
    "a site that says two things": ({"Sec-Fetch-Site": "cross-site", "Origin": SERVICE}, False),
}


@pytest.mark.parametrize(("headers", "own"), ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("path", ["/predict", "/token", "/logout"])
def test_another_sites_page_cannot_ask_in_a_persons_name(client: Client, path: str, headers: dict[str, str], own: bool) -> None:
    answer = client.ask("POST", path, headers=headers, cookies=client.browser(), data=ADA)
    assert (answer.status_code != 403) == own
    assert (answer.status_code < 400) == own
    assert own or not answer.headers.get_list("set-cookie")


def test_another_sites_page_with_a_token_of_its_own_is_a_program(client: Client) -> None:
    """It must have been given the token: no browser sends that by itself."""
    token = client.token().json()["access_token"]
    answer = client.ask("POST", "/predict", headers={"Authorization": f"Bearer {token}", "Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200


# OpenAPI


def test_the_reference_shows_the_password_flow_and_what_asks_for_a_token(client: Client) -> None:
    token = client.token().json()["access_token"]
    openapi = client.ask("GET", "/openapi.json", headers={"Authorization": f"Bearer {token}"}).json()
    assert openapi["components"]["securitySchemes"]["token"]["flows"]["password"]["tokenUrl"] == "token"
    asking = {path: ways[way].get("security") for path, ways in openapi["paths"].items() for way in ways}
    assert asking == {"/health": None, "/token": None, "/logout": None, "/predict": [{"token": []}], "/flag": [{"token": []}]}
    assert "401" in openapi["paths"]["/predict"]["post"]["responses"]
    assert list(openapi["paths"]["/token"]["post"]["requestBody"]["content"]) == [UNIFORM]


# When a token is required


PRIVATE = ["127.0.0.1", "127.1.2.3", "::1", "localhost"]
PUBLIC = ["0.0.0.0", "::", "", "192.0.2.1", "::ffff:192.0.2.1", "no such host.invalid"]  # noqa: S104


@pytest.mark.parametrize("host", PRIVATE + PUBLIC)
@pytest.mark.parametrize("word", [None, "", "required", "off"])
def test_the_default_follows_the_address(host: str, word: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTH", raising=False)
    if word is not None:
        monkeypatch.setenv("AUTH", word)
    assert auth_policy.required([host]) == (word == "required" or (not word and host in PUBLIC))


def test_one_open_address_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTH", raising=False)
    assert auth_policy.required(["127.0.0.1", "192.0.2.1"])
    assert auth_policy.required([])  # nobody knows where it will listen


def test_another_word_names_the_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "no")
    with pytest.raises(BadSetting, match=r"AUTH='no' is not known\. Choose one of: required, off"):
        auth_policy.required(["127.0.0.1"])


def test_off_is_said_loudly_where_others_can_reach(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    monkeypatch.setenv("AUTH", "off")
    assert not auth_policy.required(["127.0.0.1"])
    assert not log.getvalue()
    assert not auth_policy.required(["192.0.2.1"])
    line = json.loads(log.getvalue())
    assert (line["level"], line["message"].partition(":")[0]) == ("warning", "AUTH=off at 192.0.2.1")


# The key


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTH_KEY", raising=False)
    words = [sys.executable, "-c", "from serving.auth import tokens; print(tokens.key())"]
    started = [subprocess.Popen(words, env=environment(tmp_path), stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {process.communicate()[0].strip() for process in started}
    assert found == {tokens.key()}
    assert len(tokens.key()) == 64
    assert stat.S_IMODE(tokens.FILE.stat().st_mode) == 0o600


@pytest.mark.parametrize("key", ["", "short", "x" * 31])
def test_a_short_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AUTH_KEY", key)
    with pytest.raises(BadSetting, match=f"AUTH_KEY has {len(key)} bytes; at least 32.*openssl rand -hex 32") as caught:
        tokens.key()
    assert not key or key not in str(caught.value).replace("short", "" if key != "short" else "short")
    monkeypatch.delenv("AUTH_KEY")
    tokens.FILE.parent.mkdir()
    tokens.FILE.write_text(key)
    with pytest.raises(BadSetting, match="Remove the file"):
        tokens.key()


def test_where_no_key_can_be_kept_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTH_KEY", raising=False)
    Path(".store").touch()
    with pytest.raises(BadSetting, match="Set AUTH_KEY"):
        tokens.key()


# Real services


HEAVY = "import sys; from serving.digits import service; print(*{'sqlalchemy', 'alembic', 'jwt', 'argon2', 'psycopg'} & set(sys.modules))"


def test_where_no_token_is_required_nothing_for_tokens_is_loaded(tmp_path: Path) -> None:
    assert run(tmp_path, "-c", HEAVY) == ""
    assert not (tmp_path / ".store/users.db").exists()


FIRST = {"ADMIN_USER": "ada", "ADMIN_PASSWORD": RIGHT}


ANYWHERE = "0.0.0.0"  # noqa: S104
STARTS = {
    "make serve": make_serve("digits", "--host", ANYWHERE, "--workers", "2"),
    "bentoml serve": [*bento_serve("digits")[:-1], ANYWHERE],
}


@pytest.mark.slow
@pytest.mark.parametrize("words", STARTS.values(), ids=STARTS)
def test_a_service_that_others_can_reach_asks_for_a_token(tmp_path: Path, words: list[str]) -> None:
    picture = {"image": ("seven.png", encoded(seven()), "image/png")}
    with running(tmp_path, {1: stored(tmp_path, 1)}, words, **FIRST) as service:
        for path in ("/", "/metrics", "/docs"):
            assert service.client.get(path).status_code == 401
        for path in ("/health", "/livez", "/readyz", "/healthz"):
            assert service.client.get(path).status_code == 200
        assert service.predict(files=picture).status_code == 401
        token = service.client.post("/token", data=ADA).json()["access_token"]
        allowed = {"Authorization": f"Bearer {token}"}
        for _ in range(8):  # a connection of its own each: any worker may take it
            with httpx.Client(base_url=service.client.base_url, timeout=60) as client:
                assert client.post("/predict", files=picture, headers=allowed).status_code == 200
        assert service.client.get("/metrics", headers=allowed).status_code == 200
        assert RIGHT not in service.log()
        assert token not in service.log()


@pytest.mark.slow
def test_on_the_loopback_address_no_token_is_asked_and_token_answers_all_the_same(tmp_path: Path) -> None:
    with running(tmp_path, {1: stored(tmp_path, 1)}, make_serve("digits"), **FIRST) as service:
        assert service.client.get("/metrics").status_code == 200
        assert not (tmp_path / ".store/users.db").exists()
        assert service.client.post("/token", data=ADA).status_code == 200
        assert stat.S_IMODE((tmp_path / ".store/users.db").stat().st_mode) == 0o600


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "BadSetting: AUTH=required, and sqlite:///.store/users.db has no user who may sign in. Add one with `make user-add"),
        ({"ADMIN_USER": "ada"}, "BadSetting: ADMIN_PASSWORD is not set."),
        ({"ADMIN_USER": "ada", "ADMIN_PASSWORD": "short"}, "BadPassword: A password has 12 to 256 characters"),
        ({"AUTH": "yes"}, "BadSetting: AUTH='yes' is not known."),
        ({"AUTH_KEY": "short"}, "BadSetting: AUTH_KEY has 5 bytes"),
        ({"USERS_URL": "mysql://x:s3cret@y/z"}, "BadUrl: mysql:// is not supported."),
        (
            {"USERS_URL": "postgresql://x:s3cret@127.0.0.1:1/z"},
            "NoDatabase: The database postgresql+psycopg://x:***@127.0.0.1:1/z does not answer",
        ),
    ],
)
def test_where_nobody_could_sign_in_it_does_not_start(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    command = [sys.executable, *make_serve("digits", "--host", ANYWHERE, "--port", "0")]
    plain = {key: value for key, value in environment(tmp_path).items() if key not in ("AUTH", "AUTH_KEY", "USERS_URL", *FIRST)}
    done = subprocess.run(command, cwd=tmp_path, env=plain | settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith(words), done.stderr.count("\n")) == (1, True, 1), done.stderr
    assert "s3cret" not in done.stderr
