"""Threads for passwords and sessions."""

import logging
from collections.abc import Callable
from typing import TypeVar

from pipelines.databases import NoDatabase
from serving.pools import BoundedPool
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
Result = TypeVar("Result")


class UsersPool(BoundedPool):
    """A pool for what asks the users' database."""

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """work(*arguments) in a thread. Raises Refusal 503 where the pool is full, or the database does not answer."""
        try:
            return await super().run(work, *arguments)
        except NoDatabase as absence:
            logger.error("nobody can sign in: %s", absence)
            detail = "The user database does not answer; the service's log says why. Try again in a minute."
            raise Refusal(503, "no database", detail, "temporarily_unavailable") from None


PASSWORDS = UsersPool(2, 32, "passwords", "signing in")  # each takes 64 MiB and 50 ms
SESSIONS = UsersPool(2, 256, "sessions", "signing in")
