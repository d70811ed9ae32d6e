"""The guard before the portal: who has not signed in reaches the home page, the page about it, signing in and up, and nothing else."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.auth.pool import SESSIONS
from serving.auth.sites import SAFE
from serving.auth.users import ADMINISTRATOR, SCIENTIST
from serving.pages import standalone
from serving.portal import passwords, rendering
from serving.portal.sessions import Sessions
from serving.problems import Refusal, Refused

OPEN = frozenset({"/", "/about", "/sign-in", "/sign-up"})
ALSO = frozenset({"/language"}) | passwords.PATHS  # which show nothing of anybody
ONLY = {"/admin": (ADMINISTRATOR,), "/science": (SCIENTIST, ADMINISTRATOR)}  # {path, and all below it: roles}
PROBES = frozenset({"/livez", "/readyz"})
COOKIE = "atelier_portal"


class Guard:
    """An application whose `request.user` is the User, or None on the open pages."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self.app, self.sessions = app, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBES or scope["path"].startswith("/static/"):
            return await self.app(scope, receive, send)
        request = Request(scope)
        cookie = request.cookies.get(COOKIE)
        try:
            user = await SESSIONS.run(self.sessions.touch, cookie) if cookie else None
        except Refusal as refusal:
            return await Refused(refusal)(scope, receive, send)
        scope["user"] = user
        if user:
            request.state.user = user.name
        elif scope["path"] not in OPEN | ALSO:
            return await _unauthorized(request, ended=bool(cookie))(scope, receive, send)
        if user and not allowed(scope["path"], user.role):
            return await rendering.refused(request, Refusal(403, "role", _role_words(user.role)))(scope, receive, send)
        await self.app(scope, receive, send)


def allowed(path: str, role: str) -> bool:
    """May users of this role see the path? None is no role's alone unless ONLY says so."""
    return all(role in roles for begin, roles in ONLY.items() if path == begin or path.startswith(f"{begin}/"))


def _role_words(role: str) -> str:
    return (
        f"Your account is that of {'an' if role[0] in 'ao' else 'a'} {role}, and this page is for others. An administrator changes roles."
    )


def _unauthorized(request: Request, ended: bool) -> Response:
    """The sign-in page for a person, which leads back; 401 for a script or a program."""
    request.state.refusal = "no session"
    if not standalone.wanted(request):
        return Refused(Refusal(401, "no session", "The session is over. Sign in again.", headers={"Cache-Control": "no-store"}))
    query = f"?{request.url.query}" if request.url.query else ""
    back = {"next": request.scope["path"] + query} if request.method in SAFE else {}
    return rendering.redirect(request, f"/sign-in?{urlencode({**back, **({'ended': '1'} if ended else {})})}")
