"""The page at `/` of every service: what is served, a field to ask with, the answer and where it comes from.

A family's `serving/<family>/page.html` says which parts of `serving/page/` it uses. Nothing is loaded from elsewhere.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI
from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HERE = Path(__file__).parent
NAMES = {  # metrics whose short name says little
    "nll": "negative log-likelihood",
    "map50": "mAP at IoU 0.5",
    "map50_95": "mAP at IoU 0.5 to 0.95",
    "map30": "mAP at IoU 0.3",
    "f1": "F1",
    "f1_30": "F1 at IoU 0.3",
    "count_accuracy": "pages with the right count",
    "signed_precision": "precision of \u201csigned\u201d",
    "signed_recall": "recall of \u201csigned\u201d",
}
PLACES = re.compile(r"(?:(\w+)_)?(?:top(\d+)|map)")
GALLERIES = {  # what the right class was looked for among
    "five": ", five drawings a class",
    "official": ", official pictures",
    "unseen": ", classes never seen",
    "unseen_five": ", classes never seen, five drawings each",
}
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


class Figure(NamedTuple):
    """A metric on one split; `low` and `high` are its 95 % interval, or None."""

    value: float
    low: float | None
    high: float | None


class Source(NamedTuple):
    """Files of a data card that share name, licence and citation."""

    name: str
    licence: str
    citation: str
    files: list[dict[str, Any]]


class Assets(StaticFiles):
    """Style, scripts and icon with the page's own headers; templates beside them are not given out."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if Path(path).suffix not in ASSETS:
            raise HTTPException(404, f"There is no {path!r} here.")
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def mount(app: FastAPI, family: str, question: str) -> None:
    """Add `/` and `/static`. The page shows `app.state.champion` as it stands when it is asked for."""
    template = environment().get_template(f"{family}/page.html")
    app.mount("/static", Assets(directory=HERE / "page"), name="static")

    @app.head("/", include_in_schema=False)
    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> HTMLResponse:
        pointer = request.app.state.champion.served.pointer
        user = getattr(request.state, "user", None)  # where nobody need sign in, there is none
        page = template.render(pointer, family=family, question=question, address=request.base_url, user=user)
        return HTMLResponse(page, headers=HEADERS)


def environment() -> Environment:
    """Templates of serving/, escaped; a fact that a pointer lacks is empty, however deep it is asked for."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {filter.__name__: filter for filter in (called, percent, interval, plain, day, moment, duration, address)}
    environment.globals |= {"figures": figures, "sources": sources, "hardware": hardware}
    return environment


def figures(metrics: Mapping[str, float]) -> dict[str, Figure]:
    """{metric: Figure}, those with an interval first; `m_low` and `m_high` become the interval of `m`."""
    bounds = {f"{name}{end}" for name in metrics for end in ("_low", "_high")}
    found = {name: Figure(value, metrics.get(f"{name}_low"), metrics.get(f"{name}_high")) for name, value in metrics.items()}
    return dict(sorted(((name, figure) for name, figure in found.items() if name not in bounds), key=lambda item: item[1].low is None))


def sources(listed: Iterable[dict[str, Any]]) -> list[Source]:
    """The sources of a data card, files of one origin together."""

    def shared(source: dict[str, Any]) -> tuple[str, str, str]:
        return (str(source.get("source") or ""), str(source.get("licence") or ""), str(source.get("citation") or ""))

    return [Source(*key, files=list(files)) for key, files in groupby(listed, key=shared)]


def called(metric: str) -> str:
    """calibration_error -> calibration error, five_top10 -> top-10, five drawings a class"""
    if (place := PLACES.fullmatch(metric)) and (place[1] is None or place[1] in GALLERIES):
        return (f"top-{place[2]}" if place[2] else "mean average precision") + GALLERIES.get(place[1] or "", "")
    return NAMES.get(metric, metric.replace("_", " "))


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


def duration(seconds: float) -> str:
    """543.6 -> 9 min 4 s"""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def hardware(machine: Mapping[str, Any]) -> str:
    """{"cores": 2, "cpu": "AMD EPYC", "gpu": [], "memory_gb": 25} -> 2 cores of AMD EPYC, 25 GB, no GPU"""
    cards = ", ".join(map(str, machine.get("gpu") or [])) or "no GPU"
    return f"{machine.get('cores', '?')} cores of {machine.get('cpu', 'an unnamed processor')}, {machine.get('memory_gb', '?')} GB, {cards}"


def address(text: object) -> bool:
    """Is this a web address that a link may lead to? `javascript:` is none."""
    return str(text).startswith(("https://", "http://"))
