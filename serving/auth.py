"""Is a token required? `AUTH=required` or `AUTH=off` says so; unset, it is as soon as the service can be reached from elsewhere.

Nothing heavy is imported here: where no token is required, nothing is asked, opened or checked.
"""

import ipaddress
import logging
import os
import socket
from asyncio import to_thread
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import psutil
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from pipelines import errors
from serving import problems

logger = logging.getLogger("atelier.serving")
CHOICES = ("required", "off")
FIELDS = {"grant_type": ["password", "refresh_token"], "username": None, "password": None, "refresh_token": None}
SCHEME = {"type": "oauth2", "flows": {"password": {"tokenUrl": "token", "refreshUrl": "token", "scopes": {}}}}
OPEN = ("/token", "/logout", "/health")


class Token(BaseModel):
    """Send the access token as `Authorization: Bearer <access_token>`; trade the refresh token, once, for the next two."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


class BadSetting(ValueError):
    """AUTH is neither of its two words."""


def required(addresses: Iterable[str] | None = None) -> bool:
    """Whether requests need a token, for a service at these addresses; None: those that this process listens on. Raises BadSetting.

    A process that listens nowhere yet may do so anywhere.
    """
    word = os.environ.get("AUTH") or None
    if word not in (None, *CHOICES):
        raise BadSetting(
            f"AUTH={word!r} is not known. Choose one of: {', '.join(CHOICES)}; unset, it is off on the loopback address alone."
        )
    known = list(listening() if addresses is None else addresses)
    private = bool(known) and all(map(loopback, known))
    if word == "off" and known and not private:
        logger.warning("AUTH=off at %s: whoever reaches this address may use the service, without a name", ", ".join(known))
    return word == "required" if word else not private


def settle(host: str) -> None:
    """Decide for this process and its workers, which listen nowhere yet; somebody must be able to sign in. Raises what says why not."""
    if required([host]):
        from serving import authority

        authority.manned()
        os.environ["AUTH"] = "required"
    else:
        os.environ["AUTH"] = "off"


def listening() -> list[str]:
    """Addresses that this process listens on. `bentoml serve --host` reaches a worker as an open socket, and in no other way."""
    try:
        connections = psutil.Process().net_connections("tcp")
    except psutil.Error:
        return []
    return sorted({connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN})


def loopback(host: str) -> bool:
    """Is this an address, or a name, that only this machine reaches?"""
    try:
        return all(ipaddress.ip_address(found[4][0]).is_loopback for found in socket.getaddrinfo(host or "0.0.0.0", None))  # noqa: S104
    except (OSError, ValueError):
        return False


def mount(app: FastAPI) -> None:
    """Add POST /token and /logout. They answer also where no token is required; what they need is imported when they are first asked."""

    @app.post("/token", response_model=Token, responses=problems.documented(400, 403, 413, 415, 429, 503), openapi_extra=_form())
    async def token(request: Request) -> Response:
        """Tokens for a user's name and password, or for a refresh token (OAuth2, RFC 6749)."""
        return await (await _signing()).token(request)

    @app.post("/logout", status_code=204, response_class=Response, responses=problems.documented(401, 403, 503))
    async def logout(request: Request) -> Response:
        """End the session that the token belongs to: its refresh token, and within seconds its access tokens."""
        return await (await _signing()).logout(request)

    plain = app.openapi
    app.openapi = lambda: app.openapi_schema or described(plain(), hasattr(app.state, "authority"))  # type: ignore[method-assign]


async def _signing() -> Any:
    return await to_thread(import_module, "serving.signing")  # a second, the first time


def _form() -> dict[str, Any]:
    fields = {name: {"type": "string", **({"enum": choices} if choices else {})} for name, choices in FIELDS.items()}
    form = {"type": "object", "properties": fields, "required": ["grant_type"]}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}}}


def described(schema: dict[str, Any], guarded: bool) -> dict[str, Any]:
    """An OpenAPI description with the password flow, and where tokens are required, with what asks for one."""
    schema.setdefault("components", {})["securitySchemes"] = {"token": SCHEME}
    asking = [ways for path, ways in schema["paths"].items() if guarded and path not in OPEN]
    for way in (way for ways in asking for way in ways.values()):
        way["security"] = [{"token": []}]
        way["responses"].update({str(status): told for status, told in problems.documented(401, 403).items()})
    return schema


def guarded(app: FastAPI, inner: ASGIApp, family: str) -> ASGIApp:
    """`inner`, behind the guard; where nobody could sign in, the process says why, and ends."""
    from serving import authority, guard

    with errors.printed_once():  # BentoML starts a worker that ends so again, until there is somebody
        app.state.authority = authority.manned()
    app.state.authority.follow()
    return guard.Guard(inner, app.state.authority, family)
