"""Home, the products' pages, and an image's way to a product and into the history."""

import hashlib
import time
from typing import Any

from fastapi import FastAPI
from PIL import Image as Pillow
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from serving.auth.pool import SESSIONS
from serving.inputs import bodies, pictures
from serving.portal import answers, guard, history, rendering
from serving.portal.history import Image
from serving.portal.products import Product
from serving.problems import Refusal

LIMIT_MB, LIMIT_MEGAPIXELS = 25, 100  # of an upload; a product may allow less
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)  # the EXIF tag, and those that exchange width and height
GREY = ("1", "L", "LA", "I", "I;16", "F")


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
    product = _product(request)
    version = (await request.app.state.portal.services.versions())[product.name]
    return rendering.page(request, "product", product=product, version=version, limit=LIMIT_MB)


async def predict(request: Request) -> Response:
    """An image's answer as a part of the page, recorded in the user's history. Raises Refusal."""
    portal, product, user = request.app.state.portal, _product(request), request.user
    body, fields = await bodies.read_flag(request, LIMIT_MB, ("title",))
    image, kind = read(body.content, fields.get("title", ""))
    begun = time.perf_counter()
    answer = await portal.services.ask(product, body.content, kind, portal.sessions.token(user, request.cookies[guard.COOKIE]))
    milliseconds = (time.perf_counter() - begun) * 1000
    shown = answers.shown(product.name, answer)
    await SESSIONS.run(portal.history.add, user.id, product.name, image, shown, milliseconds)
    facts: dict[str, Any] = {"image": image, "shown": shown, "milliseconds": milliseconds, "product": product.name}
    return HTMLResponse(rendering.render(request, "answer", **facts, present=True), headers=rendering.HEADERS)


def _product(request: Request) -> Product:
    name, products = request.path_params["name"], request.app.state.portal.services.products()
    if found := next((product for product in products if product.name == name), None):
        return found
    raise Refusal(404, "unknown", f"{name[:40]!r} is no product here. Choose one of: {', '.join(each.name for each in products)}.")


def read(content: bytes, title: str) -> tuple[Image, str]:
    """The facts of an image by its header, and its media type; nothing is decoded. Raises Refusal."""
    opened = pictures.opened(content, LIMIT_MEGAPIXELS)
    width, height = opened.size[::-1] if _lies(opened) else opened.size
    named = "".join(letter if letter.isprintable() else " " for letter in title).strip()[: history.TITLE] or "image"
    kind = {"PNG": "image/png", "WEBP": "image/webp"}.get(opened.format or "", "image/jpeg")
    return Image(named, width, height, opened.mode not in GREY, len(content), hashlib.sha256(content).hexdigest()), kind


def _lies(opened: Pillow.Image) -> bool:
    """Does its EXIF say that it is to be turned by a quarter?"""
    try:
        return opened.getexif().get(ORIENTATION) in LYING
    except Exception:  # decoders raise what they like on broken bytes
        return False
