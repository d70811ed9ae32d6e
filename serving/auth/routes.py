"""POST /token and /logout in an application, and in its API description. Nothing heavy is imported before they are asked."""

from asyncio import to_thread
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from serving import problems
from serving.auth import policy

FIELDS = {"grant_type": ["password", "refresh_token"], "username": None, "password": None, "refresh_token": None}
SCHEME = {"type": "oauth2", "flows": {"password": {"tokenUrl": "token", "refreshUrl": "token", "scopes": {}}}}


class Token(BaseModel):
    """Send the access token as `Authorization: Bearer <access_token>`; trade the refresh token, once, for the next two."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


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
    return await to_thread(import_module, "serving.auth.signin")  # a second, the first time


def _form() -> dict[str, Any]:
    fields = {name: {"type": "string", **({"enum": choices} if choices else {})} for name, choices in FIELDS.items()}
    form = {"type": "object", "properties": fields, "required": ["grant_type"]}
    return {"requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": form}}}}


def described(schema: dict[str, Any], guarded: bool) -> dict[str, Any]:
    """An OpenAPI description with the password flow, and where tokens are required, with what asks for one."""
    schema.setdefault("components", {})["securitySchemes"] = {"token": SCHEME}
    asking = [ways for path, ways in schema["paths"].items() if guarded and path not in policy.OPEN]
    for way in (way for ways in asking for way in ways.values()):
        way["security"] = [{"token": []}]
        way["responses"].update({str(status): told for status, told in problems.documented(401, 403).items()})
    return schema
