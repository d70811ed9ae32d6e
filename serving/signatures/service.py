"""Where on this page are signatures, and how many? `make serve family=signatures`"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving import endpoints, many, problems
from serving.inputs import bodies, dataurls, pictures
from serving.inputs.bodies import Body
from serving.live.champion import Served
from serving.signatures import answers, pages

app = endpoints.application("signatures", "Where on this page are signatures, and how many?")


@app.post(
    "/predict",
    response_model=answers.Answer,
    responses={200: pictures.PNG, **problems.documented(400, 408, 413, 415, 422, 503)},
    openapi_extra=answers.described(),
)
async def predict(request: Request) -> Response:
    """The signatures on a page, or on each page of a PDF or TIFF; or one page as PNG, its signatures framed."""
    served = app.state.champion.served
    file, asked = await _read(request)
    if not asked.draw:
        return await endpoints.respond(request, answers.predict, file, served, asked.page)
    return await _drawn(request, file, served, asked.page or 1)


@app.post(
    "/predict/batch",
    response_model=answers.Answers,
    responses=problems.documented(400, 408, 413, 415, 422, 503),
    openapi_extra=bodies.openapi_many(many.MOST),
)
async def predict_batch(request: Request) -> Response:
    """The same for up to 64 files, together as large as one body may be, in order; a broken one has a problem in its place."""
    served, sent = app.state.champion.served, await bodies.read_many(request, app.state.limits.limit_mb, many.MOST)
    return await endpoints.respond_many(request, many.each(answers.predict), sent, served)


async def _drawn(request: Request, file: Body, served: Served, number: int) -> Response:
    """The page as PNG; the answer is recorded once it is drawn, and not where that is refused or takes too long."""
    png = b""

    async def answered(*asked: Any) -> dict[str, Any]:
        nonlocal png
        answer = await answers.predict(*asked)
        png = await pages.drawn(file, app.state.limits, number, answer["prediction"])
        return answer

    given = await endpoints.answer(app.state, answered, file, served, number)
    return endpoints.picture_response(request, png, given.answer)


@app.post(
    "/page",
    response_class=Response,
    responses={200: pictures.PNG, **problems.documented(400, 408, 413, 415, 422, 503)},
    openapi_extra=answers.described(draw=False),
)
async def page(request: Request) -> Response:
    """One page as PNG, as it was sent: of a PDF in the pixels of its boxes."""
    file, asked = await _read(request, draw=False)
    return Response(await pages.drawn(file, app.state.limits, asked.page or 1), media_type="image/png")


async def _read(request: Request, draw: bool = True) -> tuple[Body, answers.Asked]:
    """The file, and the options of the query. Raises Refusal."""
    limit = app.state.limits.limit_mb
    body = await bodies.read(request, limit, answers.KINDS, json_mb=limit)
    return await dataurls.unwrapped(body), answers.asked(request.query_params, draw)


@endpoints.service("signatures")
class Signatures(endpoints.Endpoint):
    """A page, a PDF or a TIFF in, the boxes of its signatures out."""

    app = app
