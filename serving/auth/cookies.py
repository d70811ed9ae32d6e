"""What only browsers send: cookies, and the wish for a page."""

from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from serving.auth.tokens import SECONDS, Kind

COOKIES: dict[Kind, str] = {"access": "atelier_access", "refresh": "atelier_refresh"}
HTML, JSON = "text/html", "application/json"


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
