"""A full queue and a slow client are refused in words, and nothing grows."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from prometheus_client import REGISTRY

from pipelines.configs import Serving
from serving import limits, problems
from serving.limits import Limited
from serving.telemetry import Telemetry


class Endpoint:
    """POST /predict reads the body, then answers when it is let go; GET answers at once."""

    def __init__(self) -> None:
        self.go, self.at_work, self.app = asyncio.Event(), 0, FastAPI()
        problems.handle(self.app)
        self.app.add_api_route("/predict", self.predict, methods=["POST"])
        self.app.add_api_route("/health", self.health)

    async def predict(self, request: Request) -> str:
        await request.body()
        self.at_work += 1
        await self.go.wait()
        return "answered"

    async def health(self) -> str:
        return "well"


def client(endpoint: Endpoint, **changes: Any) -> httpx.AsyncClient:
    page = Serving(**({"limit_mb": 10, "limit_megapixels": 25, "limit_seconds": 30, "queue": 2, "batch": 1} | changes))
    app = Telemetry(Limited(endpoint.app, page), "digits")
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


def test_so_are_the_bytes_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODIES_MB", 15)

    async def ask() -> None:
        endpoint = Endpoint()
        async with client(endpoint, queue=100) as asking:
            first = asyncio.create_task(asking.post("/predict", content=bytes(9_000_000)))
            await at_work(endpoint, 1)
            assert (await asking.post("/predict", content=bytes(9_000_000))).status_code == 503
            small = asyncio.create_task(asking.post("/predict", content=b"x"))
            await at_work(endpoint, 2)
            endpoint.go.set()
            assert [(await task).status_code for task in (first, small)] == [200, 200]
            assert (await asking.post("/predict", content=bytes(9_000_000))).status_code == 200

    asyncio.run(ask())


async def never() -> AsyncIterator[bytes]:
    yield b"x"
    await asyncio.Event().wait()


def test_bodies_that_do_not_arrive_take_no_place() -> None:
    async def ask() -> int:
        endpoint = Endpoint()
        endpoint.go.set()
        async with client(endpoint) as asking:
            idle = [asyncio.create_task(asking.post("/predict", content=never())) for _ in range(5)]
            await asyncio.sleep(0)
            answer = await asking.post("/predict", content=b"x")
            for task in idle:
                task.cancel()
            return answer.status_code

    assert asyncio.run(ask()) == 200


def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    async def ask() -> httpx.Response:
        async with client(Endpoint(), limit_seconds=0.05) as asking:
            return await asking.post("/predict", content=never())

    refused = asyncio.run(ask())
    assert (refused.status_code, refused.json()["reason"]) == (408, "body too slow")
    assert "0.05 s" in refused.json()["detail"]


def test_an_answer_that_takes_too_long_is_given_up_and_its_place_is_free() -> None:
    async def ask() -> tuple[httpx.Response, int]:
        limited = Limited(Endpoint().app, Serving(limit_mb=10, limit_megapixels=25, limit_seconds=0.3, queue=1, batch=1))
        transport = httpx.ASGITransport(Telemetry(limited, "digits"))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as asking:
            return await asking.post("/predict", content=b"x"), limited.at_work

    late, held = asyncio.run(ask())
    assert (late.status_code, late.json()["reason"], late.headers["retry-after"]) == (503, "too slow", "1")
    assert held == 0


def test_a_refusal_for_want_of_room_is_counted_where_it_was_asked() -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("atelier_requests_total", {"family": "digits", "path": "/predict", "status": "503"}) or 0

    async def ask() -> None:
        endpoint = Endpoint()
        async with client(endpoint, queue=1) as asking:
            first = asyncio.create_task(asking.post("/predict", content=b"x"))
            await at_work(endpoint, 1)
            await asking.post("/predict", content=b"x")
            endpoint.go.set()
            await first

    before = counted()
    asyncio.run(ask())
    assert counted() == before + 1
