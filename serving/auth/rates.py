"""How many requests a user, a key and an address may send: RATE_LIMITS="user=600/minute, key=60/second, address=6000/minute".

Each process counts for itself, in memory, by a window that slides. Unset, a product's service counts nothing, and the portal by PORTAL.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.errors import BadSetting
from serving.inputs import senders
from serving.problems import Refusal, Refused

VARIABLE, OFF = "RATE_LIMITS", "off"
INSIDE = ("user", "key")  # known once who asks is known
KINDS = ("address", *INSIDE)
PORTAL = "user=600/minute, address=6000/minute"  # an office, or a proxy, may be behind an address
UNCOUNTED = "/static/"
Items = Mapping[str, Any]  # {kind: RateLimitItem}; `limits` is imported where something is counted
Page = Callable[[Request, Refusal], Response]


def allowed(default: str = OFF) -> Items:
    """The limit of each kind, by the setting or else the default. Raises BadSetting."""
    words = os.environ.get(VARIABLE) or default
    return {} if words == OFF else dict(_item(word.strip()) for word in words.split(","))


def _item(word: str) -> tuple[str, Any]:
    import limits

    kind, _, rate = word.partition("=")
    try:
        if kind in KINDS:
            return kind, limits.parse(rate)
    except ValueError:
        pass
    raise BadSetting(f"{VARIABLE}: {word[:40]!r} is not known. Set {OFF}, or some of {', '.join(f'{each}=600/minute' for each in KINDS)}.")


def rated(app: ASGIApp, items: Items, kinds: Iterable[str], page: Page = lambda _, over: Refused(over)) -> ASGIApp:
    """The application behind those of the limits that are of these kinds; `page` makes the answer to who sends more."""
    chosen = {kind: items[kind] for kind in kinds if kind in items}
    return Rated(app, chosen, page) if chosen else app


class Rated:
    """An application that answers 429 to who sends more; each answer says how much is left (RateLimit, RateLimit-Policy)."""

    def __init__(self, app: ASGIApp, items: Items, page: Page) -> None:
        from limits.storage import MemoryStorage
        from limits.strategies import SlidingWindowCounterRateLimiter

        self.app, self.items, self.page = app, items, page
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNCOUNTED):
            return await self.app(scope, receive, send)
        over, headers = self._counted(scope)
        if over:
            await self.page(Request(scope), over)(scope, receive, _with(headers, send))
        else:
            await self.app(scope, receive, _with(headers, send))

    def _counted(self, scope: Scope) -> tuple[Refusal | None, list[tuple[bytes, bytes]]]:
        """Count the request for each who sends it; the refusal where one has sent too many, and headers."""
        over, left, policies = None, [], []
        for kind, who in _senders(scope, self.items):
            item = self.items[kind]
            within = self._limiter.hit(item, kind, who)
            stats = self._limiter.get_window_stats(item, kind, who)
            seconds = max(1, math.ceil(stats.reset_time - time.time()))
            left.append(f'"{kind}";r={max(0, stats.remaining)};t={seconds}')
            policies.append(f'"{kind}";q={item.amount};w={item.get_expiry()}')
            over = over or (None if within else _refusal(kind, item, seconds))
        headers = [(b"ratelimit", ", ".join(left).encode()), (b"ratelimit-policy", ", ".join(policies).encode())]
        return over, headers if left else []


def _senders(scope: Scope, kinds: Iterable[str]) -> list[tuple[str, str]]:
    """Who sends it, by kind."""
    state, client = scope.get("state", {}), scope.get("client")
    known = {"address": senders.network(client[0] if client else "unknown"), "user": state.get("user"), "key": state.get("key")}
    return [(kind, str(known[kind])) for kind in kinds if known[kind]]


def _refusal(kind: str, item: Any, seconds: int) -> Refusal:
    words = f"This {kind} has sent more than {item.amount} requests in {item.get_expiry()} s. Try again in {seconds} s."
    return Refusal(429, "rate limit", words, headers={"Retry-After": str(seconds)})


def _with(headers: list[tuple[bytes, bytes]], send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return sent
