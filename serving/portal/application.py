"""The portal's application: its routes behind the guard, and the layers that the products' services have."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.configs import Serving
from serving import problems
from serving.auth import proxies, rates
from serving.auth.authority import Authority
from serving.auth.sites import OwnSite
from serving.limits import Limited
from serving.pages import routes as page_routes
from serving.portal import accounts, apikeys, asking, details, passwords, records, rendering, services, settings, uploads
from serving.portal.guard import PROBES, Guard
from serving.portal.history import History
from serving.portal.letters import Letters
from serving.portal.mail import Mail
from serving.portal.services import Services
from serving.portal.sessions import Sessions
from serving.portal.thumbnails import Thumbnails
from serving.portal.words import Language
from serving.telemetry import Telemetry

NAME = "portal"
LIMITS = Serving(limit_mb=uploads.LIMIT_MB, limit_megapixels=uploads.LIMIT_MEGAPIXELS, limit_seconds=90, queue=64, batch=1)


class Portal(NamedTuple):
    """What the routes need; `idle` in seconds, `sign_up` one of settings.CHOICES, `letters` where e-mail is sent."""

    authority: Authority
    sessions: Sessions
    history: History
    thumbnails: Thumbnails
    services: Services
    idle: float
    sign_up: str
    letters: Letters | None

    @property
    def open(self) -> bool:
        """May anybody sign up?"""
        return self.sign_up != settings.CLOSED


def application(
    authority: Authority,
    addresses: Mapping[str, str],
    idle: float,
    sign_up: str = settings.OPEN,
    mail: Mail | None = None,
    limits: rates.Items = MappingProxyType({}),
    client: Callable[[], httpx.AsyncClient] = services.client,
) -> ASGIApp:
    """The portal on a database of users, in front of services at these addresses. Raises BadSetting, NoDatabase or NewerDatabase."""
    url = authority.engine.url.render_as_string(hide_password=False)
    sessions, history = Sessions(authority, idle), History(url, authority.users.clock)
    letters = Letters(authority, mail) if mail else None
    thumbnails = Thumbnails(history, settings.thumbnail_days())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with client() as asked:
            app.state.portal = Portal(authority, sessions, history, thumbnails, Services(addresses, asked), idle, sign_up, letters)
            yield

    return _layered(_routed(lifespan), sessions, limits)


def _routed(lifespan: Any) -> FastAPI:
    app = FastAPI(title=NAME, openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    problems.handle(app, rendering.refused)
    for part in (accounts, apikeys, asking, details, passwords, records):
        part.mount(app)
    for path in PROBES:
        app.add_route(path, _alive, ["GET"])
    assets = page_routes.Assets(directory=page_routes.HERE / "page")
    assets.all_directories.append(page_routes.HERE / "portal")
    app.mount("/static", assets, name="static")
    return app


async def _alive(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _layered(app: FastAPI, sessions: Sessions, items: rates.Items) -> ASGIApp:
    root = proxies.root()
    limited = rates.rated(Limited(_with_root(app, root), LIMITS), items, rates.INSIDE, rendering.refused)
    guarded = rates.rated(OwnSite(Guard(limited, sessions)), items, ("address",), rendering.refused)
    inner: ASGIApp = Telemetry(proxies.Proxied(Language(guarded), open=False), NAME)

    async def layered(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = app  # for refusals as pages, also before the application is reached
        await (inner if scope["type"] == "http" and scope["path"] not in PROBES else app)(scope, receive, send)

    return proxies.BelowRoot(layered, root) if root else layered


def _with_root(app: ASGIApp, root: str) -> ASGIApp:
    return proxies.WithRoot(app, root) if root else app
