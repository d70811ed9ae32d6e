"""The data scientist's pages: candidates side by side, runs and sweeps with links to MLflow, and the cards of what is served."""

import json
import re
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from pipelines import discovery
from serving.pages import markdown
from serving.portal import candidates, guard, rendering
from serving.portal.pool import FILES
from serving.portal.words import N_
from serving.problems import Refusal

FENCE = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)  # a card's head, for programs
HEADING = re.compile(r"^#", re.MULTILINE)  # one level below the page's own
STANDINGS = {"champion": N_("champion"), "challenger": N_("challenger")}
LINES = {
    "description": N_("Description"),
    "license": N_("Licence"),
    "citeAs": N_("Citation"),
    "url": N_("Source"),
    "version": N_("Version"),
}  # {key of a Croissant file: what it is}


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/science", first, ["GET"])
    app.add_route("/science/{family}", family_page, ["GET"])
    app.add_route("/science/{family}/cards", cards, ["GET"])


async def first(request: Request) -> Response:
    """The first family."""
    return rendering.redirect(request, f"/science/{discovery.names()[0]}")


async def family_page(request: Request) -> Response:
    """The candidates of a family, and its runs. Raises Refusal 404."""
    family, tracking = _family(request), request.app.state.portal.tracking
    found = await FILES.run(candidates.compared, family)
    facts = {"compared": found, "runs": await tracking.runs(family), "mlflow": tracking.address}
    return rendering.page(request, "science", family=family, families=discovery.names(), standings=STANDINGS, **facts)


async def cards(request: Request) -> Response:
    """The model card and the data card of what the family's service serves. Raises Refusal."""
    family, portal = _family(request), request.app.state.portal
    if family not in portal.services.addresses:
        raise Refusal(404, "unknown", f"{family} is not served here.")
    token = portal.sessions.token(request.user, request.cookies[guard.COOKIE])
    card = await portal.services.read(family, "/card.md", token)
    data = await portal.services.read(family, "/data/croissant.json", token)
    body = markdown.rendered(HEADING.sub("##", FENCE.sub("", card.decode(errors="replace")))) if card else None
    return rendering.page(request, "cards", family=family, families=discovery.names(), body=body, data=_data(data), lines=LINES)


def _family(request: Request) -> str:
    family: str = request.path_params["family"]
    if family in discovery.names():
        return family
    raise Refusal(404, "unknown", f"{family[:40]!r} is no family here. Choose one of: {', '.join(discovery.names())}.")


def _data(text: bytes | None) -> dict[str, Any]:
    """What a Croissant file says for people: texts by key, and "files", each with name, size and hash; empty where it says nothing."""
    try:
        known = json.loads(text or b"{}")
        words = {key: ", ".join(map(str, found)) if isinstance(found, list) else str(found) for key in LINES if (found := known.get(key))}
        files = [tuple(str(each.get(key, "")) for key in ("name", "contentSize", "sha256")) for each in known.get("distribution", [])]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {**words, "files": files} if words else {}
