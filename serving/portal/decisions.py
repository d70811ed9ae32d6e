"""The page of decisions: a time line of all ledgers, and the forms that roll back and challenge."""

from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from pipelines import discovery
from serving.inputs import bodies
from serving.portal import auditing, ledgers, refusals, rendering
from serving.portal.ledgers import Ledger
from serving.portal.pool import FILES
from serving.portal.words import N_
from serving.problems import Refusal

LIMIT_MB = 0.01  # of a form
LONGEST = 300  # characters of a reason
NONE = "none"
EVENTS = {
    "promote": N_("promoted"),
    "rollback": N_("rolled back to"),
    "refuse": N_("refused"),
    "challenge": N_("challenger"),
    "merge": N_("merged"),
}


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/admin/decisions", listed, ["GET"])
    app.add_route("/admin/decisions/{family}/rollback", rollback, ["POST"])
    app.add_route("/admin/decisions/{family}/challenge", challenge, ["POST"])


async def listed(request: Request) -> Response:
    """The time line, and a form for each family."""
    return await _page(request)


async def _page(request: Request, status: int = 200, **facts: Any) -> Response:
    families = discovery.names() if ledgers.present() else []
    decided = await FILES.run(ledgers.decisions, families)
    known = [await FILES.run(ledgers.read, family) for family in families]
    facts |= {"decisions": decided, "ledgers": [each for each in known if each.head], "events": EVENTS, "present": ledgers.present()}
    return rendering.page(request, "decisions", status, **facts, longest=LONGEST)


async def rollback(request: Request) -> Response:
    """Make an earlier version the champion again. Raises Refusal."""
    known, form, why = await _asked(request)
    version = form.get("version", "")
    if version not in map(str, known.versions):
        raise Refusal(422, "unknown version", f"{known.family} has no version {version[:20]!r}.")
    words = ("rollback", known.family, "--to", version, f"--why={why}", f"--by={request.user.name}")
    return await _decide(request, known, form, "rolled back", f"to version {version}: {why}", words)


async def challenge(request: Request) -> Response:
    """Set a challenger, or take it away. Raises Refusal."""
    known, form, why = await _asked(request)
    candidate = form.get("candidate", "")
    if candidate not in (*known.candidates, NONE):
        raise Refusal(422, "unknown candidate", f"{candidate[:60]!r} is no candidate of {known.family}.")
    words = ("challenge", known.family, "--candidate", candidate, f"--why={why}", f"--by={request.user.name}")
    return await _decide(request, known, form, "challenged", f"{candidate}: {why}", words)


async def _asked(request: Request) -> tuple[Ledger, dict[str, str], str]:
    """The ledger of the family, the form, and its reason. Raises Refusal."""
    family = request.path_params["family"]
    if not ledgers.present():
        raise Refusal(409, "no working tree", ledgers.NO_TREE)
    if family not in discovery.names():
        raise Refusal(404, "unknown", f"{family[:40]!r} is no family here.")
    form = await bodies.read_form(request, LIMIT_MB)
    why = " ".join(form.get("why", "").split())
    if not why or len(why) > LONGEST or not why.isprintable():
        raise Refusal(422, "no reason", f"A decision has a reason, of 1 to {LONGEST} characters.")
    return await FILES.run(ledgers.read, family), form, why


async def _decide(request: Request, known: Ledger, form: dict[str, str], done: str, detail: str, words: tuple[str, ...]) -> Response:
    try:
        said = await request.app.state.portal.decider.decide(known.family, form.get("head", ""), *words)
    except Refusal as refusal:
        return await _page(request, refusal.status, wrong=refusals.detail(refusal))
    await auditing.note(request, done, known.family, detail)
    return await _page(request, said=said)
