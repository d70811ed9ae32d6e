"""Requests that wait together are answered together, in one call of the model."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import telemetry

Predict = Callable[[NDArray[Any]], Any]
Waiting = tuple[NDArray[Any], "asyncio.Future[Any]"]


class Batches:
    """Adaptive batching without a waiting time: a lone request goes at once, and batches grow with the load.

    While one batch is at work the next one gathers, at most `size` pictures of one shape. A fault of the model is raised to
    all of its batch.
    """

    def __init__(self, predict: Predict, size: int, family: str) -> None:
        self._predict, self._size = predict, size
        self._waiting: deque[Waiting] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._sizes = telemetry.BATCHES.labels(family)

    async def answer(self, picture: NDArray[Any]) -> Any:
        """The model's answer for one picture: row i of predict([n, ...])."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((picture, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._size, len(self._waiting)))]
            self._sizes.observe(len(batch))
            await self._answer(batch)
        self._worker = None

    async def _answer(self, batch: list[Waiting]) -> None:
        try:
            answers = await asyncio.to_thread(self._predict, np.stack([picture for picture, _ in batch]))
        except Exception as error:
            for _, future in _still(batch):
                future.set_exception(error)
        else:
            for index, future in _still(batch):
                future.set_result(answers[index])


def _still(batch: list[Waiting]) -> Iterator[tuple[int, "asyncio.Future[Any]"]]:
    """Those that are still waited for: a client may have gone, or its time run out."""
    return ((index, future) for index, (_, future) in enumerate(batch) if not future.done())
