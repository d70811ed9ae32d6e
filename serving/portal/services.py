"""The products' services, asked over HTTP: bounded in time and size, and never another address than PORTAL_SERVICES names."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from serving.portal import figures
from serving.portal.products import PRODUCTS, Product
from serving.problems import Refusal

ANSWER_MB = 10  # of an answer
LOOK, CONNECT, ANSWER = 0.5, 3.0, 60.0  # seconds: for a look whether a service is ready, to connect, and between parts of an answer
PATIENT = 2.0  # seconds for what a service says of itself
FRESH = 2.0  # seconds that the services' state is remembered
CONNECTIONS = 32
BUSY = (429, 503)
PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp")


class Received(NamedTuple):
    """What a service answered: status, media type and content."""

    status: int
    kind: str
    body: bytes


def client() -> httpx.AsyncClient:
    """A client that follows no redirect and no proxy of the environment."""
    limits = httpx.Limits(
        max_connections=CONNECTIONS, max_keepalive_connections=8, keepalive_expiry=3
    )  # a service closes idle ones after 5 s
    return httpx.AsyncClient(timeout=httpx.Timeout(ANSWER, connect=CONNECT), limits=limits, trust_env=False)


class State(NamedTuple):
    """How a service is: its model and a version that it refuses, its figures; or why nothing is known."""

    name: str
    model: dict[str, str]
    refused: str | None
    figures: figures.Figures | None
    down: str = ""


class Absent(Refusal):
    """What a service does not have."""


class Services:
    """The products' services by name."""

    def __init__(self, addresses: Mapping[str, str], client: httpx.AsyncClient) -> None:
        self.addresses, self.client = addresses, client
        self._lock, self._looked, self._versions = asyncio.Lock(), -FRESH, dict[str, int | None]()

    def products(self) -> list[Product]:
        """The products that are reached from here."""
        return [product for product in PRODUCTS.values() if product.name in self.addresses]

    async def versions(self) -> dict[str, int | None]:
        """{product: the version that its service answers with, None where it does not answer}."""
        async with self._lock:
            if time.monotonic() - self._looked >= FRESH:
                found = await asyncio.gather(*map(self._version, self.addresses))
                self._versions, self._looked = dict(zip(self.addresses, found, strict=True)), time.monotonic()
        return self._versions

    async def _version(self, name: str) -> int | None:
        try:
            response = await self.client.get(f"{self.addresses[name]}/readyz", timeout=LOOK)
            return int(response.json()["model"]["version"]) if response.is_success else None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None

    async def states(self, token: str) -> list[State]:
        """How each service is, in the name of a token's user."""
        return list(await asyncio.gather(*(self._state(name, token) for name in self.addresses)))

    async def _state(self, name: str, token: str) -> State:
        try:
            health, metrics = await asyncio.gather(*(self._look(name, path, token) for path in ("/health", "/metrics")))
            said = json.loads(health)
            refused = said["refused"] and f"{said['refused']['version']}: {said['refused']['why']}"
            model = {key: str(value) for key, value in said["model"].items()}
            return State(name, model, refused, figures.parsed(metrics.decode()))
        except Refusal as refusal:
            return State(name, {}, None, None, refusal.detail)
        except (ValueError, KeyError, TypeError, RecursionError):
            return State(name, {}, None, None, "What it says of itself has a form that this portal does not know.")

    async def _look(self, name: str, path: str, token: str) -> bytes:
        """What is at a path of a service. Raises Refusal."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        try:
            async with self.client.stream("GET", self.addresses[name] + path, headers=headers, timeout=PATIENT) as response:
                body = await _read(response, name)
        except httpx.HTTPError:
            raise Refusal(502, "product down", f"{name} does not answer now.") from None
        if response.status_code == 404:
            raise Absent(404, "unknown", f"{name} has no {path}.")
        if response.status_code != 200:
            raise Refusal(502, "product down", f"{name} answers {response.status_code} to {path}.")
        return body

    async def read(self, name: str, path: str, token: str) -> bytes | None:
        """A file of a service; None where it has none. Raises Refusal where it does not answer."""
        try:
            return await self._look(name, path, token)
        except Absent:
            return None

    async def ask(self, product: Product, content: bytes, kind: str, token: str) -> dict[str, Any]:
        """The service's answer to an image of a media type, in the name of a token's user. Raises Refusal."""
        return _checked(
            product.name, await self._send(product, "POST", product.path, token, content=content, headers={"Content-Type": kind})
        )

    async def get(self, product: Product, path: str, token: str) -> dict[str, Any]:
        """The JSON at a path of a product's service. Raises Refusal."""
        return _checked(product.name, await self._send(product, "GET", path, token))

    async def flag(self, product: Product, content: bytes, fields: Mapping[str, str], token: str) -> dict[str, Any]:
        """Send an image with what it really shows. Raises Refusal."""
        files = {"image": ("image", content)}
        return _checked(product.name, await self._send(product, "POST", "/flag", token, data=dict(fields), files=files))

    async def page(self, product: Product, content: bytes, kind: str, number: int, token: str) -> Received:
        """A page of a document as an image. Raises Refusal."""
        found = await self._send(product, "POST", "/page", token, params={"page": number}, content=content, headers={"Content-Type": kind})
        return _picture(product.name, found)

    async def picture(self, product: Product, path: str, token: str) -> Received:
        """An image at a path of a product's service. Raises Refusal."""
        return _picture(product.name, await self._send(product, "GET", path, token))

    async def _send(self, product: Product, method: str, path: str, token: str, **more: Any) -> Received:
        """What the service answers, bounded in time and size. Raises Refusal."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", **more.pop("headers", {})}
        try:
            async with self.client.stream(method, self.addresses[product.name] + path, headers=headers, **more) as response:
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                return Received(response.status_code, kind, await _read(response, product.name))
        except httpx.TimeoutException:
            raise Refusal(504, "product too slow", f"{product.name} did not answer in {ANSWER:g} s. Send it again later.") from None
        except httpx.HTTPError:
            self._looked = -FRESH
            raise Refusal(502, "product down", f"{product.name} does not answer now. The other products do; try it again later.") from None


async def _read(response: httpx.Response, name: str) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        if (size := size + len(part)) > ANSWER_MB * 1e6:
            raise Refusal(502, "answer too large", f"{name} answered with more than {ANSWER_MB} MB. Send a smaller image.")
    return b"".join(parts)


def _picture(name: str, received: Received) -> Received:
    """An image of a kind that browsers show as nothing else. Raises Refusal."""
    if received.status == 200 and received.kind in PICTURES:
        return received
    _checked(name, received._replace(status=502 if received.status == 200 else received.status))
    raise Refusal(502, "no answer", f"{name} answered with something that is no image. Its log may say why.")


def _checked(name: str, received: Received) -> dict[str, Any]:
    """The answer. Raises Refusal: the service's own for what was sent, 502 where the service is at fault."""
    status = received.status
    try:
        answer = json.loads(received.body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Refusal(502, "no answer", f"{name} answered {status} with something that is no answer. Its log may say why.")
    if status in (200, 201):
        return answer
    if status in (401, 403):
        detail = f"{name} does not accept the portal's users. Its operator sets the portal's USERS_URL and AUTH_KEY for it."
        raise Refusal(502, "token refused", detail)
    known = status in BUSY or 400 <= status < 500
    raise Refusal(status if known else 502, str(answer.get("reason", "refused"))[:40], str(answer.get("detail", f"{name} failed."))[:500])
