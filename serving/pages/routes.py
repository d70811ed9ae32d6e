"""The page at `/` of every service: what is served, a field to ask with, the answer and where it comes from.

`serving/<family>/page.html` extends serving/page/base.html; static/ has the assets of both folders. Nothing is loaded from elsewhere.
"""

from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI
from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pipelines.phrases import Figure, duration, figures, hardware, is_web_address, metric_name, sources
from serving.pages import cards

HERE = Path(__file__).parents[1]
ASSETS = (".css", ".js", ".svg")
POLICY = {
    "default-src": "'self'",
    "img-src": "'self' blob: data:",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none at all, a form would not say where it comes from
    "Cache-Control": "no-cache",  # asked for again, and answered with 304 where nothing changed
}


class Assets(StaticFiles):
    """Style, scripts and icon with the page's headers; the other files of the folders are not served."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if Path(path).suffix not in ASSETS:
            raise HTTPException(404, f"There is no {path!r} here.")
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def mount(app: FastAPI, family: str, question: str) -> None:
    """Add `/`, the model card and `/static`; the page shows the current `app.state.champion`."""
    template = environment().get_template(f"{family}/page.html")
    cards.mount(app, environment(), HEADERS)
    assets = Assets(directory=HERE / "page")
    assets.all_directories.append(HERE / family)
    app.mount("/static", assets, name="static")

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> HTMLResponse:
        champion = request.app.state.champion
        user = getattr(request.state, "user", None)  # None where no token is required
        facts = {"family": family, "question": question, "address": request.base_url, "user": user, "refused": champion.rejected}
        facts |= {"shadow": request.app.state.shadow.status()}
        pointer = champion.served.pointer
        page = template.render(pointer, **facts, **cards.shown(pointer))
        return HTMLResponse(page, headers=HEADERS)


def environment() -> Environment:
    """Templates of serving/, escaped; what a pointer lacks is rendered empty, at any depth."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {each.__name__: each for each in (metric_name, percent, interval, plain, day, moment, duration, is_web_address)}
    environment.globals |= {"figures": figures, "sources": sources, "hardware": hardware, "figure": Figure}
    return environment


def percent(value: float) -> str:
    """0.9968 -> 99.68 %, with a space that does not break."""
    return f"{value * 100:.2f}\u00a0%"


def interval(figure: Figure) -> str:
    """The 95 % interval of a figure that has one: 99.55 to 99.77 %"""
    return f"{figure.low or 0:.2%} to {figure.high or 0:.2%}".replace("%", "", 1).replace("%", "\u00a0%")


def plain(value: float) -> str:
    """0.000681100824475268 -> 0.0007"""
    return f"{value:.4f}"


def moment(iso: str) -> str:
    """2026-11-20T22:49:53Z -> 20 November 2026, 22:49 UTC"""
    time = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{day(iso)}, {time:%H:%M} UTC"


def day(iso: str) -> str:
    """2026-11-20T22:49:53Z -> 20 November 2026"""
    time = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{time.day} {time:%B %Y}"
