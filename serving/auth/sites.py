"""Requests that another site's page has made a browser send: refused for every route that changes something, with or without sign-in.

Browsers name the site that a request comes from, and the host that it is sent to; programs name the host alone.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.auth import hosts
from serving.problems import Refusal, Refused

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
READ = frozenset({b"host", b"origin", b"sec-fetch-site", b"authorization"})


class OwnSite:
    """An application that is reached by its own names (hosts.py), and whose state no other site's page changes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.known = app, hosts.names()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            sent = {name: value.decode("latin-1") for name, value in scope["headers"] if name in READ}
            host = sent.get(b"host", "")
            if host and not hosts.allowed(host, self.known):
                return await Refused(_unknown(host))(scope, receive, send)
            if scope["method"] not in SAFE and not own(sent):
                return await Refused(_foreign(sent))(scope, receive, send)
        await self.app(scope, receive, send)


def own(sent: Mapping[bytes, str]) -> bool:
    """Do these headers say that the request comes from the service's own page, or from a program?

    A program is what sends a bearer token too: browsers send none by themselves. Where a proxy changes the port, the site is the same.
    """
    site, origin, host = sent.get(b"sec-fetch-site"), sent.get(b"origin"), sent.get(b"host", "")
    if sent.get(b"authorization", "").lower().startswith("bearer "):
        return True
    if site is None:
        return origin is None or _netloc(origin) == host.lower()
    return site in ("same-origin", "none") and (origin in (None, "null") or hosts.hostname(_netloc(origin or "")) == hosts.hostname(host))


def _netloc(origin: str) -> str:
    """Host and port of an origin; empty for `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _unknown(host: str) -> Refusal:
    detail = f"This service does not answer to the name {host[:80]!r}. Ask by its IP address, or let the operator set {hosts.VARIABLE}."
    return Refusal(421, "unknown host", detail)


def _foreign(sent: Mapping[bytes, str]) -> Refusal:
    origin, host = sent.get(b"origin", "unknown")[:80], sent.get(b"host", "")[:80]
    detail = f"This request comes from a page of another site ({origin}, not {host}). Send it from the service's own page."
    return Refusal(403, "another site", f"{detail} A proxy must pass on the Host header.")
