"""/health and /readyz: does the service answer, with which model, and which version was rejected? Both need no token."""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.live.champion import Champion, Origin
from serving.pages import standalone

READY = "/readyz"


class RefusedVersion(BaseModel):
    """A rejected version, null where the pointer names none; the one before is still served. The log and the page have the error."""

    version: int | None
    why: str


class Health(BaseModel):
    """The service answers, and with this model."""

    status: str
    model: Origin
    refused: RefusedVersion | None


def mount(app: FastAPI) -> None:
    """Add /health."""

    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=Health)
    async def health(request: Request) -> Response:
        status, found = _found(request.app)
        if standalone.wanted(request):
            return standalone.page(request, "health", status, family=app.title, **found)
        return JSONResponse(found, status)


class Ready:
    """/readyz: 200 once a model is loaded, 503 before. All else goes to the application behind."""

    def __init__(self, app: FastAPI, behind: ASGIApp) -> None:
        self.app, self.behind = app, behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] == READY
        if not ours:
            return await self.behind(scope, receive, send)
        status, found = _found(self.app)
        await JSONResponse(found, status)(scope, receive, send)


def _found(app: FastAPI) -> tuple[int, dict[str, Any]]:
    """The status, and what is said."""
    champion: Champion | None = getattr(app.state, "champion", None)
    if champion is None:
        return 503, {"status": "starting", "model": None, "refused": None}
    refused: dict[str, Any] | None = None
    if rejected := champion.rejected:
        refused = {"version": rejected["version"], "why": rejected["reason"]}
    return 200, {"status": "ok", "model": champion.served.pointer["model"], "refused": refused}
