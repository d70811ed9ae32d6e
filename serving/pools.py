"""Threads for what waits for a database or a disk: pools of their own, so that no answer of a model waits with it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serving.problems import Refusal

Result = TypeVar("Result")


class BoundedPool:
    """A pool of `threads` that takes at most `most` requests, those at work included; `doing` says in words what they do."""

    def __init__(self, threads: int, most: int, name: str, doing: str) -> None:
        self._pool, self.most, self.doing, self.inside = ThreadPoolExecutor(threads, name), most, doing, 0

    async def run(self, work: Callable[..., Result], *arguments: object) -> Result:
        """work(*arguments) in a thread. Raises Refusal 503 where the pool is full."""
        if self.inside >= self.most:
            detail = f"{self.inside} others are {self.doing}. Send it again in a second."
            raise Refusal(503, "busy", detail, "temporarily_unavailable")
        self.inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self.inside -= 1
