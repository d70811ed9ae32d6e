"""Signing up, in and out, and staying signed in."""

import math
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serving.auth.attempts import Locked
from serving.auth.authority import Held, WrongPassword
from serving.auth.passwords import BadPassword
from serving.auth.pool import PASSWORDS, SESSIONS
from serving.auth.users import EmailTaken, InvalidUser, NameTaken, User
from serving.inputs import bodies
from serving.portal import auditing, complaints, guard, passwords, rendering, settings
from serving.portal.refusals import REASONS
from serving.portal.words import COOKIE as LANGUAGE
from serving.portal.words import LANGUAGES, N_, _
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
YEAR = 365 * 86_400  # seconds
UNKNOWN = N_("This account does not exist, or the password is wrong.")
NO_AT = N_("A name has no @. The e-mail address has a field of its own.")
NO_EMAIL = N_("The e-mail address is missing.")
WAITS = {  # {is the address confirmed?: what the account waits for}
    False: N_("This account waits for its e-mail address to be confirmed, by the link that was sent to it."),
    True: N_("This account waits for an administrator to approve it."),
}
SAID = {  # {parameter: what is said above the form}
    "ended": N_("The session is over. Sign in again; you come back to the same page."),
    "made": N_("Your account is made. Sign in with it."),
    "reset": N_("Your password is set. Sign in with it."),
    "confirmed": N_("Your e-mail address is confirmed. Sign in."),
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
    said = [_(words) for name, words in SAID.items() if name in query]
    if "made" in query:
        said += _steps(request)
    return _form(request, "signin", next=rendering.inside(query.get("next", "/")), said=" ".join(said))


def _steps(request: Request) -> list[str]:
    """What a new account waits for."""
    portal = request.app.state.portal
    letter = [_("First open the link that was sent to your e-mail address.")] if portal.letters else []
    return letter + ([_("An administrator approves it before you can sign in.")] if portal.sign_up == settings.APPROVAL else [])


async def sign_in(request: Request) -> Response:
    """Begin a session, and end the one that the browser had: an id that somebody else has set is worth nothing."""
    form = await bodies.read_form(request, LIMIT_MB)
    kept = {"email": form.get("email", ""), "next": rendering.inside(form.get("next", "/"))}
    portal = request.app.state.portal
    try:
        user = await PASSWORDS.run(portal.authority.authenticate, kept["email"], form.get("password", ""), auditing.address(request))
        cookie = await SESSIONS.run(portal.sessions.begin, user)
    except Held as held:
        return passwords.with_confirmation(request, _form(request, "signin", 403, wrong=_(WAITS[held.user.confirmed]), **kept), held.user)
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
        user = await PASSWORDS.run(_add, request, *kept.values(), form.get("password", ""))
    except Locked as locked:
        return _locked(request, "signup", locked, _("Too many accounts were asked for from this address."), **kept)
    except (InvalidUser, BadPassword) as fault:
        return _form(request, "signup", 409 if isinstance(fault, (EmailTaken, NameTaken)) else 400, wrong=complaints.words(fault), **kept)
    return passwords.with_confirmation(request, rendering.redirect(request, "/sign-in?made=1"), user)


def _add(request: Request, name: str, email: str, password: str) -> User:
    portal = request.app.state.portal
    held = {"confirmed": portal.letters is None, "approved": portal.sign_up != settings.APPROVAL}
    return portal.authority.sign_up(name, email, password, auditing.address(request), **held)


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


def _restrictions(request: Request) -> dict[str, Any]:
    """Sent back to the portal alone, by no script, and by HTTPS where the request came so; until the browser is closed."""
    return {"path": rendering.root(request) or "/", "secure": request.url.scheme == "https", "httponly": True, "samesite": "strict"}
