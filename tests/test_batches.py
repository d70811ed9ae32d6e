"""Adaptive batching: nobody waits for company, and who waits anyway is answered together."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.live.batches import Batches


class Model:
    """Doubles pictures; its first call waits for `go`, and a picture of 13 is a fault."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.go = threading.Event()

    def predict(self, pictures: NDArray[Any]) -> NDArray[Any]:
        self.sizes.append(len(pictures))
        assert self.go.wait(10)
        if (pictures == 13).any():
            raise ValueError("thirteen")
        return pictures * 2


def asked(model: Model, numbers: list[int], meanwhile: Callable[[list[asyncio.Task[Any]]], Awaitable[None]] | None = None) -> list[Any]:
    """Ask for the first number, then for the others while it is at work."""

    async def ask() -> list[Any]:
        batches = Batches(model.predict, 4, "digits")
        tasks = [asyncio.create_task(batches.answer(np.array(numbers[0])))]
        while not model.sizes:
            await asyncio.sleep(0)
        tasks += [asyncio.create_task(batches.answer(np.array(number))) for number in numbers[1:]]
        await asyncio.sleep(0)
        if meanwhile:
            await meanwhile(tasks)
        model.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(ask())


def test_a_lone_request_goes_at_once_and_the_next_ones_go_together() -> None:
    model = Model()
    assert asked(model, list(range(1, 8))) == [2, 4, 6, 8, 10, 12, 14]
    assert model.sizes == [1, 4, 2]


def test_requests_of_one_moment_go_together() -> None:
    model = Model()
    model.go.set()

    async def ask() -> list[Any]:
        batches = Batches(model.predict, 4, "digits")
        return await asyncio.gather(*(batches.answer(np.array(number)) for number in range(3)))

    assert asyncio.run(ask()) == [0, 2, 4]
    assert model.sizes == [3]


def test_a_fault_is_told_to_its_batch_and_the_next_one_is_answered() -> None:
    answers = asked(Model(), [1, 2, 13, 4, 5, 6, 7])
    assert answers[0] == 2
    assert [str(fault) for fault in answers[1:5]] == ["thirteen"] * 4
    assert answers[5:] == [12, 14]


def test_a_client_that_has_gone_keeps_nobody_from_an_answer() -> None:
    async def gone(tasks: list[asyncio.Task[Any]]) -> None:
        tasks[2].cancel()

    model = Model()
    answers = asked(model, [1, 2, 3, 4], gone)
    assert isinstance(answers.pop(2), asyncio.CancelledError)
    assert answers == [2, 4, 8]
    assert model.sizes == [1, 2]  # the model never saw it


def test_it_works_again_after_a_rest() -> None:
    model = Model()
    model.go.set()

    async def ask() -> list[Any]:
        batches = Batches(model.predict, 4, "digits")
        return [await batches.answer(np.array(number)) for number in range(3)]

    assert asyncio.run(ask()) == [0, 2, 4]
    assert model.sizes == [1, 1, 1]


def test_pictures_of_another_shape_go_apart() -> None:
    shapes = []

    def predict(pictures: NDArray[Any]) -> NDArray[Any]:
        shapes.append(pictures.shape)
        return pictures.reshape(len(pictures), -1).sum(1)

    async def ask() -> list[Any]:
        batches = Batches(predict, 4, "digits")
        return await asyncio.gather(*(batches.answer(np.array(picture)) for picture in ([1, 2], [3, 4], [[5], [6]], [7, 8])))

    assert asyncio.run(ask()) == [3, 7, 11, 15]
    assert shapes == [(2, 2), (1, 2, 1), (1, 2)]


def test_a_model_with_too_few_answers_is_a_fault_and_the_next_request_is_answered() -> None:
    def predict(pictures: NDArray[Any]) -> NDArray[Any]:
        return pictures[: max(1, len(pictures) - 1)]

    async def ask() -> list[Any]:
        batches = Batches(predict, 4, "digits")
        first = await asyncio.gather(*(batches.answer(np.array(number)) for number in (1, 2)), return_exceptions=True)
        return [*first, await batches.answer(np.array(3))]

    one, two, three = asyncio.run(ask())
    assert (one, three) == (1, 3)
    assert isinstance(two, ValueError)
