"""What a product's page asks for besides the answer: corrections, pages of documents, pictures of a camera, engravings and lenses."""

from urllib.parse import quote

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.inputs import bodies, queries
from serving.portal import answers, asking, auditing, lenses, rendering, uploads
from serving.problems import Refusal

FRAME_MB = 2  # of a camera's picture
FLAGGED = ("correction", "prediction_id", "digest", "answer")


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/products/{name}/frame", frame, ["POST"])
    app.add_route("/products/{name}/page", page, ["POST"])
    app.add_route("/products/{name}/flag", choices, ["GET"])
    app.add_route("/products/{name}/flag", flag, ["POST"])
    app.add_route("/products/{name}/picture/{file:path}", picture, ["GET"])
    app.add_route("/products/{name}/lenses/{id}", lens, ["GET"])


async def frame(request: Request) -> Response:
    """A camera's picture: headline and boxes, which are not recorded in the history. Raises Refusal."""
    product = asking.named(request)
    if not product.live:
        raise Refusal(404, "unknown", f"{product.name} takes no camera's pictures one after another. Upload one.")
    body, _ = await bodies.read_flag(request, FRAME_MB, ())
    image, kind = uploads.read(body.content, "")
    shown = answers.shown(product.name, await request.app.state.portal.services.ask(product, body.content, kind, asking.token(request)))
    share = rendering.certainty(shown.confidence) if shown.confidence is not None else ""
    facts = {"headline": rendering.headline(shown), "share": share, "boxes": shown.boxes, "width": image.width, "height": image.height}
    return JSONResponse(facts, headers=rendering.HEADERS)


async def choices(request: Request) -> Response:
    """What an answer of the product may be corrected to, where that is one of a list. Raises Refusal."""
    product = asking.named(request)
    found = (await request.app.state.portal.services.get(product, "/flag", asking.token(request))).get("choices") or []
    return JSONResponse({"choices": [str(choice) for choice in found]}, headers=rendering.HEADERS)


async def flag(request: Request) -> Response:
    """Pass on an image with what it really shows, for training. Raises Refusal."""
    product = asking.named(request)
    body, fields = await bodies.read_flag(request, uploads.LIMIT_MB, FLAGGED)
    stored = await request.app.state.portal.services.flag(product, body.content, fields, asking.token(request))
    await auditing.note(request, "answer corrected", product.name, fields.get("prediction_id", ""))
    return JSONResponse({"count": int(stored.get("count", 0))}, 201, headers=rendering.HEADERS)


async def page(request: Request) -> Response:
    """A page of a document as an image. Raises Refusal."""
    product, number = asking.named(request), queries.parse_int(request.query_params, "page", 1, uploads.MOST_PAGES, 1)
    if not product.framed:
        raise Refusal(404, "unknown", f"{product.name} shows no pages.")
    body, _ = await bodies.read_flag(request, uploads.LIMIT_MB, ())
    _, kind = uploads.read(body.content, "", product.documents)
    found = await request.app.state.portal.services.page(product, body.content, kind, number, asking.token(request))
    return Response(found.body, media_type=found.kind, headers=rendering.HEADERS)


async def picture(request: Request) -> Response:
    """The picture of an engraving. Raises Refusal."""
    product, name = asking.named(request), request.path_params["file"]
    if ".." in name.split("/"):
        raise Refusal(404, "unknown", "There is no such picture.")
    found = await request.app.state.portal.services.picture(product, f"/picture/{quote(name)}", asking.token(request))
    return Response(found.body, media_type=found.kind, headers={**rendering.HEADERS, "Cache-Control": "private, max-age=3600"})


async def lens(request: Request) -> Response:
    """All that gravures knows of a lens. Raises Refusal."""
    product, word = asking.named(request), request.path_params["id"]
    if not (word.isdecimal() and word.isascii() and len(word) < 10):
        raise Refusal(404, "unknown", "There is no such lens.")
    found = await request.app.state.portal.services.get(product, f"/verre/{word}", asking.token(request))
    return rendering.page(request, "lens", lens=lenses.shown(found), product=product)
