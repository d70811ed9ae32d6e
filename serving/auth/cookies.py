"""What only browsers send: cookies, and a preference for HTML."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving.auth.tokens import SECONDS, Kind

COOKIES: dict[Kind, str] = {"access": "atelier_access", "refresh": "atelier_refresh"}


def wants_page(request: Request) -> bool:
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


def token(request: Request, kind: Kind) -> str | None:
    """The token in the cookie of this kind."""
    return request.cookies.get(COOKIES[kind])


def store(response: Response, request: Request, access: str, refresh: str | None) -> None:
    """Set the cookies of the tokens that were issued; no script reads them, no other site sends them."""
    issued: dict[Kind, str | None] = {"access": access, "refresh": refresh}
    for kind, value in issued.items():
        if value is not None:
            response.set_cookie(COOKIES[kind], value, SECONDS[kind], **_restrictions(request))


def delete(response: Response, request: Request) -> None:
    """Delete the cookies."""
    for name in COOKIES.values():
        response.delete_cookie(name, **_restrictions(request))


def _restrictions(request: Request) -> dict[str, Any]:
    """Sent back to this service alone, and by HTTPS where the request came so."""
    path = request.scope.get("root_path") or "/"
    return {"path": path, "secure": request.url.scheme == "https", "httponly": True, "samesite": "strict"}
