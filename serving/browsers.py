"""What only browsers send: cookies, where a request comes from, and the wish for a page."""

from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from serving.problems import Refusal
from serving.tokens import SECONDS, Kind

COOKIES: dict[Kind, str] = {"access": "atelier_access", "refresh": "atelier_refresh"}
HTML, JSON = "text/html", "application/json"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Media(NamedTuple):
    """A media type and how welcome it is."""

    type: str
    quality: float


def wants_page(request: Request) -> bool:
    """Does it ask for HTML rather than for anything else? A browser does where a person has typed the address or sent a form."""
    welcome = {media.type: media.quality for media in _accepted(request.headers.get("accept", ""))}
    return welcome.get(HTML, 0) > welcome.get(JSON, welcome.get("*/*", 0))


def _accepted(header: str) -> list[Media]:
    entries = [[word.strip().lower() for word in entry.split(";")] for entry in header.split(",")]
    return [Media(entry[0], next((_quality(word) for word in entry[1:] if word.startswith("q=")), 1.0)) for entry in entries]


def _quality(word: str) -> float:
    try:
        return float(word[2:])
    except ValueError:
        return 0.0


def own_site(request: Request) -> None:
    """Refuse what another site's page has sent in the person's name; programs say nothing of where they come from. Raises Refusal 403."""
    if request.method in SAFE:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise _foreign()
    if site is None and origin is not None and _place(origin) != request.headers.get("host", "").lower():
        raise _foreign()


def _place(origin: str) -> str | None:
    """Host and port of an origin; none of `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _foreign() -> Refusal:
    return Refusal(403, "another site", "This request comes from a page of another site. Open the service's own page, and ask there.")


def token(request: Request, kind: Kind) -> str | None:
    """What the cookie holds."""
    return request.cookies.get(COOKIES[kind])


def keep(response: Response, request: Request, access: str, refresh: str | None) -> None:
    """Set the cookies, or where no new refresh token was given, one; no script reads them, no other site sends them."""
    held: dict[Kind, str | None] = {"access": access, "refresh": refresh}
    for kind, value in held.items():
        if value is not None:
            response.set_cookie(COOKIES[kind], value, SECONDS[kind], secure=_secure(request), httponly=True, samesite="strict")


def forget(response: Response, request: Request) -> None:
    """Remove the cookies."""
    for name in COOKIES.values():
        response.delete_cookie(name, secure=_secure(request), httponly=True, samesite="strict")


def _secure(request: Request) -> bool:
    """Came it by HTTPS, here or at a proxy before? Whoever lies about that harms only himself."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
