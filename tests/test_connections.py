"""Clients that send or take nothing are let go, heads are bounded, the end loses no request: uvicorn, with its clock moved."""

import asyncio
import json
import random
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from serving import clients, connections
from serving.connections import DRAINING, HEAD_BYTES, HEADERS, USUAL
from serving.server import Server

LARGE = 30_000_000  # bytes: more than the buffers of a connection take
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be moved."""

    moved = 0.0

    def time(self) -> float:
        return super().time() + self.moved


class Service:
    """A server of an application that reads the body, and answers /later when it is let go and /large at length."""

    def __init__(self) -> None:
        self.go, self.asked, self.gone = asyncio.Event(), 0, 0
        config = uvicorn.Config(self.app, port=0, http=connections.CLASS, interface="asgi3", lifespan="off", log_config=None)
        self.server = Server(config)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.loop = asyncio.get_running_loop()
        self.serving = asyncio.create_task(self.server._serve([self.listening]))

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        message: Message = {"more_body": scope["method"] == "POST"}
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone += 1
                return
        if scope["path"] == "/later":
            await self.go.wait()
        body = bytes(LARGE) if scope["path"] == "/large" else scope["path"].encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def client(self, sent: bytes = b"", address: str = "127.0.0.1") -> "Client":
        reader, writer = await asyncio.open_connection(*self.listening.getsockname(), local_addr=(address, 0))
        writer.write(sent)
        await settled()
        return Client(reader, writer)

    async def passes(self, seconds: float) -> None:
        """Move the clock, a look at the clients at a time."""
        for _ in range(int(seconds / 0.25)):
            self.loop.moved += 0.25  # type: ignore[attr-defined]
            await settled()

    @property
    def connected(self) -> int:
        return len(self.server.server_state.connections)

    async def ends(self) -> None:
        """SIGTERM, and the end begins."""
        await self.closes()
        while not all(connection.draining for connection in self.server.server_state.connections):  # type: ignore[union-attr]
            await settled()

    async def closes(self) -> None:
        """SIGTERM, and the event loop no longer accepts."""
        self.server.should_exit = True
        while self.listening.fileno() != -1:
            await self.passes(0.25)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, str, bytes]:
        """The next answer: its status, head and body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split()[0])
        return int(head.split()[1]), head, await self.reader.readexactly(length)

    async def problem(self) -> tuple[int, str]:
        """The status and reason of a refusal, after which the connection is closed."""
        status, head, body = await self.answer()
        assert "connection: close" in head
        assert await self.reader.read() == b""
        return status, json.loads(body)["reason"]

    async def closed(self) -> bool:
        """Has the service closed the connection, without a word?"""
        try:
            async with asyncio.timeout(None) as limit:
                limit.reschedule(asyncio.get_running_loop().time())
                return await self.reader.read() == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


async def settled() -> None:
    """What was sent has arrived, and what waits for the clock has run."""
    for _ in range(20):
        await asyncio.sleep(0)


def served(test: Callable[[Service], Awaitable[None]]) -> None:
    async def run() -> None:
        service = Service()
        try:
            while not service.server.started:
                await asyncio.sleep(0)
            await test(service)
        finally:
            service.go.set()
            service.server.should_exit = service.server.force_exit = True
            service.serving.cancel()
            with suppress(asyncio.CancelledError):
                await service.serving

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(run())


def test_a_client_that_sends_nothing_is_closed() -> None:
    async def test(service: Service) -> None:
        client = await service.client()
        await service.passes(USUAL.head - 1)
        assert not await client.closed()
        await service.passes(3)
        assert await client.closed()
        assert service.connected == 0

    served(test)


@pytest.mark.parametrize(
    "sent", [GET[:5], GET[:-5], GET[:-2], GET + GET[:-2]], ids=["an address", "half a line", "a line", "a second head"]
)
def test_half_a_head_is_refused_in_words_however_often_a_byte_comes(sent: bytes) -> None:
    async def test(service: Service) -> None:
        client = await service.client(sent)
        if sent.startswith(GET):
            assert (await client.answer())[0] == 200
        for _ in range(int(USUAL.head) + 2):
            client.writer.write(b"X" if service.connected else b"")
            await service.passes(1)
        assert await client.problem() == (408, "head too slow")
        await service.passes(connections.LINGER + 1)
        assert service.connected == 0

    served(test)


def test_a_body_that_pauses_is_refused_and_one_that_goes_on_is_read() -> None:
    async def test(service: Service) -> None:
        pausing, going_on = await service.client(POST + b"12345"), await service.client(POST)
        for _ in range(10):
            await service.passes(USUAL.pause / 8)
            going_on.writer.write(b"x")
        await settled()
        assert await pausing.problem() == (408, "body too slow")
        assert (await going_on.answer())[0] == 200
        assert service.gone == 1  # the application was told

    served(test)


def test_a_body_has_an_end_however_slow_it_comes() -> None:
    async def test(service: Service) -> None:
        client = await service.client(POST.replace(b"10", b"10000"))
        for _ in range(int(USUAL.body / 5) + 1):
            client.writer.write(b"x")
            await service.passes(5)
        assert await client.problem() == (408, "body too slow")

    served(test)


def test_the_body_of_an_answered_request_is_not_waited_for() -> None:
    async def test(service: Service) -> None:
        client = await service.client(POST.replace(b"POST", b"GET"))
        assert (await client.answer())[0] == 200
        for _ in range(9):
            client.writer.write(b"x")
            await service.passes(2)
        assert await client.closed()

    served(test)


def test_a_client_that_takes_nothing_is_closed_and_one_that_reads_slowly_is_not() -> None:
    async def test(service: Service) -> None:
        large = GET.replace(b"/ ", b"/large ", 1)
        stuck, slow = await service.client(large), await service.client(large)
        for _ in range(10):
            await service.passes(USUAL.stuck / 5)
            await slow.reader.readexactly(2_000_000)
        assert service.connected == 1
        assert len(await stuck.reader.read()) < LARGE

    served(test)


def test_a_kept_connection_is_closed_when_nothing_more_is_asked() -> None:
    async def test(service: Service) -> None:
        client = await service.client(GET)
        for _ in range(3):
            assert (await client.answer())[0] == 200
            await service.passes(USUAL.idle - 1)
            client.writer.write(GET)
            await settled()
        assert (await client.answer())[0] == 200
        await service.passes(USUAL.idle + 2)
        assert await client.closed()

    served(test)


def test_an_answer_that_takes_time_is_waited_for() -> None:
    async def test(service: Service) -> None:
        client = await service.client(GET.replace(b"/ ", b"/later ", 1))
        await service.passes(100)
        service.go.set()
        assert (await client.answer())[0] == 200

    served(test)


def test_a_client_that_closes_its_sending_side_is_answered() -> None:
    async def test(service: Service) -> None:
        client = await service.client(GET.replace(b"/ ", b"/later ", 1) + GET)
        client.writer.write_eof()
        await settled()
        service.go.set()
        assert [await client.answer() for _ in range(2)] and await client.reader.read() == b""
        half = await service.client(POST)
        half.writer.write_eof()
        await settled()
        assert await half.closed()

    served(test)


# heads


MANY = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: x\r\n" * HEADERS
HEADS = {
    "one value": b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES,
    "one name": b"GET / HTTP/1.1\r\n" + b"x" * HEAD_BYTES,
    "the address": b"GET /" + b"x" * HEAD_BYTES,
    "many headers": MANY,
    "many headers, and the end": MANY + b"\r\n",
    "large headers, and the end": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: %s\r\n" % (i, b"x" * 1000) for i in range(40)) + b"\r\n",
    "empty lines": b"\r\n" * HEAD_BYTES,
    "trailers": CHUNKED + b"1\r\nx\r\n0\r\n" + b"X: x\r\n" * HEAD_BYTES,
    "one trailer": CHUNKED + b"1\r\nx\r\n0\r\nX: " + b"x" * 2 * HEAD_BYTES,
    "a chunk's extension": CHUNKED + b"1;" + b"x" * 2 * HEAD_BYTES,
}


@pytest.mark.parametrize("piece", [100, 5_000, 1_000_000])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_an_endless_head_is_refused_and_what_follows_is_dropped(head: bytes, piece: int) -> None:
    async def test(service: Service) -> None:
        client = await service.client()
        for start in range(0, len(head), piece):
            client.writer.write(head[start : start + piece])
            if start % 5_000 == 0:
                await settled()
        await settled()
        client.writer.write(b"x" * 1_000_000)
        await settled()
        assert await client.problem() in ((431, "head too large"), (400, "not http"))
        assert service.connected == 1
        await service.passes(connections.LINGER + 1)
        assert service.connected == 0

    served(test)


def test_the_largest_head_is_read() -> None:
    async def test(service: Service) -> None:
        start = b"GET /?"
        end = b" HTTP/1.1\r\nHost: x\r\n" + b"X: x\r\n" * (HEADERS - 1) + b"\r\n"
        client = await service.client(start + b"x" * (HEAD_BYTES - len(start + end)) + end)
        assert (await client.answer())[0] == 200
        client.writer.write(POST.replace(b"10", b"1000000") + bytes(1_000_000) + GET)
        assert [(await client.answer())[0] for _ in range(2)] == [200, 200]

    served(test)


@pytest.mark.parametrize("seed", range(10))
def test_requests_are_read_however_they_are_cut(seed: int) -> None:
    cut = random.Random(seed)  # noqa: S311
    requests = [
        GET,
        POST + b"0123456789",
        CHUNKED + b"3;a=b\r\nabc\r\n0\r\nX: trailer\r\n\r\n",
        GET[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
    ]
    sent = cut.choices(requests, k=20)

    async def test(service: Service) -> None:
        client, stream = await service.client(), b"".join(sent)
        while stream:
            size = cut.choice([1, 10, 1_000, 50_000])
            client.writer.write(stream[:size])
            stream = stream[size:]
            await asyncio.sleep(0)
        assert [(await client.answer())[0] for _ in sent] == [200] * len(sent)

    served(test)


def test_a_refusal_of_what_is_not_http_is_a_problem() -> None:
    async def test(service: Service) -> None:
        assert await (await service.client(b"EHLO x\r\n\r\n")).problem() == (400, "not http")

    served(test)


# too many clients


def test_silent_clients_give_way_to_others_and_a_kept_connection_that_works_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "most", lambda _: 10)

    async def test(service: Service) -> None:
        working = await service.client(GET.replace(b"/ ", b"/later ", 1))
        silent = [await service.client() for _ in range(30)]
        assert service.connected <= 10
        asked = await service.client(GET)
        assert (await asked.answer())[0] == 200
        assert [await client.closed() for client in silent[:20]] == [True] * 20
        service.go.set()
        assert (await working.answer())[0] == 200

    served(test)


def test_one_address_does_not_take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "most", lambda _: 10)

    async def test(service: Service) -> None:
        [await service.client(GET[:5]) for _ in range(9)]
        assert service.connected == 5

    served(test)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_who_floods_a_service_closes_no_connection_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "most", lambda _: 10)

    async def test(service: Service) -> None:
        slow = await service.client(POST, "127.0.0.2")
        kept = await service.client(GET, "127.0.0.3")
        for _ in range(50):
            await service.client()
            await service.client(GET)
        slow.writer.write(b"0123456789")
        kept.writer.write(GET)
        assert [(await client.answer())[0] for client in (slow, kept, kept)] == [200] * 3

    served(test)


def test_probes_are_answered_where_all_others_are_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "most", lambda _: 4)

    async def test(service: Service) -> None:
        working = [await service.client(GET.replace(b"/ ", b"/later ", 1)) for _ in range(4)]
        assert await (await service.client(GET)).problem() == (503, "busy")
        for path in connections.PROBES:
            assert (await (await service.client(GET.replace(b"/", path.encode(), 1))).answer())[0] == 200
        service.go.set()
        assert [(await client.answer())[0] for client in working] == [200] * 4
        assert (await (await service.client(GET)).answer())[0] == 200

    served(test)


def test_the_limit_follows_the_descriptors() -> None:
    assert clients.LEAST <= clients.most(0) < clients.descriptors() - clients.backlog()


# the end


def test_a_request_on_a_kept_connection_is_answered_after_sigterm_as_its_last() -> None:
    async def test(service: Service) -> None:
        client, idle = [await service.client(GET) for _ in range(2)]
        assert "connection: close" not in (await client.answer())[1] + (await idle.answer())[1]
        await service.ends()
        client.writer.write(GET)
        status, head, _ = await client.answer()
        assert status == 200 and "connection: close" in head
        assert await client.reader.read() == b""
        await service.passes(DRAINING.idle + 0.5)
        assert await idle.closed()
        await service.serving

    served(test)


def test_who_has_connected_before_the_end_is_answered() -> None:
    async def test(service: Service) -> None:
        address = service.listening.getsockname()
        await service.closes()
        waiting = socket.create_connection(address)
        waiting.sendall(GET)
        await service.passes(1)
        status, head, _ = await Client(*await asyncio.open_connection(sock=waiting)).answer()
        assert status == 200 and "connection: close" in head
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)

    served(test)


@pytest.mark.parametrize("sent", [b"", GET[:9], POST + b"x", GET.replace(b"/ ", b"/large ", 1)], ids=["nothing", "head", "body", "answer"])
def test_clients_that_send_or_take_nothing_do_not_hold_the_end(sent: bytes) -> None:
    async def test(service: Service) -> None:
        await service.client(sent)
        await service.ends()
        await service.passes(DRAINING.stuck + 1)
        assert service.serving.done()

    served(test)


def test_those_that_send_or_take_a_little_are_not_waited_for_beyond_the_limit() -> None:
    async def test(service: Service) -> None:
        sending, taking = await service.client(POST.replace(b"10", b"1000")), await service.client(GET.replace(b"/ ", b"/large ", 1))
        await service.ends()
        for _ in range(int(connections.DRAIN) + 3):
            sending.writer.write(b"x")
            with suppress(ConnectionError):
                await taking.reader.read(500_000)
            await service.passes(1)
        assert service.serving.done()

    served(test)


def test_an_answer_that_is_being_made_is_waited_for_at_the_end() -> None:
    async def test(service: Service) -> None:
        client = await service.client(GET.replace(b"/ ", b"/later ", 1))
        await service.ends()
        await service.passes(connections.DRAIN + 2)
        service.go.set()
        status, head, _ = await client.answer()
        assert status == 200 and "connection: close" in head
        await service.passes(1)
        assert service.serving.done()

    served(test)
