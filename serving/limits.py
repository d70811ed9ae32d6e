"""How much at once, and for how long: beyond it a request is refused, and nothing grows."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.configs import Serving
from serving.problems import Refusal, Refused

BODIES_MB = 500  # megabytes of bodies at once, over all requests at work


class Limited:
    """An application that takes at most `queue` POST requests at once, and gives none more than `limit_seconds`.

    The next one is answered 503 with Retry-After; one whose body does not arrive in time 408. Everything else passes.
    """

    def __init__(self, app: ASGIApp, limits: Serving) -> None:
        self.app, self.limits = app, limits
        self.at_work, self.megabytes = 0, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            return await self.app(scope, receive, send)
        size = self._megabytes(scope)
        if self.at_work >= self.limits.queue or self.megabytes + size > BODIES_MB:
            return await Refused(self._busy())(scope, receive, send)
        self.at_work, self.megabytes = self.at_work + 1, self.megabytes + size
        try:
            await self._timed(scope, receive, send)
        finally:
            self.at_work, self.megabytes = self.at_work - 1, self.megabytes - size

    def _megabytes(self, scope: Scope) -> float:
        """What this body may take: its length as announced, or the limit."""
        length = Headers(scope=scope).get("content-length", "")
        return min(float(length) / 1e6 if length.isdecimal() else self.limits.limit_mb, self.limits.limit_mb)

    def _busy(self) -> Refusal:
        return Refusal(503, "busy", f"{self.at_work} requests are at work, and no more fit in. Send it again in a second.")

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(receive, send)
        try:
            async with asyncio.timeout(self.limits.limit_seconds) as limit:
                await self.app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if not limit.expired():
                raise
            if not exchange.answered:
                await Refused(self._late(exchange))(scope, receive, send)

    def _late(self, exchange: "_Exchange") -> Refusal:
        allowed = f"{self.limits.limit_seconds:g} s are allowed"
        if exchange.received:
            return Refusal(503, "too slow", f"The answer took too long; {allowed}. Send it again in a second, or a smaller picture.")
        return Refusal(408, "body too slow", f"The body did not arrive in time; {allowed}. Send it again, or a smaller picture.")


class _Exchange:
    """How far one request has come."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.received = self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.received = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)
