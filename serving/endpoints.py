"""The application around a family's endpoint: health, the front page, one shape of errors, its OpenAPI description."""

import gc
from html import escape
from typing import Any

from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse

from pipelines import configs
from serving import problems
from serving.champion import Champion, Origin


class Health(BaseModel):
    """The service answers, and with this model."""

    status: str
    model: Origin


def application(title: str, question: str) -> FastAPI:
    """An application that has all but the family's own routes, and its champion: start() brings that."""
    app = FastAPI(title=title, summary=question, docs_url=None, redoc_url=None)
    problems.handle(app)

    @app.get("/health", response_model=Health)
    async def health(request: Request) -> dict[str, Any]:
        return {"status": "ok", "model": _champion(request).served.pointer["model"]}

    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> HTMLResponse:
        return HTMLResponse(_page(title, question, _champion(request).served.pointer["model"]))

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


def _page(title: str, question: str, model: dict[str, Any]) -> str:
    rows = "".join(f"<dt>{escape(key)}</dt><dd><code>{escape(str(value))}</code></dd>" for key, value in model.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><body style="font:16px/1.5 system-ui;max-width:40em;margin:2em auto">'
        f"<h1>{escape(title)}</h1><p>{escape(question)}</p><h2>What is served</h2><dl>{rows}</dl>"
        "<h2>Ask</h2><pre>curl -F image=@my_picture.png http://127.0.0.1:3000/predict</pre>"
        '<p><a href="/openapi.json">OpenAPI</a> · <a href="/health">health</a> · <a href="/metrics">metrics</a></p></body></html>'
    )
