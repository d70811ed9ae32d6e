"""Requests and answers of signatures."""

import asyncio
import re
from contextlib import aclosing
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from starlette.datastructures import QueryParams

from pipelines.datasets import boxes
from pipelines.families.signatures.settings import Serving
from serving.inputs import bodies, dataurls, queries
from serving.inputs.bodies import Body
from serving.inputs.sheets import Sheet
from serving.live.champion import Origin, Served, provenance, provenance_lines
from serving.many import Failure
from serving.problems import Refusal
from serving.signatures import pages
from serving.signatures.pages import Page

KINDS = (*bodies.KINDS, "application/pdf", "image/tiff")
NUMBER = re.compile(r"[1-9][0-9]{0,5}")
SAME = 0.5  # intersection over union of two boxes of one signature

Pixels = Annotated[float, Field(ge=0)]
Box = Annotated[list[Pixels], Field(min_length=4, max_length=4, description="x, y, w, h in pixels; x and y are the top left corner")]
Score = Annotated[float, Field(ge=0, le=1)]


class Found(BaseModel):
    """The signatures on one page, the most certain first, in pixels of the page as it was sent."""

    page: int
    width: int
    height: int
    prediction: list[Box]
    count: int
    scores: list[Score]


class Answer(BaseModel):
    """The signatures on all pages, in the order of the pages; and of a PDF or TIFF each page by itself.

    A page of a PDF is rendered at 150 dpi, or at the most at which it has no more than `limit_megapixels` of the config file.
    """

    success: bool
    prediction: list[Box]
    count: int
    scores: list[Score]
    pages: list[Found] | None = Field(default=None, description="of a PDF or TIFF alone")
    prediction_id: str
    model: Origin


class Answers(BaseModel):
    """An answer or a problem for each file, in order, all from one model."""

    results: list[Answer | Failure]
    model: Origin


class Asked(NamedTuple):
    """Options of the query: the page with its boxes drawn, instead of JSON; and one page only."""

    draw: bool
    page: int | None


QUERY: dict[str, dict[str, Any]] = {  # options of the query: type and meaning
    "page": {
        "schema": {"type": "integer", "minimum": 1, "maximum": 999_999},
        "description": "this page of a PDF or TIFF alone; as PNG it is the first unless another is asked for",
    },
    "draw": {
        "schema": {"type": "boolean", "default": False},
        "description": "true: answer with the page as PNG, its signatures framed, instead of JSON",
    },
}


def described(draw: bool = True) -> dict[str, Any]:
    """Body and query for an OpenAPI description."""
    names = [name for name in QUERY if draw or name != "draw"]
    return bodies.openapi(dataurls.Submitted, KINDS) | {
        "parameters": [{"name": name, "in": "query", "required": False, **QUERY[name]} for name in names]
    }


def asked(query: QueryParams, draw: bool = True) -> Asked:
    """The options of a query: `page`, and `draw` where that is known. Raises Refusal 422."""
    page, drawn = queries.one(query, "page", "1"), queries.one(query, "draw", "false") if draw else "false"
    if not NUMBER.fullmatch(page):
        raise Refusal(422, "bad query", f"page={page[:40]!r} is not the number of a page; the first is page=1.")
    if drawn not in {"true", "false"}:
        raise Refusal(422, "bad query", f"draw={drawn[:40]!r} is neither true nor false. Ask for draw=true to have the page drawn.")
    return Asked(drawn == "true", int(page) if "page" in query else None)


async def predict(body: Body, served: Served, limits: Serving, only: int | None = None) -> dict[str, Any]:
    """The answer for a file, or `only` one page of it, page after page. Raises Refusal."""
    file = await dataurls.unwrapped(body)
    async with aclosing(pages.submitted(file, limits, only)) as submitted:
        found = [_found(page, await _boxes(page, served), served) async for page in submitted]
    return answer(found, served, pages.is_document(file.content))


async def _boxes(page: Page, served: Served) -> NDArray[np.float32]:
    """The boxes of a page [k, 5]: x, y, w, h as fractions of the page, and score; of several views those of the surest."""
    seen, squares = await asyncio.to_thread(_squares, page, served)
    found = await asyncio.gather(*(served.batches.answer(square) for square in squares))
    best = max(range(len(seen)), key=lambda view: found[view][:, 4].max(initial=0))
    return _sent(found[best], seen[best], page)


def _squares(page: Page, served: Served) -> tuple[list[Sheet], list[NDArray[np.uint8]]]:
    """The views of a page, and each preprocessed."""
    seen = pages.views(page)
    return seen, [served.predictor.convention.from_grey(view.grey) for view in seen]


def _sent(boxes: NDArray[np.float32], view: Sheet, page: Page) -> NDArray[np.float32]:
    """Boxes [k, 5] as fractions of a view as those of the page that was sent."""
    if view.back is None:
        return boxes
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], 1) * (view.grey.shape[::-1] * 2)
    low, high = np.split((view.sent(corners.astype(float)) / (page.grey.shape[::-1] * 2)).clip(0, 1), 2, axis=1)
    return np.concatenate([low, high - low, boxes[:, 4:]], 1).astype(np.float32)


def _found(page: Page, boxes: NDArray[np.float32], served: Served) -> dict[str, Any]:
    """The boxes of a page [k, 5] above the threshold, in its pixels."""
    found = boxes[boxes[:, 4] >= served.predictor.convention.threshold].astype(float)
    corners = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:4]], 1) * ([page.width, page.height] * 2)
    low, high = corners[:, :2].round(1), corners[:, 2:].round(1)  # corners are rounded, so that no box leaves the page
    rows = np.concatenate([low, (high - low).round(1)], 1).tolist()
    size = {"page": page.number, "width": page.width, "height": page.height}
    return {**size, "prediction": rows, "count": len(rows), "scores": found[:, 4].round(4).tolist()}


def answer(found: list[dict[str, Any]], served: Served, document: bool) -> dict[str, Any]:
    """The answer for the pages of one file; of a document with each page as well."""
    boxes, scores = ([one for page in found for one in page[key]] for key in ("prediction", "scores"))
    pages_ = {"pages": found} if document else {}
    return {"success": True, "prediction": boxes, "count": len(scores), "scores": scores, **pages_, **provenance(served)}


def agrees(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Do two models find the same signatures in one file: on each page as many, each overlapping one of the other's?"""
    return answer["count"] == other["count"] and all(
        len(ours) == len(theirs) and _paired(ours, theirs) for ours, theirs in zip(_boxed(answer), _boxed(other), strict=True)
    )


def _boxed(answer: dict[str, Any]) -> list[list[list[float]]]:
    return [page["prediction"] for page in answer.get("pages") or [answer]]


def _paired(ours: list[list[float]], theirs: list[list[float]]) -> bool:
    """Is there a one-to-one matching of as many boxes, each pair at SAME or more? By augmenting paths (Kuhn 1955)."""
    close, pairs = boxes.iou(ours, theirs) >= SAME, dict[int, int]()
    return all(_matched(row, close, pairs, set()) for row in range(len(ours)))


def _matched(row: int, close: NDArray[np.bool_], pairs: dict[int, int], tried: set[int]) -> bool:
    """Match a row with a column that is close to it, in `pairs` {column: row}; a row that has it already is matched with another."""
    for column in np.flatnonzero(close[row]).tolist():
        if column in tried:
            continue
        tried.add(column)
        if column not in pairs or _matched(pairs[column], close, pairs, tried):
            pairs[column] = row
            return True
    return False


def confidence(answer: dict[str, Any]) -> float | None:
    """How sure the model is of its signatures, on average; None where it finds none."""
    return float(np.mean(answer["scores"])) if answer["scores"] else None


def result(answer: dict[str, Any]) -> str:
    """How many signatures. `make batch` counts answers by it."""
    return str(answer["count"])


def page_count(answer: dict[str, Any]) -> int:
    """How many pages the file has."""
    return len(answer.get("pages") or [answer])


def as_text(answer: dict[str, Any]) -> str:
    """An answer as text: how many signatures, where, and the model."""
    found = answer.get("pages") or [answer]
    rows = [_row(box, score, page.get("page")) for page in found for box, score in zip(page["prediction"], page["scores"], strict=True)]
    count = answer["count"]
    where = f" on {len(found)} pages" if len(found) > 1 else ""
    return "\n".join([f"{count} signature{'s' * (count != 1)}{where}.", *rows, *provenance_lines(answer)])


def _row(box: list[float], score: float, page: int | None) -> str:
    x, y, w, h = box
    return f"  {f'page {page}, ' if page else ''}x {x:g}, y {y:g}, {w:g} x {h:g} pixels, {score:.2%}"
