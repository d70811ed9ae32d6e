"""Which digit is on this picture? `make serve family=digits`"""

import bentoml
from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse

from pipelines import configs
from serving import bodies, endpoints, problems
from serving.champion import Champion
from serving.digits import answers

app = endpoints.application("digits", "Which digit is on this picture?")


@bentoml.service(name="digits", http={"host": "127.0.0.1"}, traffic={"timeout": 30}, logging={"access": {"enabled": False}})
@bentoml.asgi_app(app)
class Digits:
    """One picture of a digit, or 28 x 28 numbers, in; the ranking of all ten out."""

    def __init__(self) -> None:
        self.limits = configs.serving("digits")
        self.decoders = CapacityLimiter(2)  # pictures at once: a large one takes a few hundred megabytes
        self.champion = app.state.champion = Champion("digits")
        self.champion.follow()

    @app.post(
        "/predict",
        response_model=answers.Answer,
        responses=problems.documented(400, 413, 415, 422),
        openapi_extra=bodies.described(answers.Pixels),
    )
    async def predict(self, request: Request) -> JSONResponse:
        """Rank the ten digits for one picture."""
        served = self.champion.served
        content = await bodies.read(request, answers.Pixels, self.limits.limit_mb)
        digit = await to_thread.run_sync(answers.read, content, served, self.limits, limiter=self.decoders)
        return JSONResponse(answers.answer(digit, served))
