"""Which of ten things is on this picture? `make serve family=objects`"""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from pipelines.configs import Serving
from serving import endpoints, many, problems
from serving.inputs import bodies
from serving.inputs.bodies import Body
from serving.live.champion import Served
from serving.objects import answers
from serving.problems import Refusal

app = endpoints.application("objects", "What is on this picture?")


@app.post(
    "/predict",
    response_model=answers.Answer,
    responses=problems.documented(400, 408, 413, 415, 422, 503),
    openapi_extra=bodies.openapi(),
)
async def predict(request: Request) -> Response:
    """The three likeliest classes for one picture."""
    served, limits = app.state.champion.served, app.state.limits
    body = await bodies.read(request, limits.limit_mb, bodies.PICTURES)
    return await endpoints.respond(request, answers.predict, body, served)


@app.post(
    "/predict/batch",
    response_model=answers.Answers,
    responses=problems.documented(400, 408, 413, 415, 422, 503),
    openapi_extra=bodies.openapi_many(many.MOST),
)
async def predict_batch(request: Request) -> Response:
    """The same for up to 64 pictures, together as large as one body may be, in order; a broken one has a problem in its place."""
    served, sent = app.state.champion.served, await bodies.read_many(request, app.state.limits.limit_mb, many.MOST)
    return await endpoints.respond_many(request, _each, sent, served)


async def _each(sent: Sequence[Body], served: Served, limits: Serving) -> list[dict[str, Any]]:
    """An answer or a problem for each picture."""
    pictures = [await _read(body, served, limits) for body in sent]  # one by one, so that images of other requests come in between
    return await asyncio.gather(*(_answered(picture, served) for picture in pictures))


async def _read(body: Body, served: Served, limits: Serving) -> NDArray[np.uint8] | Refusal:
    """An image, decoded outside the pool of single requests, as many small ones take long; or why it is none."""
    try:
        return await bodies.in_thread(answers.read, body, served, limits)
    except Refusal as refusal:
        return refusal


async def _answered(picture: NDArray[np.uint8] | Refusal, served: Served) -> dict[str, Any]:
    if isinstance(picture, Refusal):
        return many.failure(picture)
    return answers.answer(await served.batches.answer(picture), served)


@endpoints.service("objects")
class Objects(endpoints.Endpoint):
    """One picture in, the likeliest classes out; or up to 64 of them."""

    app = app
