"""What the portal has refused and failed at since it began, grouped by route, status and reason."""

import time
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.databases import Clock

MOST = 200  # groups; the one that was seen longest ago goes
LEAST = 400  # statuses from here on
QUIET = (401,)  # whose session has ended


@dataclass
class Group:
    """Requests of one route that ended with one status for one reason; times in seconds since 1970."""

    path: str
    status: int
    reason: str
    first: float
    last: float
    count: int = 0
    user: str = ""


class Faults:
    """The groups."""

    def __init__(self, clock: Clock = time.time) -> None:
        self.clock, self.groups = clock, dict[tuple[str, int, str], Group]()

    def of(self, app: ASGIApp) -> ASGIApp:
        """The application, whose refusals and faults are counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] >= LEAST and message["status"] not in QUIET:
                    self._note(scope, message["status"])
                await send(message)

            await app(scope, receive, noted)

        return counted

    def _note(self, scope: Scope, status: int) -> None:
        state: dict[str, Any] = scope.get("state", {})
        path, reason = getattr(scope.get("route"), "path", "other"), str(state.get("refusal", ""))
        group = self.groups.pop((path, status, reason), None) or Group(path, status, reason, self.clock(), 0.0)
        group.last, group.count, group.user = self.clock(), group.count + 1, str(state.get("user", ""))
        self.groups[path, status, reason] = group  # the last one is the newest
        if len(self.groups) > MOST:
            del self.groups[next(iter(self.groups))]

    def newest(self) -> list[Group]:
        """The groups, the newest first."""
        return list(self.groups.values())[::-1]
