"""Work that would keep everybody waiting, in a few threads; more of it than may wait is refused."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pipelines.databases import NoDatabase
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
Result = TypeVar("Result")


class Room:
    """So many threads, and a place for so many requests, those at work included."""

    def __init__(self, threads: int, most: int, name: str) -> None:
        self._pool, self.most, self.inside = ThreadPoolExecutor(threads, name), most, 0

    async def run(self, work: Callable[..., Result], *words: object) -> Result:
        """work(*words) in a thread. Raises Refusal 503 where no place is left, or the database does not answer."""
        if self.inside >= self.most:
            raise Refusal(503, "busy", f"{self.inside} others are signing in. Send it again in a second.", "temporarily_unavailable")
        self.inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *words)
        except NoDatabase as absence:
            logger.error("nobody can sign in: %s", absence)
            told = "The database of users does not answer; the service's log says why. Try again in a minute."
            raise Refusal(503, "no database", told, "temporarily_unavailable") from None
        finally:
            self.inside -= 1


PASSWORDS = Room(2, 32, "passwords")  # each takes 64 MiB and 50 ms
SESSIONS = Room(2, 256, "sessions")
