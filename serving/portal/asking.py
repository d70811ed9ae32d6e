"""Home, the products' pages, and an image's way to a product and into the history."""

import time
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving.auth.pool import SESSIONS
from serving.inputs import bodies
from serving.portal import answers, guard, rendering, thumbnails, uploads
from serving.portal.products import PDF, TIFF, Product
from serving.problems import Refusal


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/", home, ["GET", "HEAD"])
    app.add_route("/about", about, ["GET"])
    app.add_route("/products/{name}", product_page, ["GET"])
    app.add_route("/products/{name}/predict", predict, ["POST"])


async def home(request: Request) -> Response:
    """The products as cards; one whose service does not answer says so."""
    services = request.app.state.portal.services
    return rendering.page(request, "home", products=services.products(), versions=await services.versions())


async def about(request: Request) -> Response:
    """What the portal does with images and names."""
    return rendering.page(request, "about")


async def product_page(request: Request) -> Response:
    """Where images are uploaded. Raises Refusal 404."""
    product = named(request)
    version = (await request.app.state.portal.services.versions())[product.name]
    allowed = await SESSIONS.run(request.app.state.portal.thumbnails.allowed, request.user.id)
    return rendering.page(request, "product", product=product, version=version, limit=uploads.LIMIT_MB, thumbnails=allowed)


async def predict(request: Request) -> Response:
    """An image's answer as a part of the page, recorded in the user's history. Raises Refusal."""
    portal, product = request.app.state.portal, named(request)
    body, fields = await bodies.read_flag(request, uploads.LIMIT_MB, ("title", "thumbnail"))
    small = thumbnails.read(fields.get("thumbnail", ""))
    image, kind = uploads.read(body.content, fields.get("title", ""), product.documents)
    begun = time.perf_counter()
    shown = answers.shown(product.name, await portal.services.ask(product, body.content, kind, token(request)))
    milliseconds = (time.perf_counter() - begun) * 1000
    image = image if image.width else image._replace(width=shown.pages[0].width, height=shown.pages[0].height)
    id = await SESSIONS.run(portal.history.add, request.user.id, product.name, image, shown, milliseconds)
    if kind not in (PDF, TIFF):
        await SESSIONS.run(portal.reviews.add, request.user.id, id, body.content, kind)
    if small:
        await SESSIONS.run(portal.thumbnails.add, request.user.id, id, small)
    facts: dict[str, Any] = {"image": image, "shown": shown, "milliseconds": milliseconds, "product": product, "entry_id": id}
    return HTMLResponse(rendering.render(request, "answer", **facts, present=kind != TIFF or product.framed), headers=rendering.HEADERS)


def token(request: Request) -> str:
    """What the products' services take this request's user for."""
    made: str = request.app.state.portal.sessions.token(request.user, request.cookies[guard.COOKIE])
    return made


def named(request: Request) -> Product:
    """The product of the address. Raises Refusal 404."""
    name, products = request.path_params["name"], request.app.state.portal.services.products()
    if found := next((product for product in products if product.name == name), None):
        return found
    raise Refusal(404, "unknown", f"{name[:40]!r} is no product here. Choose one of: {', '.join(each.name for each in products)}.")
