"""What the portal's routes write into the audit."""

from starlette.requests import Request

from serving.auth.pool import SESSIONS


def address(request: Request) -> str:
    """Where the request comes from."""
    return request.client.host if request.client else "unknown"


async def note(request: Request, what: str, target: str = "", detail: str = "") -> None:
    """The signed-in user has done this. Raises Refusal 503."""
    await SESSIONS.run(request.app.state.portal.authority.audit.note, request.user.name, what, target, address(request), detail)
