"""Limits of each service: requests at work, megabytes of bodies, and seconds for each request."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.configs import Serving
from serving.problems import Refusal, Refused

BODIES_MB = 500  # megabytes of bodies in memory, over all requests


class Limited:
    """An application that works on at most `queue` POST requests at once, each at most `limit_seconds` long; others get 503 or 408.

    A request is at work once its body has arrived: a slow client takes no place.
    """

    def __init__(self, app: ASGIApp, limits: Serving) -> None:
        self.app, self.limits = app, limits
        self.at_work, self.megabytes = 0, 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            return await self.app(scope, receive, send)
        exchange = _Exchange(self, receive, send)
        try:
            async with asyncio.timeout(self.limits.limit_seconds) as limit:
                await self.app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if not limit.expired():
                raise
            if not exchange.answered:
                await Refused(self._timed_out(exchange))(scope, exchange.receive, exchange.send)
        finally:
            self.at_work, self.megabytes = self.at_work - exchange.received, self.megabytes - exchange.megabytes

    def _timed_out(self, exchange: "_Exchange") -> Refusal:
        allowed = f"{self.limits.limit_seconds:g} s are allowed. Send it again, or a smaller picture."
        if exchange.received:
            return Refusal(503, "too slow", f"The answer took too long; {allowed}")
        return Refusal(408, "body too slow", f"The body did not arrive in time; {allowed}")


class _Exchange:
    """The progress of one request, and what it holds."""

    def __init__(self, limited: Limited, receive: Receive, send: Send) -> None:
        self._limited, self._receive, self._send = limited, receive, send
        self.received = self.answered = False
        self.megabytes = 0.0

    async def receive(self) -> Message:
        """The next part of the body. Raises Refusal 503 over a limit."""
        message = await self._receive()
        limited, size = self._limited, len(message.get("body", b"")) / 1e6
        size = min(size, max(0.0, limited.limits.limit_mb - self.megabytes))  # beyond the limit the body is dropped as it comes
        self.megabytes, limited.megabytes = self.megabytes + size, limited.megabytes + size
        complete = message["type"] == "http.request" and not self.received and not message.get("more_body", False)
        if limited.megabytes > BODIES_MB or (complete and limited.at_work >= limited.limits.queue):
            raise Refusal(503, "busy", f"{limited.at_work} requests are at work, and no more are allowed. Send it again in a second.")
        if complete:
            self.received = True
            limited.at_work += 1
        return message

    async def send(self, message: Message) -> None:
        self.answered = True
        await self._send(message)
