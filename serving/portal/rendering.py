"""The portal's pages: templates of serving/portal/ in the look that the products' pages have."""

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pipelines import phrases
from serving.auth import users
from serving.pages import routes, standalone
from serving.portal import refusals, words
from serving.portal.answers import Row, Shown
from serving.portal.words import N_, _
from serving.problems import Refusal, Refused

HEADERS = {**routes.HEADERS, "Cache-Control": "no-store"}  # the back button shows nothing after signing out
DAY, TIME = "d MMMM y", "d MMMM y, HH:mm 'UTC'"  # as Babel writes them


REVIEWERS = (users.SCIENTIST, users.ADMINISTRATOR)  # roles that review answers
ROLES = {"operator": N_("operator"), "data scientist": N_("data scientist"), "administrator": N_("administrator")}


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
        "letters": portal.letters,
        "path": request.scope["path"],
        "here": _here(request),
    }
    return _environment(words.language()).get_template(f"portal/{name}.html").render(**shared, **facts)


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


def _here(request: Request) -> str:
    """The page as `next` names it, so that choosing a language leads back to it; home from what was sent by a form."""
    path = request.scope["path"].removeprefix(root(request))
    return path + (f"?{request.url.query}" if request.url.query else "") if request.method in ("GET", "HEAD") else "/"


def refused(request: Request, refusal: Refusal) -> Response:
    """A refusal in the person's language: as a page for a person, as a problem for scripts and programs."""
    detail = refusals.detail(refusal)
    if not standalone.wanted(request):
        return Refused(Refusal(refusal.status, refusal.reason, detail, refusal.error, refusal.headers))
    request.state.refusal = refusal.reason
    title, remedy = refusals.meaning(refusal.status)
    facts = {"status": refusal.status, "title": title, "detail": detail, "remedy": remedy, "request_id": _request_id(request)}
    response = page(request, "refused", refusal.status, **facts)
    response.headers.update(refusal.headers or {})
    return response


def _request_id(request: Request) -> str:
    return str(getattr(request.state, "request_id", ""))


@cache
def _environment(language: str) -> Environment:
    made = routes.environment()
    translations: Any = words.translations(language)
    made.install_gettext_translations(translations, newstyle=True)  # type: ignore[attr-defined]
    made.filters |= {
        each.__name__: each for each in (size, when, day_of, iso, milliseconds, percent, certainty, number, headline, box, bearing)
    }
    scripts = json.dumps(words.of_scripts(language), ensure_ascii=False)
    made.globals |= {"roles": ROLES, "reviewers": REVIEWERS, "language": language, "languages": words.LANGUAGES, "script_words": scripts}
    return made


def size(count: int) -> str:
    """34_567 -> 35 kB"""
    if count < 1000:
        return words.ngettext("%(num)s byte", "%(num)s bytes", count)
    if count < 1e6:
        return _("%(count)s kB", count=number(round(count / 1e3)))
    return _("%(count)s MB", count=number(round(count / 1e6, 1))) if count < 1e9 else _("%(count)s GB", count=number(round(count / 1e9, 1)))


def number(value: float) -> str:
    """1234.5 -> 1,234.5"""
    return str(format_decimal(value, locale=words.locale()))


def milliseconds(seconds: float) -> str:
    """0.01234 -> 12.3 ms, 0.00004 -> 0.04 ms"""
    return f"{number(round(seconds * 1000, 1 if seconds >= 0.001 else 2))} ms"


def percent(share: float) -> str:
    """0.9968 -> 99.68%"""
    pattern = words.locale().percent_formats[None].pattern.replace("0", "0.00")
    return str(format_decimal(share, pattern, words.locale()))


def certainty(share: float) -> str:
    """0.9968 -> Sure (99.68%), 0.62 -> Check this one (62.00%)"""
    return _("Sure (%(share)s)", share=percent(share)) if share >= phrases.SURE else _("Check this one (%(share)s)", share=percent(share))


def headline(shown: Shown) -> str:
    """What is on top of an answer."""
    if shown.count is not None and shown.unit == "signature":
        return words.ngettext("%(num)s signature", "%(num)s signatures", shown.count)
    if shown.count is not None and shown.unit == "line":
        return words.ngettext("%(num)s line", "%(num)s lines", shown.count)
    return shown.headline


def box(sides: tuple[float, float, float, float]) -> str:
    """(30, 200, 120, 40) -> 120 × 40 pixels at 30, 200"""  # noqa: RUF002
    x, y, width, height = (number(round(side)) for side in sides)
    return _("%(width)s × %(height)s pixels at %(x)s, %(y)s", width=width, height=height, x=x, y=y)  # noqa: RUF001


def bearing(row: Row) -> str:
    """How many lenses bear an engraving."""
    return words.ngettext("%(num)s lens", "%(num)s lenses", row.lenses_total) if row.lenses_total else _("no lens")


def when(seconds: float) -> str:
    """Seconds since 1970 as 20 November 2026, 22:49 UTC"""
    return str(format_datetime(datetime.fromtimestamp(seconds, UTC), TIME, locale=words.locale()))


def day_of(seconds: float) -> str:
    """Seconds since 1970 as 20 November 2026"""
    return str(format_date(datetime.fromtimestamp(seconds, UTC), DAY, locale=words.locale()))


def iso(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-20T22:49:53+00:00"""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
