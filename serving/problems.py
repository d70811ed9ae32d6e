"""One format for every refusal: problem+json (RFC 9457), which names the value, what is allowed and the remedy."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
DETAILS = {  # {status: what is said of the framework's own errors}
    404: "There is nothing at this address ({}). /docs lists what there is.",
    405: "{method} is not answered at this address; {allowed} is. /docs says what to send.",
}


class Problem(BaseModel):
    """The answer to a refused request; `reason` is a short word for programs and metrics."""

    title: str
    status: int
    detail: str
    reason: str


class Refusal(Exception):
    """A request that cannot be answered, and why; `error` is OAuth2's error code, `headers` are added to the answer."""

    def __init__(self, status: int, reason: str, detail: str, error: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.error, self.headers = status, reason, detail, error, headers

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


def problem(refusal: Refusal) -> dict[str, Any]:
    """A refusal as JSON."""
    problem = {"title": refusal.title, "status": refusal.status, "detail": refusal.detail, "reason": refusal.reason}
    return problem | ({"error": refusal.error} if refusal.error else {})


class Refused(JSONResponse):
    """The response to a refused request; stores the reason in the request's state, for the log and the metrics."""

    media_type = MEDIA_TYPE

    def __init__(self, refusal: Refusal) -> None:
        self.reason = refusal.reason
        again = {"Retry-After": "1"} if refusal.status == 503 else {}
        super().__init__(problem(refusal), refusal.status, {**again, **(refusal.headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["refusal"] = self.reason
        await super().__call__(scope, receive, send)


def fault(request_id: str) -> Refusal:
    """The refusal of a request that failed unexpectedly: only the log has the error."""
    return Refusal(500, "fault", f"The service failed on this request; its log says why under request id {request_id}.")


def handle(app: FastAPI, page: Callable[[Request, Refusal], Response | None] = lambda *_: None) -> None:
    """Answer refusals, and the framework's own errors, as problems; as a `page` where that gives one."""

    async def refused(request: Request, error: Any) -> Response:
        return page(request, error) or Refused(error)

    async def raised(request: Request, error: Any) -> Response:
        status, headers = error.status_code, dict(error.headers or {})
        if status == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods(request)):
            headers["Allow"] = ", ".join(sorted(methods))  # the framework names only those of the first route
        detail = DETAILS.get(status, "{}").format(error.detail, method=request.method, allowed=headers.get("Allow", "GET"))
        return await refused(request, Refusal(status, HTTPStatus(status).phrase.lower(), detail, headers=headers))

    async def gone(_: Request, __: Any) -> Refused:
        return Refused(Refusal(400, "client gone", "The connection was closed before the body was complete. Send it again."))

    async def failed(request: Request, _: Any) -> Response:
        return await refused(request, fault(request.state.request_id))

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, failed)
    app.add_exception_handler(HTTPException, raised)


def _methods(request: Request) -> set[str]:
    """The methods of this path; none below a mount."""
    here = (route for route in request.app.routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE)
    return {method for route in here for method in route.methods or ()}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses for an OpenAPI description."""
    schema = {"schema": Problem.model_json_schema()}
    return {status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: schema}} for status in statuses}
