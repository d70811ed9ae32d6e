"""The page of a user's keys for programs."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from serving.auth.keys import MOST, BadKey
from serving.auth.pool import SESSIONS
from serving.inputs import bodies
from serving.portal import auditing, rendering
from serving.portal.words import N_, _, language
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
DAYS = (30, 90, 365)
RULES = N_("A key has a name, and is for one product at least. At most %(most)s are valid at once.")


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/keys", listed, ["GET"])
    app.add_route("/keys", make, ["POST"])
    app.add_route("/keys/{id}/revoke", revoke, ["POST"])


async def listed(request: Request) -> Response:
    """The user's keys, and a form for another."""
    return await _page(request, revoked="revoked" in request.query_params)


async def make(request: Request) -> Response:
    """Make a key, and show it this once."""
    form = await bodies.read_form(request, LIMIT_MB)
    products = [product.name for product in request.app.state.portal.services.products() if f"for-{product.name}" in form]
    name, days = form.get("name", "").strip(), form.get("days", "")
    try:
        keys = request.app.state.portal.authority.keys
        key, text = await SESSIONS.run(keys.add, request.user, name, products, int(days) if days in map(str, DAYS) else 0)
    except BadKey as fault:
        wrong = str(fault) if language() == "en" else _(RULES, most=MOST)
        return await _page(request, 400, wrong=wrong, name=name, chosen=products)
    await auditing.note(request, "key made", key.name, f"{key.id} for {', '.join(products)}, {days} days")
    return await _page(request, made=key, text=text)


async def revoke(request: Request) -> Response:
    """Revoke one of the user's own keys. Raises Refusal 404."""
    key = await SESSIONS.run(request.app.state.portal.authority.keys.revoke, request.path_params["id"], request.user.id)
    if key is None:
        raise Refusal(404, "unknown", "You have no such valid key.")
    await auditing.note(request, "key revoked", key.name, key.id)
    return rendering.redirect(request, "/keys?revoked=1")


async def _page(request: Request, status: int = 200, **facts: Any) -> Response:
    portal = request.app.state.portal
    keys = await SESSIONS.run(portal.authority.keys.of, request.user.id)
    shared = {"keys": keys, "now": portal.authority.keys.clock(), "products": portal.services.products(), "lasting": DAYS, "most": MOST}
    return rendering.page(request, "keys", status, **shared, **facts)
