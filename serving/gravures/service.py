"""Which engraving does this look like, and which lenses bear it? `make serve family=gravures`"""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pipelines.configs import Serving
from serving import endpoints, problems
from serving.gravures import answers, images
from serving.gravures.catalogue import Catalogue
from serving.gravures.lookup import Lookup
from serving.inputs import bodies
from serving.inputs.bodies import Body
from serving.live.champion import Served

app = endpoints.application("gravures", "Which engraving is this, and which lenses bear it?")
POST = problems.documented(400, 408, 413, 415, 422, 503)


@app.post("/match", response_model=answers.Matches, responses=POST, openapi_extra=answers.described("k"))
async def match(request: Request) -> Response:
    """The engravings most like a picture, classes and pictures of the catalogue, with the lenses that bear them."""
    body = await _read(request)
    return await endpoints.respond(request, _matched, body, app.state.champion.served, answers.many(request.query_params))


async def _matched(body: Body, served: Served, limits: Serving, k: int) -> dict[str, Any]:
    return await answers.matched(body, served, limits, app.state.lookup, k)


@app.post("/embedding", response_model=answers.Embedding, responses=POST, openapi_extra=answers.described())
async def embedding(request: Request) -> Response:
    """A picture as 256 numbers: engravings that are alike have similar ones, of the same version of the model."""
    body = await _read(request)
    return await endpoints.respond(request, answers.embedded, body, app.state.champion.served, compared=False)


async def _read(request: Request) -> Body:
    limit = app.state.limits.limit_mb
    return await bodies.read(request, limit, json_mb=limit)


@app.get(
    "/search_tags",
    response_model=answers.Found,
    responses=problems.documented(422, 503),
    openapi_extra={"parameters": [*map(answers.parameter, ("tags", "page", "size"))]},
)
async def search_tags(request: Request) -> JSONResponse:
    """The lenses whose engravings show all of these shapes and letters, page by page."""
    return JSONResponse(await answers.searched(request.query_params, app.state.champion.served, app.state.lookup))


@app.get("/engravings", response_model=answers.Known)
async def engravings(request: Request) -> JSONResponse:
    """The engravings that are found by a drawing, without the pictures of the catalogue."""
    return JSONResponse({"engravings": answers.known(app.state.champion.served, app.state.lookup)})


@app.get("/tags", response_model=answers.Tags, responses=problems.documented(503))
async def tags(request: Request) -> JSONResponse:
    """All shapes and letters that lenses are found by, and how many lenses by each."""
    state = app.state
    return JSONResponse({"tags": await state.lookup.query(state.champion.served.predictor, Catalogue.tags)})


@app.get(
    "/verre/{verre_id}",
    response_model=answers.Verre,
    responses=problems.documented(404, 422, 503),
    openapi_extra=answers.in_path("verre_id", answers.INTEGER, "the id of a lens"),
)
async def verre(request: Request) -> JSONResponse:
    """All that is known of one lens."""
    state = app.state
    return JSONResponse(await answers.verre(request.path_params["verre_id"], state.champion.served, state.lookup))


@app.get(
    "/picture/{name:path}",
    response_class=Response,
    responses={200: images.FILE, 304: {"description": "The client has it."}, **problems.documented(404)},
    openapi_extra=answers.in_path("name", {"type": "string"}, "such as catalogue/gravure_0000.png, as answers have it"),
)
async def picture(request: Request) -> Response:
    """The picture of an engraving as it came, where the data are on this machine."""
    return app.state.lookup.pictures.answer(request.path_params["name"], request)


@endpoints.service("gravures")
class Gravures(endpoints.Endpoint):
    """A drawing in, the engravings most like it and their lenses out; and lenses by what is engraved."""

    app = app

    def __init__(self) -> None:
        self.app.state.lookup = Lookup()
        super().__init__()

    def prepare(self, predictor: Any) -> None:
        """Store its catalogue in the database."""
        self.app.state.lookup.store(predictor)
