"""Which digit is on this picture? `make serve family=digits`"""

from starlette.requests import Request
from starlette.responses import Response

from serving import endpoints, problems
from serving.digits import answers
from serving.inputs import bodies

app = endpoints.application("digits", "Which digit is on this picture?")


@app.post(
    "/predict",
    response_model=answers.Answer,
    responses=problems.documented(400, 408, 413, 415, 422, 503),
    openapi_extra=bodies.openapi(answers.Pixels),
)
async def predict(request: Request) -> Response:
    """Rank the ten digits for one picture."""
    served, limits = app.state.champion.served, app.state.limits
    body = await bodies.read(request, limits.limit_mb)
    return await endpoints.respond(request, answers.predict, body, served)


@endpoints.service("digits")
class Digits(endpoints.Endpoint):
    """One picture of a digit, or 28 x 28 numbers, in; the ranking of all ten out."""

    app = app
