"""The administrator's pages: how services are, users, keys, and the audit."""

import os
import shutil
from collections.abc import Callable
from typing import Any

import psutil
from fastapi import FastAPI
from prometheus_client import REGISTRY
from starlette.requests import Request
from starlette.responses import Response

from pipelines import paths
from serving.auth.audit import PAGE
from serving.auth.pool import SESSIONS
from serving.auth.users import ROLES, InvalidUser, User, Users
from serving.inputs import bodies, queries
from serving.portal import auditing, figures, guard, rendering
from serving.portal.words import N_, _, language
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
MOST = 1_000_000  # pages
HIGHEST = 2**31 - 1  # id that a database takes
LAST = N_("This cannot be done: there is no such user, or it is the last administrator.")
ACTIONS = (
    N_("signed in"),
    N_("sign-in failed"),
    N_("signed up"),
    N_("password reset"),
    N_("address confirmed"),
    N_("history exported"),
    N_("history deleted"),
    N_("answer corrected"),
    N_("answer reviewed"),
    N_("answer corrected"),
    N_("answer reviewed"),
    N_("key made"),
    N_("key revoked"),
    N_("user added"),
    N_("user approved"),
    N_("user enabled"),
    N_("user disabled"),
    N_("user removed"),
    N_("role changed"),
    N_("password changed"),
    N_("sessions ended"),
    N_("rolled back"),
    N_("challenged"),
)  # what the audit says
DONE: dict[str, tuple[Callable[[Users, str], None], str]] = {  # {what is asked for: (method, what the audit says)}
    "approve": (Users.approve, "user approved"),
    "enable": (Users.enable, "user enabled"),
    "disable": (Users.disable, "user disabled"),
    "end": (Users.end_sessions, "sessions ended"),
}


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/admin", services, ["GET"])
    app.add_route("/admin/users", users, ["GET"])
    app.add_route("/admin/users/{id:int}", change, ["POST"])
    app.add_route("/admin/keys", keys, ["GET"])
    app.add_route("/admin/keys/{id}/revoke", revoke, ["POST"])
    app.add_route("/admin/audit", audit, ["GET"])


async def services(request: Request) -> Response:
    """Each service with its version, requests, refusals, queue and records; the portal itself; the disk."""
    portal = request.app.state.portal
    states = await portal.services.states(portal.sessions.token(request.user, request.cookies[guard.COOKIE]))
    collected = (figures.Sample(s.name, s.labels, s.value) for family in REGISTRY.collect() for s in family.samples)
    facts = {
        "states": states,
        "own": figures.of(collected),
        "faults": portal.faults.newest(),
        "disk": shutil.disk_usage(_existing(paths.ROOT)),
    }
    return rendering.page(request, "services", **facts, memory=psutil.Process().memory_info().rss, pid=os.getpid())


def _existing(folder: Any) -> Any:
    return folder if folder.exists() else "."


async def users(request: Request) -> Response:
    """All users, and what may be done."""
    return await _users(request)


async def _users(request: Request, status: int = 200, **facts: Any) -> Response:
    table = request.app.state.portal.authority.users
    listed, sessions = await SESSIONS.run(table.all), await SESSIONS.run(table.open_sessions)
    listed.sort(key=lambda user: (user.active, user.disabled, user.name))  # those that wait come first
    return rendering.page(request, "users", status, users=listed, sessions=sessions, every=ROLES, **facts)


async def change(request: Request) -> Response:
    """Do to a user what the form asks for. Raises Refusal 404 or 422."""
    table, form = request.app.state.portal.authority.users, await bodies.read_form(request, LIMIT_MB)
    user = await SESSIONS.run(table.by_id, min(request.path_params["id"], HIGHEST))
    if user is None:
        raise Refusal(404, "unknown", "There is no such user.")
    try:
        await _change(request, user, form.get("do", ""), form.get("role", ""))
    except InvalidUser as fault:
        return await _users(request, 409, wrong=str(fault) if language() == "en" else _(LAST))
    return rendering.redirect(request, "/admin/users")


async def _change(request: Request, user: User, do: str, role: str) -> None:
    table = request.app.state.portal.authority.users
    if do == "role":
        await SESSIONS.run(table.set_role, user.name, role)
        return await auditing.note(request, "role changed", user.name, role)
    if do not in DONE:
        raise Refusal(422, "unknown change", f"{do[:40]!r} is not known. Choose one of: {', '.join([*DONE, 'role'])}.")
    method, said = DONE[do]
    await SESSIONS.run(method, table, user.name)
    await auditing.note(request, said, user.name)


async def keys(request: Request) -> Response:
    """The keys of all users."""
    table = request.app.state.portal.authority.keys
    return rendering.page(request, "allkeys", keys=await SESSIONS.run(table.all), now=table.clock())


async def revoke(request: Request) -> Response:
    """Revoke anybody's key. Raises Refusal 404."""
    key = await SESSIONS.run(request.app.state.portal.authority.keys.revoke, request.path_params["id"])
    if key is None:
        raise Refusal(404, "unknown", "There is no such valid key.")
    await auditing.note(request, "key revoked", f"{key.name} of {key.user}", key.id)
    return rendering.redirect(request, "/admin/keys")


async def audit(request: Request) -> Response:
    """Who did what, the newest first. Raises Refusal 422."""
    word = queries.one(request.query_params, "word", "").replace("\0", "")[:100]
    number, table = queries.parse_int(request.query_params, "page", 1, MOST, 1), request.app.state.portal.authority.audit
    total, entries = await SESSIONS.run(table.count, word), await SESSIONS.run(table.page, word, number)
    facts = {
        "entries": entries,
        "word": word,
        "page_number": number,
        "pages": max(1, -(-total // PAGE)),
        "total": total,
        "actions": ACTIONS,
    }
    return rendering.page(request, "audit", **facts)
