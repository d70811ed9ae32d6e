"""The pages as services answer them, without a model, a process or a browser."""

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI

from serving.pages import routes


def got(family: str, pointer: dict[str, Any], path: str = "/") -> httpx.Response:
    """What the page of a pointer answers."""
    app = FastAPI()
    app.state.champion = SimpleNamespace(served=SimpleNamespace(pointer=pointer), rejected=None)
    app.state.shadow = SimpleNamespace(status=lambda: None)
    routes.mount(app, family, "What is on this picture?")

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://atelier") as client:
            return await client.get(path)

    return asyncio.run(asked())
