"""One connection: its request's head and body arrive within limits, its answer is taken, and the end of the service loses no request.

A subclass of uvicorn's protocol for httptools, which has none of these limits (docs/decisions/0101).
"""

import asyncio
import json
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from serving import clients, problems
from serving.problems import Refusal, Refused

CLASS = "serving.connections:Connection"  # as uvicorn takes it
PROBES = frozenset({"/livez", "/healthz", "/readyz"})  # answered where other requests are refused, and without a token
HEAD_BYTES = 32_768  # of the request line and all headers; also of trailers and whatever else a body has beside its content
HEADERS = 256  # each takes a few hundred bytes of memory, however short it is
LINGER = 2.0  # seconds in which what a refused client still sends is read and dropped, so that the refusal reaches it
DRAIN = 10.0  # seconds after SIGTERM for what is half sent or half taken; answers that are being made have limit_seconds


class Limits(NamedTuple):
    """Seconds for a client."""

    head: float  # from the connection, or a request's first byte, to the end of its headers
    idle: float  # between two requests
    pause: float  # between two parts of a body
    body: float  # for all of it; limit_seconds of a family's config file is usually shorter
    stuck: float  # without taking anything of an answer, beyond what the system buffers


USUAL = Limits(head=10.0, idle=5.0, pause=20.0, body=120.0, stuck=60.0)
DRAINING = Limits(head=1.0, idle=1.0, pause=2.0, body=DRAIN, stuck=5.0)  # idle: a request may be on its way
NEW, HEAD, BODY, SENT = range(4)  # what the client has sent of its request: nothing yet, a part of the head, the head, all of it


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, with limits."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.ws_protocol_class = None  # no service has web sockets, and what they keep open has no limits
        self.phase, self.head_bytes, self.beside_bytes = NEW, 0, 0
        self.too_large = self.draining = self.refused = False
        self.begun = self.heard = self.ended = self.stuck_since = self.refused_at = self.drained_since = self.loop.time()
        self.untaken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or only probes where there are too many."""
        super().connection_made(transport)
        if not _clients_of(self).admit(self):
            self.app = _probes_only(self.app)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head is too large."""
        if self.refused:
            return
        self.heard = self.loop.time()
        if self.phase == BODY:
            self.beside_bytes += len(data)
        elif (left := HEAD_BYTES - self.head_bytes) < len(data):
            return self._feed_in_parts(data, left)
        else:
            self.head_bytes += len(data)
        super().data_received(data)
        if not self.refused and (self.too_large or self.beside_bytes > HEAD_BYTES):
            self._refuse(_too_large())

    def _feed_in_parts(self, data: bytes, left: int) -> None:
        """Parse as much as a head may have, and the rest only where the head has ended there."""
        self.head_bytes = HEAD_BYTES
        super().data_received(data[:left])
        if not self.refused and (self.too_large or (self.phase != BODY and self.head_bytes)):
            return self._refuse(_too_large())
        self.data_received(data[left:])

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.phase, self.begun = HEAD, self.heard

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one too many, or behind the body, is dropped."""
        if self.phase == BODY:
            return
        if len(self.headers) >= HEADERS:
            self.too_large = True
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request begins, unless its head is too large."""
        self.phase, self.beside_bytes = BODY, 0
        if self.too_large:
            return
        super().on_headers_complete()
        if self.draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.beside_bytes = 0
        if not self.too_large:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self.phase, self.head_bytes, self.beside_bytes = SENT, 0, 0
        if not self.too_large:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written: as uvicorn's, without a timer for each answer."""
        self.ended = self.loop.time()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that sends no more is still answered, where its request is complete."""
        if not self._working or self.phase == BODY or self.refused:
            return False
        self.cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        self._refuse(Refusal(400, "not http", f"{msg} Send HTTP/1.1."))

    def shutdown(self) -> None:
        """The service ends: the request that is being answered, or is on its way, is this connection's last."""
        self.draining, self.drained_since = True, self.loop.time()
        if self._working:
            self.cycle.keep_alive = False
        _clients_of(self).watch(clients.DRAINING)

    @property
    def _working(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def address(self) -> str:
        """The peer's, without its port."""
        return self.client[0] if self.client else ""

    @property
    def unfinished(self) -> bool:
        """Is its request incomplete?"""
        return self.phase != SENT

    @property
    def open(self) -> bool:
        """Has nobody closed it?"""
        return not self.transport.is_closing()

    def waiting(self) -> float | None:
        """The time since which the service waits for the client; None while the service works for it."""
        if self.untaken:
            return self.stuck_since
        if self.phase == BODY:
            return None if self.flow.read_paused else self.heard
        if self._working:
            return None
        return self.ended if self.phase == SENT else max(self.begun, self.ended)

    def evict(self) -> None:
        """Close it, for another's sake."""
        self.transport.abort()

    def expire(self) -> str | None:
        """End it where the client has been waited for too long; then the reason."""
        now, limits = self.loop.time(), DRAINING if self.draining else USUAL
        self._note_untaken(now)
        if self.untaken and (now - self.stuck_since > limits.stuck or self._overdue(now)):
            return self._drop("answer not taken")
        if not self.open:
            return None
        if self.refused:
            return self._drop(None) if now - self.refused_at > LINGER else None
        if self.phase == BODY:
            return self._expire_body(now, limits)
        if self._working:
            return self._drop("answer not taken") if self._overdue(now) and self.cycle.response_started else None
        return self._expire_idle(now, limits)

    def _overdue(self, now: float) -> bool:
        return self.draining and now - self.drained_since > DRAIN

    def _note_untaken(self, now: float) -> None:
        untaken = self.transport.get_write_buffer_size()
        if untaken != self.untaken:
            self.untaken, self.stuck_since = untaken, now

    def _expire_body(self, now: float, limits: Limits) -> str | None:
        if not self._working:  # answered already: the rest of the body is only dropped
            return self._drop("body too slow") if now - self.ended > limits.idle else None
        paused = not self.flow.read_paused and now - max(self.heard, self.drained_since) > limits.pause
        if paused or self._overdue(now) or now - self.begun > USUAL.body:
            self._refuse(
                Refusal(408, "body too slow", f"The body paused for {limits.pause:g} s, or took {limits.body:g} s. Send it again.")
            )
            return "body too slow"
        return None

    def _expire_idle(self, now: float, limits: Limits) -> str | None:
        if self.untaken:
            return None
        if self.phase == SENT:
            return self._drop(None) if now - max(self.ended, self.drained_since) > limits.idle else None
        if now - max(self.begun, self.ended, self.drained_since) <= limits.head:
            return None
        if self.phase == NEW:
            return self._drop("no request")
        self._refuse(Refusal(408, "head too slow", f"The request's head did not arrive in {limits.head:g} s. Send it again."))
        return "head too slow"

    def _drop(self, reason: str | None) -> str | None:
        """Close it at once where something is not taken, else in order."""
        (self.transport.abort if self.untaken or self._working else self.transport.close)()
        return reason

    def _refuse(self, refusal: Refusal) -> None:
        """Answer with a problem, unless an answer has begun; what comes after is dropped."""
        self.refused, self.refused_at = True, self.loop.time()
        begun = self._working and self.cycle.response_started
        if self._working:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if begun or self.pipeline:
            return self.transport.abort()
        self.flow.resume_reading()
        self.transport.write(_response(refusal))
        self.transport.write_eof()


def _too_large() -> Refusal:
    kilobytes = HEAD_BYTES // 1024
    return Refusal(431, "head too large", f"Address and headers are more than {kilobytes} kB, or more than {HEADERS} headers. Send fewer.")


def _response(refusal: Refusal) -> bytes:
    body = json.dumps(problems.problem(refusal)).encode()
    lines = [f"content-type: {problems.MEDIA_TYPE}", f"content-length: {len(body)}", "connection: close", "", ""]
    return STATUS_LINE[refusal.status] + "\r\n".join(lines).encode() + body


def _probes_only(app: ASGIApp) -> ASGIApp:
    """The application for a connection beyond the limit: probes are answered, all else is refused."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBES:
            return await app(scope, receive, send)
        refusal = Refusal(503, "busy", "Too many connections are open. Send it again in a second.", headers={"Connection": "close"})
        await Refused(refusal)(scope, receive, send)

    return limited


_CLIENTS: WeakKeyDictionary[ServerState, clients.Clients] = WeakKeyDictionary()


def _clients_of(connection: Connection) -> clients.Clients:
    """All connections of its server."""
    state = connection.server_state
    if state not in _CLIENTS:
        _CLIENTS[state] = clients.Clients(connection.loop, state.connections)  # type: ignore[arg-type]
    return _CLIENTS[state]
