"""POST /token and /logout in an application, and in its API description. What they need is imported when they are first called."""

from asyncio import to_thread
from importlib import import_module
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from serving import problems
from serving.auth import policy
from serving.inputs import bodies

TEXT = {"type": "string"}
FIELDS = {"grant_type": {**TEXT, "enum": ["password", "refresh_token"]}, "username": TEXT, "password": TEXT, "refresh_token": TEXT}
FORM = {"schema": {"type": "object", "properties": FIELDS, "required": ["grant_type"]}}
SCHEME = {"type": "oauth2", "flows": {"password": {"tokenUrl": "token", "refreshUrl": "token", "scopes": {}}}}


class Token(BaseModel):
    """Send the access token as `Authorization: Bearer <access_token>`; trade the refresh token, once, for the next two."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str


def mount(app: FastAPI) -> None:
    """Add POST /token and /logout, which answer also where no token is required."""

    @app.post(
        "/token",
        response_model=Token,
        responses=problems.documented(400, 403, 413, 415, 429, 503),
        openapi_extra={"requestBody": {"required": True, "content": {bodies.URLENCODED: FORM}}},
    )
    async def token(request: Request) -> Response:
        """Tokens for a user's name and password, or for a refresh token (OAuth2, RFC 6749)."""
        return await (await _signin()).token(request)

    @app.post("/logout", status_code=204, response_class=Response, responses=problems.documented(401, 403, 503))
    async def logout(request: Request) -> Response:
        """End the session that the token belongs to: its refresh token, and within seconds its access tokens."""
        return await (await _signin()).logout(request)

    plain = app.openapi
    app.openapi = lambda: app.openapi_schema or described(plain(), hasattr(app.state, "authority"))  # type: ignore[method-assign]


async def _signin() -> Any:
    return await to_thread(import_module, "serving.auth.signin")  # takes a second, the first time


def described(schema: dict[str, Any], guarded: bool) -> dict[str, Any]:
    """An OpenAPI description with the password flow, and where tokens are required, the operations that need one."""
    schema.setdefault("components", {})["securitySchemes"] = {"token": SCHEME}
    responses = {str(status): response for status, response in problems.documented(401, 403).items()}
    for operations in [found for path, found in schema["paths"].items() if guarded and path not in policy.OPEN]:
        for operation in operations.values():
            operation["security"] = [{"token": []}]
            operation["responses"].update(responses)
    return schema
