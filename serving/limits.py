"""How much at once, and for how long: beyond it a request is refused, and nothing grows."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.configs import Serving
from serving.problems import Refusal, Refused

BODIES_MB = 500  # megabytes of bodies at once, over all requests at work


class Limited:
    """An application that works on at most `queue` POST requests at once, and gives none more than `limit_seconds`.

    A request is at work from the moment its body is here: one that dawdles takes no place. The next one, or one whose body no
    longer fits in, is refused with 503 and Retry-After; one whose body does not arrive in time with 408.
    """

    def __init__(self, app: ASGIApp, limits: Serving) -> None:
        self.app, self.limits = app, limits
        self.at_work, self.megabytes = 0, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            return await self.app(scope, receive, send)
        exchange = _Exchange(self, receive, send)
        try:
            await self._timed(scope, exchange)
        finally:
            self.at_work, self.megabytes = self.at_work - exchange.received, self.megabytes - exchange.megabytes

    async def _timed(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            async with asyncio.timeout(self.limits.limit_seconds) as limit:
                await self.app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if not limit.expired():
                raise
            if not exchange.answered:
                await Refused(self._late(exchange))(scope, exchange.receive, exchange.send)

    def _late(self, exchange: "_Exchange") -> Refusal:
        allowed = f"{self.limits.limit_seconds:g} s are allowed"
        if exchange.received:
            return Refusal(503, "too slow", f"The answer took too long; {allowed}. Send it again in a second, or a smaller picture.")
        return Refusal(408, "body too slow", f"The body did not arrive in time; {allowed}. Send it again, or a smaller picture.")


class _Exchange:
    """How far one request has come, and what it holds."""

    def __init__(self, limited: Limited, receive: Receive, send: Send) -> None:
        self._limited, self._receive, self._send = limited, receive, send
        self.received = self.answered = False
        self.megabytes = 0.0

    async def receive(self) -> Message:
        """The next part of the body. Raises Refusal 503 where it does not fit in any more."""
        message = await self._receive()
        self._hold(len(message.get("body", b"")) / 1e6)
        if message["type"] == "http.request" and not self.received and not message.get("more_body", False):
            self._begin()
        return message

    def _hold(self, megabytes: float) -> None:
        """Count what is kept of a body: what is over the limit is thrown away as it comes."""
        megabytes = min(megabytes, max(0.0, self._limited.limits.limit_mb - self.megabytes))
        self.megabytes, self._limited.megabytes = self.megabytes + megabytes, self._limited.megabytes + megabytes
        if self._limited.megabytes > BODIES_MB:
            raise self._busy()

    def _begin(self) -> None:
        if self._limited.at_work >= self._limited.limits.queue:
            raise self._busy()
        self.received = True
        self._limited.at_work += 1

    def _busy(self) -> Refusal:
        return Refusal(503, "busy", f"{self._limited.at_work} requests are at work, and no more fit in. Send it again in a second.")

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)
