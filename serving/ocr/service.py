"""What does this line, or this page, say? `make serve family=ocr`"""

from starlette.requests import Request
from starlette.responses import Response

from serving import endpoints, many, problems
from serving.inputs import bodies
from serving.jobs import routes as job_routes
from serving.ocr import answers, desk

app = endpoints.application("ocr", "What does this line, or this page, say?")
desk.mount(app)
job_routes.mount(app, "ocr", answers.KINDS)


@app.post(
    "/predict",
    response_model=answers.Answer,
    response_model_exclude_none=True,
    responses=problems.documented(400, 408, 413, 415, 422, 503),
    openapi_extra=answers.described(),
)
async def predict(request: Request) -> Response:
    """The text of an image, line by line; of a TIFF page after page."""
    served, limits = app.state.champion.served, app.state.limits
    body = await bodies.read(request, limits.limit_mb, answers.KINDS, json_mb=limits.limit_mb)
    return await endpoints.respond(request, answers.predict, body, served)


@app.post(
    "/predict/batch",
    response_model=answers.Answers,
    response_model_exclude_none=True,
    responses=problems.documented(400, 408, 413, 415, 422, 503),
    openapi_extra=bodies.openapi_many(many.MOST),
)
async def predict_batch(request: Request) -> Response:
    """The same for up to 64 files, together as large as one body may be, in order; a broken one has a problem in its place."""
    served, sent = app.state.champion.served, await bodies.read_many(request, app.state.limits.limit_mb, many.MOST)
    return await endpoints.respond_many(request, many.each(answers.predict), sent, served)


@endpoints.service("ocr")
class Ocr(endpoints.Endpoint):
    """An image in, its text out."""

    app = app

    def __init__(self) -> None:
        super().__init__()
        job_routes.start(self.app, "ocr")
