"""Signing in and out: POST /token (RFC 6749, sections 4.3 and 6), POST /logout, and the sign-in page."""

import math
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from serving.auth import authority, cookies, tokens
from serving.auth.attempts import Locked
from serving.auth.authority import Authority, Granted, WrongPassword
from serving.auth.pool import PASSWORDS, SESSIONS
from serving.auth.tokens import InvalidToken
from serving.inputs import bodies
from serving.pages import standalone
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
UNSTORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
GRANTS = ("password", "refresh_token")


async def token(request: Request) -> Response:
    """Tokens as JSON for a program (RFC 6749, section 5.1), as cookies for a browser's form. Raises Refusal."""
    wants_page = standalone.wanted(request)
    try:
        granted = await _granted(request)
    except Refusal as refusal:
        refusal.error, refusal.headers = refusal.error or "invalid_request", {**UNSTORED, **(refusal.headers or {})}
        if wants_page:
            return page(request, request.app.title, refusal)
        raise
    request.state.user = granted.user
    if not wants_page:
        fields = {"access_token": granted.access, "token_type": "bearer", "expires_in": tokens.SECONDS["access"]}
        return JSONResponse({**fields, "refresh_token": granted.refresh}, headers=UNSTORED)
    response = RedirectResponse(f"{_root(request)}/", 303, UNSTORED)
    cookies.store(response, request, granted.access, granted.refresh)
    return response


def _root(request: Request) -> str:
    """The path below which the service is reached."""
    return str(request.scope.get("root_path", ""))


async def logout(request: Request) -> Response:
    """End the session that the token or the cookies belong to. Raises Refusal."""
    known, wants_page = await _authority(request), standalone.wanted(request)
    if session := _session(request, known.tokens):
        await SESSIONS.run(known.sign_out, session)
    elif not wants_page:
        raise unauthorized()
    response = RedirectResponse(f"{_root(request)}/", 303, UNSTORED) if wants_page else Response(status_code=204, headers=UNSTORED)
    cookies.delete(response, request)
    return response


async def _granted(request: Request) -> Granted:
    """Tokens for the form that was sent. Raises Refusal."""
    form = await bodies.read_form(request, LIMIT_MB)
    grant, allowed = form.get("grant_type"), f"Send one of: {', '.join(GRANTS)}."
    if grant is None:
        raise Refusal(400, "no grant_type", f"The field grant_type is missing. {allowed}", "invalid_request")
    if grant not in GRANTS:
        raise Refusal(400, "unknown grant_type", f"grant_type={grant[: bodies.SHOWN]!r} is not known. {allowed}", "unsupported_grant_type")
    return await (_by_password if grant == "password" else _by_refresh)(request, form)


async def _by_password(request: Request, form: Mapping[str, str]) -> Granted:
    name, password = _field(form, "username"), _field(form, "password")
    address = request.client.host if request.client else "unknown"
    try:
        return await PASSWORDS.run((await _authority(request)).sign_in, name, password, address)
    except WrongPassword as fault:
        request.state.client = address
        raise Refusal(400, "wrong password", str(fault) or "The user name or the password is wrong.", "invalid_grant") from None
    except Locked as locked:
        request.state.client = address
        seconds = max(1, math.ceil(locked.seconds))
        detail = f"Too many wrong passwords for this user, or from this address. Try again in {math.ceil(seconds / 60)} min."
        raise Refusal(429, "too many attempts", detail, "temporarily_unavailable", {"Retry-After": str(seconds)}) from None


async def _by_refresh(request: Request, form: Mapping[str, str]) -> Granted:
    refresh = _field(form, "refresh_token")
    try:
        return await SESSIONS.run((await _authority(request)).renew, refresh)
    except InvalidToken as fault:
        raise Refusal(400, "refresh token", f"{fault}. Sign in again, with grant_type=password.", "invalid_grant") from None


def _field(form: Mapping[str, str], name: str) -> str:
    if not form.get(name):
        raise Refusal(400, f"no {name}", f"The field {name} is missing, or empty.", "invalid_request")
    return form[name]


async def _authority(request: Request) -> Authority:
    """The application's own, or where no token is required, that of the process, opened at first use."""
    given: Authority | None = getattr(request.app.state, "authority", None)
    return await SESSIONS.run(authority.current) if given is None else given


def _session(request: Request, known: tokens.Tokens) -> str | None:
    """The session of the bearer token, or else of the cookies."""
    found: dict[tokens.Kind, str | None] = {kind: cookies.token(request, kind) for kind in cookies.COOKIES}
    if (given := bearer(request)) is not None:
        found = {"access": given}
    for kind, value in found.items():
        try:
            return known.decode(value or "", kind).session
        except InvalidToken:
            continue
    return None


def bearer(request: Request) -> str | None:
    """The token of `Authorization: Bearer`; empty for another scheme, None without the header."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, value = header.partition(" ")
    return value.strip() if scheme.lower() == "bearer" else ""


def unauthorized(fault: str | None = None) -> Refusal:
    """401 for a request without a token, or with an invalid one (RFC 6750, section 3)."""
    challenge = 'Bearer realm="atelier"' + (f', error="invalid_token", error_description="{fault}"' if fault else "")
    detail = f"{fault}. Get a new one at POST /token, or reload the page." if fault else "A token is required here. Get one at POST /token."
    return Refusal(401, "invalid token" if fault else "no token", detail, headers={"WWW-Authenticate": challenge, **UNSTORED})


def page(request: Request, family: str, refusal: Refusal) -> Response:
    """The sign-in page, with what was refused. It has no script, and loads nothing."""
    request.state.refusal = refusal.reason
    return standalone.page(request, "signin", refusal.status, {**(refusal.headers or {}), **UNSTORED}, family=family, refusal=refusal)
