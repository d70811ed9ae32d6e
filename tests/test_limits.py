"""A full queue and a slow client are refused in words, and nothing grows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from pipelines.configs import Serving
from serving import limits
from serving.limits import Limited
from serving.telemetry import Telemetry


class Endpoint:
    """Reads the body, then answers when it is let go."""

    def __init__(self) -> None:
        self.go, self.at_work = asyncio.Event(), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        self.at_work += 1
        if scope["method"] == "POST":
            await self.go.wait()
        await PlainTextResponse("answered")(scope, receive, send)


def client(endpoint: Endpoint, **changes: Any) -> httpx.AsyncClient:
    page = Serving(**({"limit_mb": 10, "limit_megapixels": 25, "limit_seconds": 30, "queue": 2, "batch": 1} | changes))
    app = Telemetry(Limited(endpoint, page), "digits")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


async def at_work(endpoint: Endpoint, number: int) -> None:
    while endpoint.at_work < number:
        await asyncio.sleep(0)


def test_the_queue_is_bounded_and_says_when_to_come_again() -> None:
    async def ask() -> None:
        endpoint = Endpoint()
        async with client(endpoint) as asking:
            first = [asyncio.create_task(asking.post("/predict", content=b"x")) for _ in range(2)]
            await at_work(endpoint, 2)
            refused = await asking.post("/predict", content=b"x")
            assert (refused.status_code, refused.headers["retry-after"], refused.json()["reason"]) == (503, "1", "busy")
            assert (await asking.get("/health")).status_code == 200
            endpoint.go.set()
            assert [answer.status_code for answer in await asyncio.gather(*first)] == [200, 200]
            assert (await asking.post("/predict", content=b"x")).status_code == 200

    asyncio.run(ask())


@pytest.mark.parametrize("announced", [True, False])
def test_so_are_the_bytes_that_wait(monkeypatch: pytest.MonkeyPatch, announced: bool) -> None:
    monkeypatch.setattr(limits, "BODIES_MB", 15)

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(9_000_000)

    async def ask() -> None:
        endpoint = Endpoint()
        async with client(endpoint, queue=100) as asking:
            first = asyncio.create_task(asking.post("/predict", content=bytes(9_000_000) if announced else chunks()))
            await at_work(endpoint, 1)
            assert (await asking.post("/predict", content=bytes(9_000_000))).status_code == 503
            small = asyncio.create_task(asking.post("/predict", content=b"x"))
            await at_work(endpoint, 2)
            endpoint.go.set()
            assert [(await task).status_code for task in (first, small)] == [200, 200]
            assert (await asking.post("/predict", content=bytes(9_000_000))).status_code == 200

    asyncio.run(ask())


def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async def ask() -> httpx.Response:
        async with client(Endpoint(), limit_seconds=0.05) as asking:
            return await asking.post("/predict", content=never())

    refused = asyncio.run(ask())
    assert (refused.status_code, refused.json()["reason"]) == (408, "body too slow")
    assert "0.05 s" in refused.json()["detail"]


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    async def ask() -> tuple[httpx.Response, httpx.Response]:
        endpoint = Endpoint()
        async with client(endpoint, limit_seconds=0.05, queue=1) as asking:
            late = await asking.post("/predict", content=b"x")
            endpoint.go.set()
            return late, await asking.post("/predict", content=b"x")

    late, next_one = asyncio.run(ask())
    assert (late.status_code, late.json()["reason"], late.headers["retry-after"]) == (503, "too slow", "1")
    assert next_one.status_code == 200
