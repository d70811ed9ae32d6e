"""The portal's pages: templates of serving/portal/ in the look that the products' pages have."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from serving.pages import routes, standalone
from serving.problems import Refusal

HEADERS = {**routes.HEADERS, "Cache-Control": "no-store"}  # the back button shows nothing after signing out
NOWHERE = "There is no such page here."
FRAMEWORK = ("not found", "method not allowed")  # the framework's own refusals, whose details are for programs


def page(request: Request, name: str, status: int = 200, /, **facts: Any) -> HTMLResponse:
    """The template portal/<name>.html with these facts, and what all pages know."""
    return HTMLResponse(render(request, name, **facts), status, HEADERS)


def render(request: Request, name: str, /, **facts: Any) -> str:
    """The same as text."""
    portal = request.app.state.portal
    shared = {
        "root": root(request),
        "user": request.scope.get("user"),
        "idle": portal.idle,
        "open": portal.open,
        "path": request.scope["path"],
    }
    return _environment().get_template(f"portal/{name}.html").render(**shared, **facts)


def root(request: Request) -> str:
    """The path below which the portal is reached."""
    return str(request.scope.get("app_root_path", request.scope.get("root_path", "")))


def redirect(request: Request, path: str) -> RedirectResponse:
    """To a page of the portal, by GET."""
    return RedirectResponse(root(request) + path, 303, HEADERS)


def inside(path: str) -> str:
    """The path where it is a page of the portal, else `/`: a sign-in that leads to another site is a trap."""
    local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if local else "/"


def refused(request: Request, refusal: Refusal) -> HTMLResponse | None:
    """A refusal as a page, for a person; None for scripts and programs."""
    if not standalone.wanted(request):
        return None
    request.state.refusal = refusal.reason
    response = page(request, "refused", refusal.status, refusal=refusal, detail=NOWHERE if refusal.reason in FRAMEWORK else refusal.detail)
    response.headers.update(refusal.headers or {})
    return response


@cache
def _environment() -> Environment:
    made = routes.environment()
    made.filters |= {"size": size, "when": when, "iso": iso}
    return made


def size(count: int) -> str:
    """34_567 -> 35 kB"""
    return f"{count} bytes" if count < 1000 else f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def when(seconds: float) -> str:
    """Seconds since 1970 as 20 November 2026, 22:49 UTC"""
    return routes.moment(iso(seconds))


def iso(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-20T22:49:53+00:00"""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
