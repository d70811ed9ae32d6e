"""The cookies of a browser that has signed in."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving.auth.tokens import SECONDS, Kind

COOKIES: dict[Kind, str] = {"access": "atelier_access", "refresh": "atelier_refresh"}


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
