"""The guard before an application: who has no valid token comes no further than the health checks and signing in."""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.auth import cookies, csrf, policy, signin, tokens
from serving.auth.authority import Authority, Granted
from serving.auth.pool import SESSIONS
from serving.problems import Refusal, Refused

OPEN = frozenset({*policy.OPEN, "/livez", "/readyz", "/healthz"})  # signin looks at its own tokens


class Guard:
    """An application that only those with a token reach: one in the head, or a browser's in its cookies. Their name goes into the log."""

    def __init__(self, app: ASGIApp, authority: Authority, family: str) -> None:
        self.app, self.authority, self.family = app, authority, family

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            return await self.app(scope, receive, send)
        request = Request(scope)
        try:
            renewed = await self._admitted(request)
        except Refusal as refusal:
            return await self._refused(request, refusal)(scope, receive, send)
        await self.app(scope, receive, _setting(request, renewed, send) if renewed else send)

    async def _admitted(self, request: Request) -> Granted | None:
        """Let in who may; tokens for new cookies, where those that came have run out. Raises Refusal."""
        if (given := signin.bearer(request)) is None:
            return await self._by_cookie(request)
        try:
            request.state.user = self.authority.admitted(given).user
            return None
        except tokens.Unaccepted as fault:
            raise signin.unnamed(str(fault)) from None

    async def _by_cookie(self, request: Request) -> Granted | None:
        access, refresh = (cookies.token(request, kind) for kind in ("access", "refresh"))
        if not access and not refresh:
            raise signin.unnamed()
        csrf.own(request)
        try:
            request.state.user = self.authority.admitted(access or "").user
            return None
        except tokens.Unaccepted as fault:
            return await self._renewed(request, refresh, str(fault))

    async def _renewed(self, request: Request, refresh: str | None, fault: str) -> Granted:
        try:
            granted = await SESSIONS.run(self.authority.renewed, refresh or "", True)
        except tokens.Unaccepted as end:
            raise signin.unnamed(str(end) if refresh else fault) from None
        request.state.user = granted.user
        return granted

    def _refused(self, request: Request, refusal: Refusal) -> Response:
        if request.method in csrf.SAFE and cookies.wants_page(request):
            return signin.page(request, self.family, refusal)
        return Refused(refusal)


def _setting(request: Request, granted: Granted, send: Send) -> Send:
    """The answer with the new cookies."""
    carrier = Response()
    cookies.keep(carrier, request, granted.access, granted.refresh)

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            for cookie in carrier.headers.getlist("set-cookie"):
                MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sent
