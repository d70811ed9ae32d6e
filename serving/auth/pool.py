"""Threads for what would block the event loop; a bounded number of requests may wait for them."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipelines.databases import NoDatabase
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
Result = TypeVar("Result")


class BoundedPool:
    """A pool of `threads` that takes at most `most` requests, those at work included."""

    def __init__(self, threads: int, most: int, name: str) -> None:
        self._pool, self.most, self.inside = ThreadPoolExecutor(threads, name), most, 0

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """work(*arguments) in a thread. Raises Refusal 503 where the pool is full, or the database does not answer."""
        if self.inside >= self.most:
            raise Refusal(503, "busy", f"{self.inside} others are signing in. Send it again in a second.", "temporarily_unavailable")
        self.inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        except NoDatabase as absence:
            logger.error("nobody can sign in: %s", absence)
            detail = "The user database does not answer; the service's log says why. Try again in a minute."
            raise Refusal(503, "no database", detail, "temporarily_unavailable") from None
        finally:
            self.inside -= 1


PASSWORDS = BoundedPool(2, 32, "passwords")  # each takes 64 MiB and 50 ms
SESSIONS = BoundedPool(2, 256, "sessions")
