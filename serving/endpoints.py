"""The application around a family's endpoint: health, the page, one shape of errors, the API reference; its champion and its answers."""

import gc
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import bentoml
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from PIL import Image
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines import configs, errors
from pipelines.errors import BadSetting
from serving import connections, exits, health, orphans, problems, telemetry
from serving.auth import policy, proxies, rates
from serving.auth import routes as auth_routes
from serving.auth.sites import OwnSite
from serving.feedback import routes as feedback_routes
from serving.inputs.bodies import Body
from serving.limits import Limited
from serving.live import recorder
from serving.live.champion import Champion, Served
from serving.live.recorder import Recorder
from serving.live.shadow import Shadow
from serving.pages import routes as page_routes
from serving.pages import standalone

METRICS = "/metrics"
NOSNIFF = (b"x-content-type-options", b"nosniff")
PROBES = connections.PROBES | {METRICS}
Answer = dict[str, Any]
Ask = Callable[..., Awaitable[Any]]
"""(body, served, limits, *arguments) -> an answer: predict() of a family's answers.py; for a list of bodies, a list. Raises Refusal."""


class Answered(NamedTuple):
    """An answer, and its JSON."""

    answer: Answer
    text: bytes


class Direct(bentoml.Service):
    """A service that BentoML starts and packs, whose requests go past its middlewares, straight to the `app` (docs/decisions/0017)."""

    def to_asgi(self, is_main: bool = True) -> ASGIApp:
        """What BentoML's worker serves: it starts uvicorn by itself, without settings of ours, and would outlive its parent."""
        uvicorn.config.HTTP_PROTOCOLS["auto"] = connections.CLASS
        os.environ["FORWARDED_ALLOW_IPS"] = ""  # uvicorn would believe every process of this machine
        exits.in_order_on_sigterm()
        orphans.end_with_parent()
        return self.application(is_main)

    def application(self, is_main: bool = True) -> ASGIApp:
        """What `make serve` serves."""
        telemetry.log_as_json()
        behind: ASGIApp = health.Ready(self.inner.app, super().to_asgi(is_main))
        with errors.printed_once():
            open, root, items = not policy.required(), self._root(), rates.allowed()
        inner: ASGIApp = Limited(proxies.WithRoot(self.inner.app, root) if root else self.inner.app, configs.serving(self.name))
        inner = rates.rated(inner, items, rates.INSIDE)
        inner, probes = (inner, PROBES) if open else (self._guarded(inner, behind), PROBES - {METRICS})
        site = rates.rated(OwnSite(inner), items, ("address",))
        front = telemetry.Telemetry(proxies.Proxied(site, open), self.name)
        routed = _routed(front, OwnSite(behind), probes)
        return _nosniff(proxies.BelowRoot(routed, root) if root else routed)

    def _guarded(self, inner: ASGIApp, behind: ASGIApp) -> ASGIApp:
        """The application behind the guard."""
        from serving.auth import guard  # and what tokens need

        return guard.guarded(self.inner.app, _routed(inner, behind, PROBES), self.name)

    def _root(self) -> str:
        """The path below which the service is reached. Raises BadSetting where a route begins like it."""
        root = proxies.root()
        if root and root.split("/")[1] in {route.path.split("/")[1] for route in self.inner.app.routes}:
            raise BadSetting(f"{proxies.ROOT}={root!r} begins like a route of the service. Set another, such as /{self.name}.")
        return root


def _nosniff(app: ASGIApp) -> ASGIApp:
    """No browser takes an answer for another type than it says."""

    async def sent(scope: Scope, receive: Receive, send: Send) -> Any:
        async def with_header(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message.get("headers", ()) if pair[0] != NOSNIFF[0]]
                message = {**message, "headers": [*headers, NOSNIFF]}
            await send(message)

        await app(scope, receive, with_header)

    return sent


def _routed(front: ASGIApp, behind: ASGIApp, probes: frozenset[str]) -> ASGIApp:
    async def routed(scope: Scope, receive: Receive, send: Send) -> Any:
        ours = scope["type"] == "http" and scope["path"] not in probes
        await (front if ours else behind)(scope, receive, send)

    return routed


def service(family: str) -> Any:
    """The decorator of a family's service class."""
    return bentoml.service(service_class=Direct, name=family, http={"host": "127.0.0.1"}, logging={"access": {"enabled": False}})


class Endpoint:
    """The base of a service class: its application, started with it, and what is written when it ends."""

    app: FastAPI

    def __init__(self) -> None:
        start(self.app, self.app.title, self.prepare)

    def prepare(self, predictor: Any) -> None:
        """Called with each model before it serves."""

    @bentoml.on_shutdown
    def end(self) -> None:
        """Called when the service ends."""
        end(self.app)


class Plain(APIRoute):
    """A route whose function takes the request and returns the response: FastAPI documents it, and does nothing to its requests."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        if list(inspect.signature(self.endpoint).parameters) != ["request"]:
            raise TypeError(f"{self.path}: {self.endpoint.__name__} must take `request` alone; read the body with bodies.read().")
        return self.endpoint

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; errors go to the application's handlers, another method to FastAPI's answer."""
        if scope["method"] not in (self.methods or ()):
            return await super().handle(scope, receive, send)
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


def application(title: str, question: str) -> FastAPI:
    """The application of a family with the routes that all share; start() adds the champion."""
    app = FastAPIOffline(title=title, summary=question, redoc_url=None, favicon_url="static/icon.svg")
    app.router.route_class = Plain
    problems.handle(app, standalone.refused)
    health.mount(app)
    auth_routes.mount(app)
    feedback_routes.mount(app, title)
    page_routes.mount(app, title, question)
    return app


def start(app: FastAPI, family: str, prepare: Callable[[Any], object] | None = None) -> None:
    """Give the application its limits, champion, recorder and shadow. Raises NoChampion, BrokenModel or BadUrl."""
    telemetry.remove_ended_workers()
    app.state.limits = configs.serving(family)
    app.state.recorder = Recorder(family, app.state.limits.predictions)
    app.state.champion = Champion(family, prepare)
    app.state.champion.start()
    app.state.recorder.start()
    app.state.shadow = Shadow(app.state.champion)
    app.state.shadow.start()
    app.router.routes.sort(key=lambda route: "POST" not in (getattr(route, "methods", None) or ()))  # a request tries them in turn
    Image.preinit()
    import_module("serving.inputs.ink")  # OpenCV is loaded before the first request, not by it
    gc.collect()
    gc.freeze()  # what is loaded now is never collected: no walk through it while requests wait (docs/decisions/0018)


def end(app: FastAPI) -> None:
    """Undo start(): stop the challenger; write the comparisons and predictions that are still queued."""
    app.state.champion.end()
    try:
        app.state.shadow.close()
    finally:
        app.state.recorder.end()


async def answer(state: State, ask: Ask, body: Body, served: Served, *arguments: Any, compared: bool = True) -> Answered:
    """The answer to one body, recorded, and `compared` with a challenger's; `arguments` are JSON values. Raises Refusal."""
    begun = time.perf_counter()
    answer = await ask(body, served, state.limits, *arguments)
    seconds = time.perf_counter() - begun
    text = _record(state, body, answer, seconds)
    if compared:
        state.shadow.offer(body, served, answer, seconds, arguments)
    return Answered(answer, text)


def _record(state: State, body: Body, answer: Answer, seconds: float) -> bytes:
    """Record the answer; its JSON."""
    text = recorder.as_json(answer)
    state.recorder.note(body.content, answer, seconds, text)
    return text


async def respond(request: Request, ask: Ask, body: Body, served: Served, *arguments: Any, compared: bool = True) -> Response:
    """answer() as a response; the answer's id and version are logged with the request. Raises Refusal."""
    found = await answer(request.app.state, ask, body, served, *arguments, compared=compared)
    _note_answer(request, found.answer)
    return Response(found.text, media_type="application/json")


def _note_answer(request: Request, answer: Answer) -> None:
    request.state.prediction_id, request.state.version = answer["prediction_id"], answer["model"]["version"]


def picture_response(request: Request, png: bytes, answer: Answer) -> Response:
    """An answer drawn as PNG; its id, count and version are in the headers, and logged with the request."""
    _note_answer(request, answer)
    id, count, version = answer["prediction_id"], str(answer["count"]), str(answer["model"]["version"])
    headers = {"X-Prediction-Id": id, "X-Count": count, "X-Model-Version": version}
    return Response(png, media_type="image/png", headers=headers)


async def respond_many(request: Request, ask: Ask, sent: Sequence[Body], served: Served) -> Response:
    """An answer or a problem for each body of one request; their ids, reasons and version are logged.

    `ask` takes all bodies at once; each answer is recorded with the seconds that all took together, compared with its share of them.
    """
    state, model, begun = request.app.state, served.pointer["model"], time.perf_counter()
    results = await ask(sent, served, state.limits)
    seconds = time.perf_counter() - begun
    right = [(body, result) for body, result in zip(sent, results, strict=True) if "problem" not in result]
    for body, result in right:
        _record(state, body, result, seconds)
        state.shadow.offer(body, served, result, seconds / len(sent))
    request.state.prediction_ids = [result["prediction_id"] for _, result in right]
    request.state.refusals = [result["problem"]["reason"] for result in results if "problem" in result]
    request.state.version = model["version"]
    return JSONResponse({"results": results, "model": model})
