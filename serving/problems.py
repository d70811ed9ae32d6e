"""One shape for every refusal: problem+json (RFC 9457), which names the value, what is allowed and the remedy."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"


class Problem(BaseModel):
    """What a refused request is answered with."""

    title: str
    status: int
    detail: str


class Refusal(Exception):
    """A request that cannot be answered, and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def response(status: int, detail: str) -> JSONResponse:
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return JSONResponse(problem.model_dump(), status, media_type=MEDIA_TYPE)


def handle(app: FastAPI) -> None:
    """Answer refusals, and the framework's own errors, in the one shape."""

    async def refused(_: Request, error: Any) -> JSONResponse:
        return response(error.status, error.detail)

    async def raised(_: Request, error: Any) -> JSONResponse:
        return response(error.status_code, str(error.detail))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, raised)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for an OpenAPI description."""
    schema = {"schema": Problem.model_json_schema()}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}
