"""Pages that stand alone, for people who type an address into a browser: no script, nothing loaded, the style in the page."""

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from serving.pages import routes
from serving.problems import Refusal

SAFE = frozenset({"GET", "HEAD"})


def wanted(request: Request) -> bool:
    """Does `Accept` prefer HTML to JSON? A browser's does, where a person has typed the address or sent a form."""
    accepted = {}
    for entry in request.headers.get("accept", "").lower().split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        accepted[media] = next((_quality(word) for word in parameters if word.startswith("q=")), 1.0)
    return accepted.get("text/html", 0) > accepted.get("application/json", accepted.get("*/*", 0))


def _quality(word: str) -> float:
    try:
        return float(word[2:])
    except ValueError:
        return 0.0


def page(request: Request, name: str, status: int = 200, headers: Mapping[str, str] | None = None, /, **facts: Any) -> HTMLResponse:
    """The template page/<name>.html with these facts, and `root`, the path below which the service is reached."""
    style, policy = _style()
    root = str(request.scope.get("app_root_path", request.scope.get("root_path", "")))  # the second is a mount's in a mount
    html = routes.environment().get_template(f"page/{name}.html").render(root=root, style=Markup(style), **facts)  # noqa: S704  (our file)
    return HTMLResponse(html, status, {**routes.HEADERS, **(headers or {}), "Content-Security-Policy": policy})


def refused(request: Request, refusal: Refusal) -> HTMLResponse | None:
    """A refusal as a page, for who looks for one; None for programs."""
    if request.method not in SAFE or not wanted(request):
        return None
    request.state.refusal = refusal.reason
    return page(request, "refused", refusal.status, refusal.headers, refusal=refusal, family=request.app.title)


@cache
def _style() -> tuple[str, str]:
    """The style, and a policy that allows this style (by its hash) and forms, nothing else."""
    style = (routes.HERE / "page" / "style.css").read_text()
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    allowed = f"default-src 'none'; style-src 'sha256-{hashed}'; img-src data:"
    return style, f"{allowed}; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
