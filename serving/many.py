"""Several files in one request: each is answered or refused by itself, in order."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import BaseModel

from pipelines.configs import Serving
from serving import problems
from serving.inputs.bodies import Body
from serving.live.champion import Served
from serving.problems import Problem, Refusal

Ask = Callable[..., Awaitable[Any]]  # as in endpoints, which takes long to import
MOST = 64  # files of a request


class Failure(BaseModel):
    """A file that could not be answered, and why."""

    success: bool
    problem: Problem


def each(ask: Ask) -> Ask:
    """`ask` of each of several bodies, one after another, so that those of other requests come in between."""

    async def answers(sent: Sequence[Body], served: Served, limits: Serving) -> list[dict[str, Any]]:
        return [await _answered(ask, body, served, limits) for body in sent]

    return answers


async def _answered(ask: Ask, body: Body, served: Served, limits: Serving) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = await ask(body, served, limits)
        return answer
    except Refusal as refusal:
        return failure(refusal)


def failure(refusal: Refusal) -> dict[str, Any]:
    """A Failure as JSON."""
    return {"success": False, "problem": problems.problem(refusal)}
