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

from pipelines import phrases
from pipelines.phrases import certainty, duration, figures, hardware, in_percent, is_web_address, metric_name, percent, sources

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
    from serving.pages import cards  # and what reads models, which the portal does without

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
    """Templates of serving/, escaped; what a pointer lacks is rendered empty, at any depth. Parts shared with the portal stay English."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.add_extension("jinja2.ext.i18n")
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    words = (metric_name, percent, in_percent, certainty, interval, day, moment, duration, is_web_address)
    environment.filters |= {each.__name__: each for each in words}
    environment.globals |= {
        "figures": figures,
        "sources": sources,
        "hardware": hardware,
        "figure": phrases.Figure,
        "valued": phrases.figure,
    }
    environment.globals |= {"sure": phrases.SURE}
    return environment


def interval(figure: phrases.Figure) -> str:
    """The 95% interval of a figure that has one: 99.55% to 99.77%"""
    return f"{percent(figure.low or 0)} to {percent(figure.high or 0)}"


def moment(iso: str) -> str:
    """2026-11-20T22:49:53Z -> 20 November 2026, 22:49 UTC"""
    time = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{day(iso)}, {time:%H:%M} UTC"


def day(iso: str) -> str:
    """2026-11-20T22:49:53Z -> 20 November 2026"""
    time = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{time.day} {time:%B %Y}"
