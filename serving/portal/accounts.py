"""Signing up, in and out, and staying signed in."""

import math
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serving.auth.attempts import Locked
from serving.auth.authority import WrongPassword
from serving.auth.passwords import BadPassword
from serving.auth.pool import PASSWORDS, SESSIONS
from serving.auth.users import EmailTaken, InvalidUser, NameTaken, User
from serving.inputs import bodies
from serving.portal import guard, rendering
from serving.portal.refusals import REASONS
from serving.portal.words import COOKIE as LANGUAGE
from serving.portal.words import LANGUAGES, N_, _, language
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
YEAR = 365 * 86_400  # seconds
UNKNOWN = N_("This account does not exist, or the password is wrong.")
KNOWN = N_("This e-mail address has an account already. Sign in, or take another address.")
TAKEN = N_("Another user has this name. Choose another.")
NO_AT = N_("A name has no @. The e-mail address has a field of its own.")
NO_EMAIL = N_("The e-mail address is missing.")
COMPLAINTS = {  # {error: what is said of it where the person does not read English}
    EmailTaken: KNOWN,
    NameTaken: TAKEN,
    InvalidUser: N_("The name or the e-mail address is malformed. A name has letters, digits and . _ - without blanks."),
    BadPassword: N_("This password is too short or too simple. Take at least 12 characters; four or five words are easy to remember."),
}


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/sign-in", sign_in_page, ["GET"])
    app.add_route("/sign-in", sign_in, ["POST"])
    app.add_route("/sign-up", sign_up_page, ["GET"])
    app.add_route("/sign-up", sign_up, ["POST"])
    app.add_route("/sign-out", sign_out, ["POST"])
    app.add_route("/session", stay, ["POST"])
    app.add_route("/language", choose_language, ["POST"])


async def sign_in_page(request: Request) -> Response:
    """The form, and why it is shown."""
    query = request.query_params
    return _form(request, "signin", next=rendering.inside(query.get("next", "/")), ended="ended" in query, made="made" in query)


async def sign_in(request: Request) -> Response:
    """Begin a session, and end the one that the browser had: an id that somebody else has set is worth nothing."""
    form = await bodies.read_form(request, LIMIT_MB)
    kept = {"email": form.get("email", ""), "next": rendering.inside(form.get("next", "/"))}
    portal = request.app.state.portal
    try:
        user = await PASSWORDS.run(portal.authority.authenticate, kept["email"], form.get("password", ""), _address(request))
        cookie = await SESSIONS.run(portal.sessions.begin, user)
    except WrongPassword:
        return _form(request, "signin", 400, wrong=_(UNKNOWN), **kept)
    except Locked as locked:
        return _locked(request, "signin", locked, _("Too many wrong passwords for this account, or from this address."), **kept)
    if cookie is None:
        return _form(request, "signin", 400, wrong=_(UNKNOWN), **kept)
    await _end(request)
    response = rendering.redirect(request, kept["next"] if kept["next"] != "/" else await _landing(request, user))
    response.set_cookie(guard.COOKIE, cookie, **_restrictions(request))
    return response


async def _landing(request: Request, user: User) -> str:
    """Where a person begins: the product that was asked last, or else the first."""
    portal = request.app.state.portal
    names = [product.name for product in portal.services.products()]
    last = await SESSIONS.run(portal.history.last_product, user.id)
    return f"/products/{last if last in names else names[0]}"


async def sign_up_page(request: Request) -> Response:
    """The form. Raises Refusal 403 where nobody can sign up."""
    _check_open(request)
    return _form(request, "signup")


async def sign_up(request: Request) -> Response:
    """Add a user, who then signs in. Raises Refusal."""
    _check_open(request)
    form = await bodies.read_form(request, LIMIT_MB)
    kept = {name: form.get(name, "") for name in ("name", "email")}
    if "@" in kept["name"] or not kept["email"]:
        return _form(request, "signup", 400, wrong=_(NO_AT) if kept["email"] else _(NO_EMAIL), **kept)
    try:
        await PASSWORDS.run(request.app.state.portal.authority.sign_up, *kept.values(), form.get("password", ""), _address(request))
    except Locked as locked:
        return _locked(request, "signup", locked, _("Too many accounts were asked for from this address."), **kept)
    except (InvalidUser, BadPassword) as fault:
        return _form(request, "signup", 409 if isinstance(fault, (EmailTaken, NameTaken)) else 400, wrong=_complaint(fault), **kept)
    return rendering.redirect(request, "/sign-in?made=1")


def _complaint(fault: Exception) -> str:
    """Why there is no such account, in the person's language."""
    known = next((words for kind, words in COMPLAINTS.items() if isinstance(fault, kind)), "")
    return _(known) if known and (language() != "en" or isinstance(fault, (EmailTaken, NameTaken))) else str(fault)


def _check_open(request: Request) -> None:
    if not request.app.state.portal.open:
        raise Refusal(403, "sign-up closed", REASONS["sign-up closed"])


async def sign_out(request: Request) -> Response:
    """End the session."""
    await _end(request)
    response = rendering.redirect(request, "/")
    response.delete_cookie(guard.COOKIE, **_restrictions(request))
    return response


async def stay(request: Request) -> Response:
    """A request that keeps the session: the guard has seen it."""
    return Response(status_code=204, headers=rendering.HEADERS)


async def choose_language(request: Request) -> Response:
    """Answer this browser in the chosen language from now on; unknown ones change nothing."""
    form = await bodies.read_form(request, LIMIT_MB)
    response = rendering.redirect(request, rendering.inside(form.get("next", "/")))
    if (chosen := form.get("language", "")) in LANGUAGES:
        response.set_cookie(LANGUAGE, chosen, max_age=YEAR, **_restrictions(request))
    return response


async def _end(request: Request) -> None:
    if cookie := request.cookies.get(guard.COOKIE):
        await SESSIONS.run(request.app.state.portal.sessions.end, cookie)


def _form(request: Request, name: str, status: int = 200, /, **facts: Any) -> Response:
    return rendering.page(request, name, status, **facts)


def _locked(request: Request, name: str, locked: Locked, what: str, /, **kept: str) -> Response:
    seconds = max(1, math.ceil(locked.seconds))
    response = _form(request, name, 429, wrong=what + " " + _("Try again in %(minutes)s min.", minutes=math.ceil(seconds / 60)), **kept)
    response.headers["Retry-After"] = str(seconds)
    return response


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _restrictions(request: Request) -> dict[str, Any]:
    """Sent back to the portal alone, by no script, and by HTTPS where the request came so; until the browser is closed."""
    return {"path": rendering.root(request) or "/", "secure": request.url.scheme == "https", "httponly": True, "samesite": "strict"}
