"""The application around a family's endpoint: health, the page, one shape of errors, the API reference; its champion and its answers."""

import gc
from typing import Any

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from PIL import Image
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse

from pipelines import configs
from serving import pages, problems
from serving.champion import Champion, Origin


class Health(BaseModel):
    """The service answers, and with this model."""

    status: str
    model: Origin


def application(title: str, question: str) -> FastAPI:
    """An application that has all but the family's own routes, and its champion: start() brings that."""
    app = FastAPIOffline(title=title, summary=question, redoc_url=None, favicon_url="static/icon.svg")
    problems.handle(app)

    @app.get("/health", response_model=Health)
    async def health(request: Request) -> dict[str, Any]:
        return {"status": "ok", "model": _champion(request).served.pointer["model"]}

    pages.mount(app, title, question)
    return app


def start(app: FastAPI, family: str) -> None:
    """Give the application its champion, loaded and followed, and its limits."""
    app.state.limits = configs.serving(family)
    app.state.champion = Champion(family)
    app.state.champion.follow()
    Image.preinit()
    gc.collect()
    gc.freeze()  # what is loaded now stays: the collector need not walk through it while requests wait (docs/decisions.md)


def signed(request: Request, answer: dict[str, Any]) -> JSONResponse:
    """An answer as JSON; its id and version stand in the log beside the request's."""
    request.state.prediction_id, request.state.version = answer["prediction_id"], answer["model"]["version"]
    return JSONResponse(answer)


def _champion(request: Request) -> Champion:
    champion: Champion = request.app.state.champion
    return champion
