"""What gravures takes and answers."""

import re
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import QueryParams

from pipelines.configs import Serving
from pipelines.families.gravures.parts.index import KINDS
from pipelines.families.gravures.picture import Blank
from serving.gravures import catalogue, images
from serving.gravures.catalogue import Catalogue
from serving.gravures.lookup import LENSES, Lookup
from serving.inputs import bodies, dataurls, pictures, queries
from serving.inputs.bodies import Body
from serving.live.champion import Origin, Served, provenance, provenance_lines
from serving.problems import Refusal

K, MOST = 10, 100  # engravings in an answer: unless asked otherwise, and at most
SIZE, PAGES = 20, 1_000_000  # lenses on a page of a search unless asked otherwise, and pages at most
NUMBER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
INTEGER = {"type": "integer"}
QUERY: dict[str, dict[str, Any]] = {  # parameters of the query string
    "k": {"schema": {**INTEGER, "minimum": 1, "maximum": MOST, "default": K}, "description": "so many engravings"},
    "tags": {
        "schema": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "description": "shapes and letters that an engraving has all of; parted by commas or blanks, or each by itself",
    },
    "page": {"schema": {**INTEGER, "minimum": 1, "maximum": PAGES, "default": 1}, "description": "of the lenses that were found"},
    "size": {"schema": {**INTEGER, "minimum": 1, "maximum": catalogue.PAGE, "default": SIZE}, "description": "lenses on a page"},
}


class Lens(BaseModel):
    """A lens ("verre") of the catalogue."""

    verre_id: int
    name: str
    index_code: str | None
    index: float | None = Field(description="of refraction")


class Match(BaseModel):
    """An engraving, its similarity to the picture, from -1 to 1, and the lenses that bear it."""

    rank: int
    engraving: str
    kind: Literal["class", "catalogue", "added"]
    similarity: float
    picture: str | None = Field(description="where this service shows it; null where the pictures are not on its machine")
    lenses: Annotated[list[Lens], Field(max_length=LENSES)]
    lenses_total: int


class Matches(BaseModel):
    """The engravings most like the picture, the most similar first; among them classes added later, of which there are `added`."""

    success: bool
    matches: list[Match]
    added: int
    prediction_id: str
    model: Origin


class Embedding(BaseModel):
    """The picture as a vector of 256 numbers, normalised to length 1."""

    embedding: list[float]
    prediction_id: str
    model: Origin


class KnownEngraving(BaseModel):
    """A class of the model or an added engraving, and the address of its picture, where that is on this machine."""

    engraving: str
    kind: str
    picture: str | None


class Known(BaseModel):
    """All engravings but those of the catalogue, by name."""

    engravings: list[KnownEngraving]


class Engraved(BaseModel):
    """The catalogue's picture of an engraving, and the class whose symbol it shows, where there is one."""

    model_config = ConfigDict(populate_by_name=True)
    picture: str
    shows: str | None = Field(alias="class")


class Tagged(Lens):
    """A lens with all that is known of it, and what its engraving shows; maker and material are null until a source has them."""

    maker: str | None
    material: str | None
    engraving: Engraved | None
    tags: list[str]


class Found(BaseModel):
    """One page of the lenses whose engravings show all tags that were asked for; none, where a tag is unknown: then those most like it."""

    items: list[Tagged]
    page: int
    pages: int
    total: int
    unknown: dict[str, list[str]]


class Tag(BaseModel):
    """A shape or letters, and how many lenses' engravings show it."""

    tag: str
    count: int


class Tags(BaseModel):
    """All tags that are known, the most frequent first."""

    tags: list[Tag]


class Verre(Tagged):
    """A lens with the address of its picture, relative to this service's; where there is none, the note says why."""

    picture: str | None
    picture_note: str | None
    model: Origin


def described(*query: str) -> dict[str, Any]:
    """A picture as the body, and a query, for an OpenAPI description."""
    return bodies.openapi(dataurls.Submitted) | {"parameters": [*map(parameter, query)]}


def parameter(name: str) -> dict[str, Any]:
    """A parameter of the query, for an OpenAPI description."""
    return {"name": name, "in": "query", "required": name == "tags", **QUERY[name]}


def in_path(name: str, schema: dict[str, Any], words: str) -> dict[str, Any]:
    """The parameter of a path, for an OpenAPI description."""
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": schema, "description": words}]}


def many(query: QueryParams) -> int:
    """How many engravings are asked for. Raises Refusal 422."""
    return queries.parse_int(query, "k", 1, MOST, K)


async def read(body: Body, served: Served, limits: Serving) -> NDArray[np.uint8]:
    """An image normalised to [side, side]. Raises Refusal."""
    return await bodies.process(_decoded, await dataurls.unwrapped(body), served, limits)


def _decoded(body: Body, served: Served, limits: Serving) -> NDArray[np.uint8]:
    return normalised(pictures.inked(pictures.opened(body.content, limits.limit_megapixels)), served)


def normalised(grey: NDArray[np.uint8], served: Served) -> NDArray[np.uint8]:
    """A grey image [height, width] as the model takes it. Raises Refusal 422 where it is blank."""
    try:
        image: NDArray[np.uint8] = served.predictor.convention.from_grey(grey)
    except Blank as blank:
        raise Refusal(422, "blank", str(blank)) from blank
    return image


async def embedded(body: Body, served: Served, limits: Serving) -> dict[str, Any]:
    """The embedding of a picture. Raises Refusal."""
    found = await served.batches.answer(await read(body, served, limits))
    return {"embedding": [float(str(value)) for value in found], **provenance(served)}  # as short as float32 is


async def matched(body: Body, served: Served, limits: Serving, lookup: Lookup, k: int = K) -> dict[str, Any]:
    """The k engravings most like a picture, and the lenses that bear them. Raises Refusal."""
    embedding = await served.batches.answer(await read(body, served, limits))
    found = served.predictor.nearest(embedding, k)
    lenses = await lookup.lenses_with(served.predictor, [match.engraving for match in found])
    matches = [
        {
            "rank": rank,
            "engraving": match.engraving,
            "kind": match.kind,
            "similarity": round(match.similarity, 4),
            "picture": lookup.pictures.address(images.name_of(match)),
            "lenses": lenses[match.engraving].lenses,
            "lenses_total": lenses[match.engraving].total,
        }
        for rank, match in enumerate(found, 1)
    ]
    return {"success": True, "matches": matches, "added": len(served.predictor.added), **provenance(served)}


async def predict(body: Body, served: Served, limits: Serving) -> dict[str, Any]:
    """The answer for one body where no service runs: its catalogue is stored first. Raises Refusal."""
    return await matched(body, served, limits, _stored(served.predictor))


@lru_cache(1)
def _stored(predictor: Any) -> Lookup:
    lookup = Lookup()
    lookup.store(predictor)
    return lookup


def known(served: Served, lookup: Lookup) -> list[dict[str, Any]]:
    """Every class and added engraving by name, with its official picture, or else a drawing."""
    entries = [entry for entry in served.predictor.space.entries if KINDS[entry.kind] != "catalogue"]
    first = {entry.engraving: entry for entry in sorted(entries, key=lambda entry: (entry.engraving, entry.kind == "official"))}
    return [
        {"engraving": name, "kind": KINDS[entry.kind], "picture": lookup.pictures.address(images.name_of(entry))}
        for name, entry in first.items()
    ]


async def searched(query: QueryParams, served: Served, lookup: Lookup) -> dict[str, Any]:
    """One page of the lenses that show all tags. Raises Refusal."""
    page, size = queries.parse_int(query, "page", 1, PAGES, 1), queries.parse_int(query, "size", 1, catalogue.PAGE, SIZE)
    try:
        return await lookup.query(served.predictor, Catalogue.search, query.getlist("tags"), page, size)
    except catalogue.BadSearch as bad:
        raise Refusal(422, "bad search", str(bad)) from bad


async def verre(word: str, served: Served, lookup: Lookup) -> dict[str, Any]:
    """All facts of the lens of this id, and the address of its picture. Raises Refusal."""
    if not NUMBER.fullmatch(word):
        raise Refusal(422, "no number", f"{word[: queries.SHOWN]!r} is not the id of a lens, a whole number such as 187.")
    try:
        lens = await lookup.query(served.predictor, Catalogue.lens, int(word))
    except catalogue.Unknown as unknown:
        raise Refusal(404, "unknown lens", str(unknown)) from unknown
    engraving = lens["engraving"]
    address = lookup.pictures.address(f"catalogue/{engraving['picture']}") if engraving else None
    note = None if address else images.ABSENT if engraving else "The catalogue has no picture of this lens."
    return {**lens, "picture": address, "picture_note": note, "model": served.pointer["model"]}


async def compared(body: Body, served: Served, limits: Serving, _: int = K) -> dict[str, Any]:
    """What agrees() and confidence() compare, of matched(): the database holds the champion's catalogue, not the challenger's."""
    embedding = await served.batches.answer(await read(body, served, limits))
    nearest = served.predictor.nearest(embedding, 1)[0]
    return {"matches": [{"engraving": nearest.engraving, "similarity": round(nearest.similarity, 4)}]}


def agrees(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Do two models find the same engraving nearest to an image?"""
    return bool(answer["matches"][0]["engraving"] == other["matches"][0]["engraving"])


def confidence(answer: dict[str, Any]) -> float | None:
    """How similar the nearest engraving is."""
    return float(answer["matches"][0]["similarity"])


def result(answer: dict[str, Any]) -> str:
    """The nearest engraving. `make batch` counts answers by it."""
    return str(answer["matches"][0]["engraving"])


def as_text(answer: dict[str, Any]) -> str:
    """An answer as text: the engravings with their similarities and lenses, and the model."""
    best, wide = answer["matches"][0], max(len(match["engraving"]) for match in answer["matches"])
    rows = [
        f"  {match['rank']:2}  {match['engraving']:{wide}}  {match['similarity']:6.3f}  {match['kind']:9}  {_lenses(match)}"
        for match in answer["matches"]
    ]
    return "\n".join([f"Most like it: {best['engraving']}.", *rows, *provenance_lines(answer)])


def _lenses(match: dict[str, Any]) -> str:
    total = match["lenses_total"]
    names = ", ".join(f"{lens['name']} ({lens['verre_id']})" for lens in match["lenses"][:2])
    return f"{total} lens{'es' * (total != 1)}: {names}{', ...' * (total > 2)}" if total else "no lens"
