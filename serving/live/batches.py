"""Requests that wait at the same time are answered in one call of the model."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving import telemetry

Predict = Callable[[NDArray[Any]], Any]
Waiting = tuple[NDArray[Any], "asyncio.Future[Any]"]


class Batches:
    """Adaptive batching without a delay: while one batch is at work the next one gathers, at most `size` pictures of one shape.

    An error of the model, or a wrong number of answers, is raised to each request of its batch.
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
        try:
            while batch := self._gathered():
                self._sizes.observe(len(batch))
                await self._answer(batch)
        finally:
            self._worker = None

    def _gathered(self) -> list[Waiting]:
        """The next pictures of one shape, without those whose client has gone or timed out."""
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self._size:
            picture, future = self._waiting[0]
            if batch and picture.shape != batch[0][0].shape:
                break
            self._waiting.popleft()
            batch += [] if future.done() else [(picture, future)]
        return batch

    async def _answer(self, batch: list[Waiting]) -> None:
        try:
            answers = await asyncio.to_thread(self._predict, np.stack([picture for picture, _ in batch]))
            for answer, (_, future) in zip(answers, batch, strict=True):
                _settle(future, future.set_result, answer)
        except Exception as error:
            for _, future in batch:
                _settle(future, future.set_exception, error)


def _settle(future: "asyncio.Future[Any]", how: Callable[[Any], None], what: Any) -> None:
    if not future.done():
        how(what)
