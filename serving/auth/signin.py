"""Signing in and out: POST /token (RFC 6749, sections 4.3 and 6), POST /logout, and the page that asks a person for name and password."""

import base64
import hashlib
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Template
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from serving.auth import authority, cookies, csrf, tokens
from serving.auth.attempts import Locked
from serving.auth.authority import Authority, Granted, WrongPassword
from serving.auth.pool import PASSWORDS, SESSIONS
from serving.inputs import bodies
from serving.pages import routes as page_routes
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
UNSTORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
GRANTS = ("password", "refresh_token")


async def token(request: Request) -> Response:
    """Tokens as JSON for a program, as cookies for a browser's form, which is led to the page. Raises Refusal."""
    try:
        csrf.own(request)
        granted = await _granted(request)
    except Refusal as refusal:
        refusal.error, refusal.headers = refusal.error or "invalid_request", {**UNSTORED, **(refusal.headers or {})}
        if cookies.wants_page(request):
            return page(request, request.app.title, refusal)
        raise
    request.state.user = granted.user
    return _seated(request, granted) if cookies.wants_page(request) else JSONResponse(told(granted), headers=UNSTORED)


async def logout(request: Request) -> Response:
    """End the session that the token or the cookie belongs to. Raises Refusal."""
    csrf.own(request)
    standing = await _authority(request)
    session = _session(request, standing)
    if session:
        await SESSIONS.run(standing.signed_out, session)
    elif not cookies.wants_page(request):
        raise unnamed()
    response = RedirectResponse("/", 303, UNSTORED) if cookies.wants_page(request) else Response(status_code=204, headers=UNSTORED)
    cookies.forget(response, request)
    return response


async def _granted(request: Request) -> Granted:
    """What the form earns. Raises Refusal."""
    form = await bodies.read_form(request, LIMIT_MB)
    grant = form.get("grant_type")
    if grant not in GRANTS:
        known = f"Send one of: {', '.join(GRANTS)}."
        if grant is None:
            raise Refusal(400, "no grant_type", f"The field grant_type is missing. {known}", "invalid_request")
        raise Refusal(400, "unknown grant_type", f"grant_type={grant[: bodies.SHOWN]!r} is not known. {known}", "unsupported_grant_type")
    return await (_by_password if grant == "password" else _by_refresh)(request, form)


async def _by_password(request: Request, form: Mapping[str, str]) -> Granted:
    name, password = _field(form, "username"), _field(form, "password")
    address = request.client.host if request.client else "unknown"
    try:
        return await PASSWORDS.run((await _authority(request)).signed_in, name, password, address)
    except WrongPassword:
        request.state.client = address
        raise Refusal(400, "wrong password", "The user name or the password is wrong.", "invalid_grant") from None
    except Locked as locked:
        request.state.client = address
        raise _patience(math.ceil(locked.seconds)) from None


def _patience(seconds: int) -> Refusal:
    words = f"Too many wrong passwords for this user, or from this address. Try again in {max(1, math.ceil(seconds / 60))} min."
    return Refusal(429, "too many attempts", words, "temporarily_unavailable", {"Retry-After": str(max(1, seconds))})


async def _by_refresh(request: Request, form: Mapping[str, str]) -> Granted:
    refresh = _field(form, "refresh_token")
    try:
        return await SESSIONS.run((await _authority(request)).renewed, refresh)
    except tokens.Unaccepted as fault:
        raise Refusal(400, "refresh token", f"{fault}. Sign in again, with grant_type=password.", "invalid_grant") from None


def _field(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise Refusal(400, f"no {name}", f"The field {name} is missing, or empty.", "invalid_request")
    return form[name]


async def _authority(request: Request) -> Authority:
    """The application's own, or where no token is required, the one that is made when it is first asked for."""
    given: Authority | None = getattr(request.app.state, "authority", None)
    return await SESSIONS.run(authority.standing) if given is None else given


def _session(request: Request, standing: Authority) -> str | None:
    """The session of the token in the head, or of the cookies."""
    if (given := bearer(request)) is not None:
        return _of(standing.tokens, given, "access")
    held = ((cookies.token(request, kind), kind) for kind in cookies.COOKIES)
    return next((session for value, kind in held if value and (session := _of(standing.tokens, value, kind))), None)


def _of(known: tokens.Tokens, value: str, kind: tokens.Kind) -> str | None:
    try:
        return known.read(value, kind).session
    except tokens.Unaccepted:
        return None


def bearer(request: Request) -> str | None:
    """What follows `Authorization: Bearer`; empty where another scheme does."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def unnamed(fault: str | None = None) -> Refusal:
    """401 for a request without a token, or with one that is worth nothing (RFC 6750, section 3)."""
    words = f"{fault}. Get a new one at POST /token, or reload the page." if fault else "A token is required here. Get one at POST /token."
    said = f', error="invalid_token", error_description="{fault}"' if fault else ""
    return Refusal(
        401, "invalid token" if fault else "no token", words, None, {"WWW-Authenticate": f'Bearer realm="atelier"{said}', **UNSTORED}
    )


def told(granted: Granted) -> dict[str, Any]:
    """RFC 6749, section 5.1."""
    return {
        "access_token": granted.access,
        "token_type": "bearer",
        "expires_in": tokens.SECONDS["access"],
        "refresh_token": granted.refresh,
    }


def _seated(request: Request, granted: Granted) -> Response:
    response = RedirectResponse("/", 303, UNSTORED)
    cookies.keep(response, request, access=granted.access, refresh=granted.refresh)
    return response


def page(request: Request, family: str, refusal: Refusal) -> Response:
    """The page that asks for name and password, with what was refused. It has no script, and loads nothing."""
    request.state.refusal = refusal.reason
    html = _template().render(family=family, style=Markup(_style()), refusal=refusal)  # noqa: S704  (our own file)
    return HTMLResponse(
        html, refusal.status, {**page_routes.HEADERS, **(refusal.headers or {}), **UNSTORED, "Content-Security-Policy": _policy()}
    )


@cache
def _template() -> Template:
    return page_routes.environment().get_template("page/signin.html")


@cache
def _style() -> str:
    return (page_routes.HERE / "page" / "style.css").read_text()


@cache
def _policy() -> str:
    """Nothing but the style that stands in the page, by its hash, and its form."""
    style = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    known = {"frame-ancestors": "'none'", "base-uri": "'none'", "form-action": "'self'"}
    allowed = {"default-src": "'none'", "style-src": f"'sha256-{style}'", "img-src": "data:", **known}
    return "; ".join(f"{name} {value}" for name, value in allowed.items())
