"""The guard before an application: without a valid token only health checks and signing in are reached."""

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines import errors
from serving.auth import authority, cookies, policy, signin, sites
from serving.auth.authority import Authority, Granted
from serving.auth.keys import PREFIX, InvalidKey, OutOfScope
from serving.auth.pool import SESSIONS
from serving.auth.tokens import InvalidToken
from serving.pages import standalone
from serving.problems import Refusal, Refused

OPEN = frozenset({*policy.OPEN, "/livez", "/readyz", "/healthz"})  # signin checks its own tokens


def guarded(app: FastAPI, inner: ASGIApp, family: str) -> ASGIApp:
    """`inner` behind the guard; ends the process with a message where nobody could sign in."""
    with errors.printed_once():  # BentoML restarts a worker that ends so, until there is a user
        app.state.authority = authority.with_users()
    app.state.authority.start()
    return Guard(inner, app.state.authority, family)


class Guard:
    """An application behind tokens: a bearer token or key, or a browser's cookies. `request.state.user` is the user's name."""

    def __init__(self, app: ASGIApp, authority: Authority, family: str) -> None:
        self.app, self.authority, self.family = app, authority, family

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            return await self.app(scope, receive, send)
        request = Request(scope)
        try:
            renewed = await self._authenticated(request)
        except Refusal as refusal:
            wants_page = request.method in sites.SAFE and standalone.wanted(request)
            answer = signin.page(request, self.family, refusal) if wants_page else Refused(refusal)
            return await answer(scope, receive, send)
        await self.app(scope, receive, _with_cookies(request, renewed, send) if renewed else send)

    async def _authenticated(self, request: Request) -> Granted | None:
        """Set the user; returns new tokens where the cookies' access token has expired. Raises Refusal."""
        given = signin.bearer(request)
        access, refresh = (cookies.token(request, kind) for kind in cookies.COOKIES)
        if given is None and not access and not refresh:
            raise signin.unauthorized()
        if given and given.startswith(PREFIX):
            await self._by_key(request, given)
            return None
        try:
            request.state.user = self.authority.check((access or "") if given is None else given).user
            return None
        except InvalidToken as fault:
            if given is not None or not refresh:
                raise signin.unauthorized(str(fault)) from None
        return await self._renewed(request, refresh)

    async def _by_key(self, request: Request, text: str) -> None:
        try:
            key = await SESSIONS.run(self.authority.keys.check, text, self.family)
        except InvalidKey as fault:
            raise signin.unauthorized(str(fault)) from None
        except OutOfScope as fault:
            challenge = {"WWW-Authenticate": 'Bearer realm="atelier", error="insufficient_scope"'}
            raise Refusal(403, "key scope", str(fault), headers=challenge) from None
        request.state.user, request.state.key = key.user, key.id

    async def _renewed(self, request: Request, refresh: str) -> Granted:
        try:
            granted = await SESSIONS.run(self.authority.renew, refresh, True)
        except InvalidToken as fault:
            raise signin.unauthorized(str(fault)) from None
        request.state.user = granted.user
        return granted


def _with_cookies(request: Request, granted: Granted, send: Send) -> Send:
    carrier = Response()
    cookies.store(carrier, request, granted.access, granted.refresh)

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            for cookie in carrier.headers.getlist("set-cookie"):
                MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return sent
