"""What the links in letters lead to: a confirmed e-mail address, and a new password."""

import math
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from fastapi import FastAPI
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from serving.auth.attempts import Locked
from serving.auth.passwords import BadPassword
from serving.auth.pool import PASSWORDS, SESSIONS
from serving.auth.users import User
from serving.inputs import bodies
from serving.portal import auditing, complaints, rendering
from serving.portal.letters import BadLink, Kind, Letters
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
PATHS = frozenset({"/forgot", "/reset", "/confirm"})
NO_MAIL = "This portal sends no e-mail. An administrator can set a new password."


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/forgot", forgot_page, ["GET"])
    app.add_route("/forgot", forgot, ["POST"])
    app.add_route("/reset", reset_page, ["GET"])
    app.add_route("/reset", reset, ["POST"])
    app.add_route("/confirm", confirm_page, ["GET"])
    app.add_route("/confirm", confirm, ["POST"])


async def forgot_page(request: Request) -> Response:
    """Where a link is asked for. Raises Refusal 404 where no e-mail is sent."""
    _letters(request)
    return rendering.page(request, "forgot")


async def forgot(request: Request) -> Response:
    """Send a link, after the answer: it and its time are the same whether there is such an account or not. Raises Refusal."""
    letters, form = _letters(request), await bodies.read_form(request, LIMIT_MB)
    try:
        await SESSIONS.run(letters.authority.attempts.begin_request, auditing.address(request))
    except Locked as locked:
        raise _too_many(locked.seconds) from None
    response = rendering.page(request, "forgot", sent=True)
    response.background = BackgroundTask(_unheard, letters.reset, form.get("email", ""))
    return response


def _too_many(seconds: float) -> Refusal:
    words = f"Too many links were asked for from this address. Try again in {math.ceil(seconds / 60)} min."
    return Refusal(429, "too many attempts", words, headers={"Retry-After": str(max(1, math.ceil(seconds)))})


async def _unheard(work: Any, *arguments: Any) -> None:
    with suppress(Refusal):  # the pool has logged why, and the answer is sent
        await SESSIONS.run(copy_context().run, work, *arguments)  # the language of the request is that of the letter


async def reset_page(request: Request) -> Response:
    """Where a new password is chosen. Raises Refusal."""
    return await _linked(request, "reset", request.query_params.get("token", ""))


async def reset(request: Request) -> Response:
    """Set the password, which ends all sessions of the user. Raises Refusal."""
    letters, form = _letters(request), await bodies.read_form(request, LIMIT_MB)
    token = form.get("token", "")
    user = await _user(request, "reset", token)
    try:
        await PASSWORDS.run(letters.authority.users.set_password, user.name, form.get("password", ""))
    except BadPassword as fault:
        return await _linked(request, "reset", token, 400, wrong=complaints.words(fault))
    await SESSIONS.run(letters.authority.users.confirm, user.name)
    await _note(request, user, "password reset")
    return rendering.redirect(request, "/sign-in?reset=1")


async def confirm_page(request: Request) -> Response:
    """Where the e-mail address is confirmed, by a button: programs open the links of letters too. Raises Refusal."""
    return await _linked(request, "confirm", request.query_params.get("token", ""))


async def confirm(request: Request) -> Response:
    """Confirm the e-mail address. Raises Refusal."""
    form = await bodies.read_form(request, LIMIT_MB)
    user = await _user(request, "confirm", form.get("token", ""))
    await SESSIONS.run(_letters(request).authority.users.confirm, user.name)
    await _note(request, user, "address confirmed")
    return rendering.redirect(request, "/sign-in?confirmed=1")


def with_confirmation(request: Request, response: Response, user: User) -> Response:
    """The response, after which the link to confirm the address is sent, where the portal sends e-mail."""
    if letters := request.app.state.portal.letters:
        response.background = BackgroundTask(_unheard, letters.confirmation, user)
    return response


async def _linked(request: Request, kind: Kind, token: str, status: int = 200, **facts: str) -> Response:
    user = await _user(request, kind, token)
    return rendering.page(request, kind, status, token=token, name=user.name, email=user.email, **facts)


async def _user(request: Request, kind: Kind, token: str) -> User:
    try:
        return await SESSIONS.run(_letters(request).user, kind, token)
    except BadLink as fault:
        raise Refusal(400, "bad link", str(fault)) from None


async def _note(request: Request, user: User, what: str) -> None:
    audit = request.app.state.portal.authority.audit
    await SESSIONS.run(audit.note, user.name, what, "", auditing.address(request))


def _letters(request: Request) -> Letters:
    letters: Letters | None = request.app.state.portal.letters
    if letters is None:
        raise Refusal(404, "no e-mail", NO_MAIL)
    return letters
