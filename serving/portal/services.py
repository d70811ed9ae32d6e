"""The products' services, asked over HTTP: bounded in time and size, and never another address than PORTAL_SERVICES names."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx

from serving.portal.products import PRODUCTS, Product
from serving.problems import Refusal

ANSWER_MB = 10  # of an answer
LOOK, CONNECT, ANSWER = 0.5, 3.0, 60.0  # seconds: for a look whether a service is ready, to connect, and between parts of an answer
FRESH = 2.0  # seconds that the services' state is remembered
CONNECTIONS = 32
BUSY = (429, 503)


def client() -> httpx.AsyncClient:
    """A client that follows no redirect and no proxy of the environment."""
    limits = httpx.Limits(
        max_connections=CONNECTIONS, max_keepalive_connections=8, keepalive_expiry=3
    )  # a service closes idle ones after 5 s
    return httpx.AsyncClient(timeout=httpx.Timeout(ANSWER, connect=CONNECT), limits=limits, trust_env=False)


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

    async def ask(self, product: Product, content: bytes, kind: str, token: str) -> dict[str, Any]:
        """The service's answer to an image of a media type, in the name of a token's user. Raises Refusal."""
        headers = {"Content-Type": kind, "Authorization": f"Bearer {token}", "Accept": "application/json"}
        try:
            async with self.client.stream(
                "POST", self.addresses[product.name] + product.path, content=content, headers=headers
            ) as response:
                status, body = response.status_code, await _read(response, product.name)
        except httpx.TimeoutException:
            raise Refusal(504, "product too slow", f"{product.name} did not answer in {ANSWER:g} s. Send it again later.") from None
        except httpx.HTTPError:
            self._looked = -FRESH
            raise Refusal(502, "product down", f"{product.name} does not answer now. The other products do; try it again later.") from None
        return _checked(product.name, status, body)


async def _read(response: httpx.Response, name: str) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        if (size := size + len(part)) > ANSWER_MB * 1e6:
            raise Refusal(502, "answer too large", f"{name} answered with more than {ANSWER_MB} MB. Send a smaller image.")
    return b"".join(parts)


def _checked(name: str, status: int, body: bytes) -> dict[str, Any]:
    """The answer. Raises Refusal: the service's own for what was sent, 502 where the service is at fault."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Refusal(502, "no answer", f"{name} answered {status} with something that is no answer. Its log may say why.")
    if status == 200:
        return answer
    if status in (401, 403):
        detail = f"{name} does not accept the portal's users. Its operator sets the portal's USERS_URL and AUTH_KEY for it."
        raise Refusal(502, "token refused", detail)
    known = status in BUSY or 400 <= status < 500
    raise Refusal(status if known else 502, str(answer.get("reason", "refused"))[:40], str(answer.get("detail", f"{name} failed."))[:500])
