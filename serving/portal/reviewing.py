"""The page of the review queue: an answer at a time, judged with one key, for data scientists and administrators."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from pipelines import predictions
from pipelines.databases import NoDatabase
from serving.auth.pool import SESSIONS
from serving.inputs import bodies
from serving.portal import auditing, rendering
from serving.portal.products import PRODUCTS, Product
from serving.portal.reviews import VERDICTS, Reviews
from serving.problems import Refusal

SKIP = "skip"
FORM_MB = 0.001
LONGEST = 10  # digits of an id


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/review", page, ["GET"])
    app.add_route("/review/{id}", judge, ["POST"])
    app.add_route("/review/{id}/image", image, ["GET"])


def disagreeing(ids: Collection[str]) -> Collection[str]:
    """Those of the predictions that a challenger answered differently, where the products' prediction store is reached from here."""
    store = predictions.Store()
    try:
        return store.disagreeing(ids)
    except NoDatabase:
        return ()
    finally:
        store.close()


async def page(request: Request) -> Response:
    """The next answer, and how far the queue is. Raises Refusal 403."""
    reviews = _reviews(request)
    found = await SESSIONS.run(reviews.next, request.user.id)
    facts: dict[str, Any] = {"review": found, "progress": await SESSIONS.run(reviews.progress, request.user.id)}
    if found:
        product = PRODUCTS.get(found.entry.product) or Product(found.entry.product, "", "")
        facts |= {"product": product, "image": found.entry.image, "shown": found.entry.shown, "milliseconds": found.entry.milliseconds}
    return rendering.page(request, "review", **facts, present=True)


async def image(request: Request) -> Response:
    """The image of the answer that this reviewer has. Raises Refusal 403, and 404 of any other's."""
    found = await SESSIONS.run(_reviews(request).image, request.user.id, _number(request))
    if found is None:
        raise Refusal(404, "unknown", "You have no such answer to review. Go on with the next one.")
    return Response(found[0], media_type=found[1], headers=rendering.HEADERS)


async def judge(request: Request) -> Response:
    """Write down what the reviewer found, and go on; what another has judged meanwhile stays. Raises Refusal 403 or 422."""
    reviews, number = _reviews(request), _number(request)
    verdict = (await bodies.read_form(request, FORM_MB)).get("verdict", "")
    if verdict == SKIP:
        await SESSIONS.run(reviews.skip, request.user.id, number)
    elif verdict in VERDICTS:
        if await SESSIONS.run(reviews.judge, request.user.id, number, verdict):
            await auditing.note(request, "answer reviewed", str(number), verdict)
    else:
        raise Refusal(422, "bad verdict", f"verdict={verdict[:40]!r} is not known. Send one of: {', '.join((*VERDICTS, SKIP))}.")
    return rendering.redirect(request, "/review")


def _reviews(request: Request) -> Reviews:
    if request.user.role not in rendering.REVIEWERS:
        raise Refusal(
            403, "no reviewer", f"Only a {' or an '.join(rendering.REVIEWERS)} reviews answers. Ask an administrator for the role."
        )
    found: Reviews = request.app.state.portal.reviews
    return found


def _number(request: Request) -> int:
    word = request.path_params["id"]
    return int(word) if word.isdecimal() and word.isascii() and len(word) < LONGEST else 0
