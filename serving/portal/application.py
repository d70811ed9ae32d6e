"""The portal's application: its routes behind the guard, and the layers that the products' services have."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.configs import Serving
from serving import problems
from serving.auth import proxies, rates
from serving.auth.authority import Authority
from serving.auth.sites import OwnSite
from serving.limits import Limited
from serving.pages import routes as page_routes
from serving.portal import (
    accounts,
    administration,
    apikeys,
    asking,
    decisions,
    details,
    passwords,
    records,
    rendering,
    reviewing,
    science,
    services,
    settings,
    uploads,
)
from serving.portal.faults import Faults
from serving.portal.guard import PROBES, Guard
from serving.portal.history import History
from serving.portal.ledgers import Decider
from serving.portal.letters import Letters
from serving.portal.mail import Mail
from serving.portal.reviews import Reviews
from serving.portal.services import Services
from serving.portal.sessions import Sessions
from serving.portal.thumbnails import Thumbnails
from serving.portal.tracking import Tracking
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
    reviews: Reviews
    services: Services
    idle: float
    sign_up: str
    letters: Letters | None
    faults: Faults
    decider: Decider
    tracking: Tracking

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
    mlflow = settings.mlflow()
    thumbnails, reviews = Thumbnails(history, settings.thumbnail_days()), Reviews(history, reviewing.disagreeing)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with client() as asked:
            kept, known, tracking = (history, thumbnails, reviews), Services(addresses, asked), Tracking(mlflow, asked)
            made = Portal(authority, sessions, *kept, known, idle, sign_up, letters, faults, Decider(), tracking)
            app.state.portal = made
            yield

    faults = Faults(authority.users.clock)
    return _layered(_routed(lifespan), faults, sessions, limits)


def _routed(lifespan: Any) -> FastAPI:
    app = FastAPI(title=NAME, openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    problems.handle(app, rendering.refused)
    for part in (accounts, administration, apikeys, asking, decisions, details, passwords, records, reviewing, science):
        part.mount(app)
    for path in PROBES:
        app.add_route(path, _alive, ["GET"])
    assets = page_routes.Assets(directory=page_routes.HERE / "page")
    assets.all_directories.append(page_routes.HERE / "portal")
    app.mount("/static", assets, name="static")
    app.router.routes[:] = [Named(each.path, each.endpoint, methods=each.methods) if type(each) is Route else each for each in app.routes]
    return app


class Named(Route):
    """A route that the scope names, for figures and the log."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As Starlette does it."""
        match, more = super().matches(scope)
        return match, {**more, "route": self}


async def _alive(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


def _layered(app: FastAPI, faults: Faults, sessions: Sessions, items: rates.Items) -> ASGIApp:
    root = proxies.root()
    limited = rates.rated(Limited(_with_root(app, root), LIMITS), items, rates.INSIDE, rendering.refused)
    guarded = rates.rated(OwnSite(Guard(limited, sessions)), items, ("address",), rendering.refused)
    inner: ASGIApp = Telemetry(faults.of(proxies.Proxied(Language(guarded), open=False)), NAME)

    async def layered(scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = app  # for refusals as pages, also before the application is reached
        await (inner if scope["type"] == "http" and scope["path"] not in PROBES else app)(scope, receive, send)

    return proxies.BelowRoot(layered, root) if root else layered


def _with_root(app: ASGIApp, root: str) -> ASGIApp:
    return proxies.WithRoot(app, root) if root else app
