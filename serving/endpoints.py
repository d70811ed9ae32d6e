"""The application around a family's endpoint: health, the page, one shape of errors, the API reference; its champion and its answers."""

import gc
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from PIL import Image
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipelines import configs
from serving import auth, flagging, pages, problems
from serving.champion import Champion, Origin, Served

PNG = {"description": "Successful Response", "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}}


class Health(BaseModel):
    """The service answers, and with this model."""

    status: str
    model: Origin


class Plain(APIRoute):
    """A route whose function takes the request and gives the response: FastAPI describes it, and has nothing to solve or to check."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        if list(inspect.signature(self.endpoint).parameters) != ["request"]:
            raise TypeError(f"{self.path}: {self.endpoint.__name__} must take `request` alone; read the body with bodies.read().")
        return self.endpoint


def application(title: str, question: str) -> FastAPI:
    """An application that has all but the family's own routes, and its champion: start() brings that."""
    app = FastAPIOffline(title=title, summary=question, redoc_url=None, favicon_url="static/icon.svg")
    app.router.route_class = Plain
    problems.handle(app)

    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=Health)
    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "model": request.app.state.champion.served.pointer["model"]})

    auth.mount(app)
    flagging.mount(app, title)
    pages.mount(app, title, question)
    return app


def start(app: FastAPI, family: str, beside: Callable[[Any], object] | None = None) -> None:
    """Give the application its champion, loaded and followed, and its limits; `beside` is done before a model stands."""
    app.state.limits = configs.serving(family)
    app.state.champion = Champion(family, beside)
    app.state.champion.follow()
    Image.preinit()
    gc.collect()
    gc.freeze()  # what is loaded now stays: the collector need not walk through it while requests wait (docs/decisions.md)


def signed(request: Request, answer: dict[str, Any]) -> JSONResponse:
    """An answer as JSON; its id and version stand in the log beside the request's."""
    request.state.prediction_id, request.state.version = answer["prediction_id"], answer["model"]["version"]
    return JSONResponse(answer)


def signed_picture(request: Request, png: bytes, answer: dict[str, Any]) -> Response:
    """An answer drawn as PNG: its id, count and version stand in the head, and in the log beside the request's."""
    request.state.prediction_id, request.state.version = answer["prediction_id"], answer["model"]["version"]
    told = {"X-Prediction-Id": answer["prediction_id"], "X-Count": str(answer["count"]), "X-Model-Version": str(answer["model"]["version"])}
    return Response(png, media_type="image/png", headers=told)


def signed_many(request: Request, results: list[dict[str, Any]], served: Served) -> JSONResponse:
    """Answers and problems of one request as JSON, and where they come from; the log has their ids, reasons and version."""
    model = served.pointer["model"]
    request.state.prediction_ids = [result["prediction_id"] for result in results if result["success"]]
    request.state.refusals = [result["problem"]["reason"] for result in results if not result["success"]]
    request.state.version = model["version"]
    return JSONResponse({"results": results, "model": model})
