"""Does the service answer, with which model, and which version does it refuse? /health is the application's, /readyz is asked by machines.

Both are open to everybody (serving/auth/guard.py).
"""

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.live.champion import Champion, Origin

READY = "/readyz"


class RefusedVersion(BaseModel):
    """A version that was to serve, and does not: the one before serves on. The number is null where the pointer names none.

    `why` is a word or two, since everybody may ask; the log and the page have the whole words.
    """

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
    async def health(request: Request) -> JSONResponse:
        return _told(request.app)


class Ready:
    """/readyz: 200 as long as a model answers, whatever is refused; 503 where none does yet. All else goes to the application behind."""

    def __init__(self, app: FastAPI, behind: ASGIApp) -> None:
        self.app, self.behind = app, behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"] == READY
        await (_told(self.app) if ours else self.behind)(scope, receive, send)


def _told(app: FastAPI) -> JSONResponse:
    champion: Champion | None = getattr(app.state, "champion", None)
    if champion is None:
        return JSONResponse(_said("starting", None, None), 503)
    return JSONResponse(_said("ok", champion.served.pointer["model"], champion.rejected))


def _said(status: str, model: dict[str, Any] | None, refused: dict[str, Any] | None) -> dict[str, Any]:
    told = {"version": refused["version"], "why": refused["reason"]} if refused else None
    return {"status": status, "model": model, "refused": told}
