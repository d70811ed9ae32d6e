"""A service behind a proxy: which addresses are proxies (PROXIES), and below which path the service is reached (ROOT_PATH).

Only a named proxy is believed about where a request comes from. A request that another one forwards is refused where no token is required:
whoever opened the way may not know that nobody is asked to sign in.
"""

import ipaddress
import logging
import os
import re
from functools import lru_cache
from typing import Any

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from pipelines.errors import BadSetting
from serving.problems import Refusal, Refused

logger = logging.getLogger("atelier.serving")
VARIABLE, ROOT = "PROXIES", "ROOT_PATH"
FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip", b"via"})
PATH = re.compile(r"(?:/[\w.~-]+)+", re.ASCII)


def named() -> list[str]:
    """The addresses and networks of proxies. Raises BadSetting."""
    words = [word.strip() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()]
    for word in words:
        try:
            ipaddress.ip_network(word)
        except ValueError:
            allowed = "Set addresses or networks with commas between them, such as 127.0.0.1,10.0.0.0/8"
            raise BadSetting(f"{VARIABLE}={word[:80]!r} is no address of a proxy. {allowed}; unset, no proxy is believed.") from None
    return words


def root() -> str:
    """The path below which the service is reached, such as /digits; empty for none. Raises BadSetting."""
    path = os.environ.get(ROOT, "").rstrip("/")
    if path and not PATH.fullmatch(path):
        raise BadSetting(f"{ROOT}={path[:80]!r} is not a path. Set one such as /digits, of letters, digits and . _ ~ - between slashes.")
    return path


class Proxied:
    """An application that sees the client's address and scheme, where a named proxy says them.

    `open`: no token is required, so what an unnamed proxy forwards is refused with 403.
    """

    def __init__(self, app: ASGIApp, open: bool) -> None:
        self.app, self.open = app, open
        believing: Any = ProxyHeadersMiddleware  # its types are stricter than ASGI's
        self.believing = believing(app, named() or "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if FORWARDED.isdisjoint(name for name, _ in scope["headers"]):
            return await self.app(scope, receive, send)
        client = (scope.get("client") or ("",))[0]
        if client in self.believing.trusted_hosts:
            return await self.believing(scope, receive, send)
        if self.open:
            return await Refused(_unnamed(client))(scope, receive, send)
        _warn(client)
        await self.app(scope, receive, send)


def _unnamed(client: str) -> Refusal:
    detail = (
        f"This request came through a proxy at {client}, and the service asks nobody to sign in. Whoever runs it decides: "
        f"{VARIABLE}={client} names the proxy, and then a token is required unless AUTH=off."
    )
    return Refusal(403, "unnamed proxy", detail)


@lru_cache(maxsize=16)
def _warn(client: str) -> None:
    """Log it once for each address (cached)."""
    logger.warning("%s forwards requests, and %s does not name it: their clients' addresses are not believed", client, VARIABLE)


class BelowRoot:
    """An application whose paths may begin with the root, which some proxies pass on and others take off: it sees paths without it."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self.app, self.root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["root_path"] = self.root
            if scope["path"] == self.root:
                return await RedirectResponse(f"{self.root}/", 307)(scope, receive, send)
            if scope["path"].startswith(f"{self.root}/"):
                scope["path"] = scope["path"].removeprefix(self.root)
        await self.app(scope, receive, send)


class WithRoot:
    """An application that gets paths with the root, as ASGI has it."""

    def __init__(self, app: ASGIApp, root: str) -> None:
        self.app, self.root = app, root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["path"] = self.root + scope["path"]
        await self.app(scope, receive, send)
