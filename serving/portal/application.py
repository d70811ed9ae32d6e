"""The portal's application: its routes behind the guard, and the layers that the products' services have."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.configs import Serving
from serving import problems
from serving.auth import proxies
from serving.auth.authority import Authority
from serving.auth.sites import OwnSite
from serving.limits import Limited
from serving.pages import routes as page_routes
from serving.portal import accounts, asking, records, rendering, services
from serving.portal.guard import PROBES, Guard
from serving.portal.history import History
from serving.portal.services import Services
from serving.portal.sessions import Sessions
from serving.portal.words import Language
from serving.telemetry import Telemetry

NAME = "portal"
LIMITS = Serving(limit_mb=asking.LIMIT_MB, limit_megapixels=asking.LIMIT_MEGAPIXELS, limit_seconds=90, queue=64, batch=1)


class Portal(NamedTuple):
    """What the routes need; `idle` in seconds, `open` to sign up."""

    authority: Authority
    sessions: Sessions
    history: History
    services: Services
    idle: float
    open: bool


def application(
    authority: Authority,
    addresses: Mapping[str, str],
    idle: float,
    open: bool = True,
    client: Callable[[], httpx.AsyncClient] = services.client,
) -> ASGIApp:
    """The portal on a database of users, in front of services at these addresses. Raises BadSetting, NoDatabase or NewerDatabase."""
    url = authority.engine.url.render_as_string(hide_password=False)
    sessions, history = Sessions(authority, idle), History(url, authority.users.clock)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with client() as asked:
            app.state.portal = Portal(authority, sessions, history, Services(addresses, asked), idle, open)
            yield

    return _layered(_routed(lifespan), sessions)


def _routed(lifespan: Any) -> FastAPI:
    app = FastAPI(title=NAME, openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    problems.handle(app, rendering.refused)
    for part in (accounts, asking, records):
        part.mount(app)
    for path in PROBES:
        app.add_route(path, _alive, ["GET"])
    assets = page_routes.Assets(directory=page_routes.HERE / "page")
    assets.all_directories.append(page_routes.HERE / "portal")
    app.mount("/static", assets, name="static")
    return app


async def _alive(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _layered(app: FastAPI, sessions: Sessions) -> ASGIApp:
    root = proxies.root()
    guarded: ASGIApp = Language(Guard(Limited(_with_root(app, root), LIMITS), sessions))
    inner: ASGIApp = Telemetry(proxies.Proxied(OwnSite(guarded), open=False), NAME)

    async def layered(scope: Scope, receive: Receive, send: Send) -> None:
        await (inner if scope["type"] == "http" and scope["path"] not in PROBES else app)(scope, receive, send)

    return proxies.BelowRoot(layered, root) if root else layered


def _with_root(app: ASGIApp, root: str) -> ASGIApp:
    return proxies.WithRoot(app, root) if root else app
