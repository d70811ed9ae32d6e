"""The history's pages and files: what the user has asked, and nobody else's."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from serving.auth.pool import SESSIONS
from serving.inputs import queries
from serving.portal import auditing, rendering
from serving.portal.history import PAGE, Entry, Filter
from serving.portal.products import PRODUCTS, Product
from serving.problems import Refusal

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # a spreadsheet computes a cell that begins so
COLUMNS = (
    "id",
    "time",
    "product",
    "title",
    "width",
    "height",
    "is_color",
    "size",
    "hash",
    "result",
    "confidence",
    "version",
    "milliseconds",
)
MOST = 1_000_000  # pages
LONGEST = 19  # digits of an id


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/history", listed, ["GET"])
    app.add_route("/history.csv", as_csv, ["GET"])
    app.add_route("/history.json", as_json, ["GET"])
    app.add_route("/history/delete", delete, ["POST"])
    app.add_route("/history/{id}", entry, ["GET"])


async def listed(request: Request) -> Response:
    """A page of the user's entries, the newest first. Raises Refusal 422."""
    portal, which, number = request.app.state.portal, _filter(request), queries.parse_int(request.query_params, "page", 1, MOST, 1)
    total = await SESSIONS.run(portal.history.count, request.user.id, which)
    entries = await SESSIONS.run(portal.history.page, request.user.id, which, number)
    facts = {"entries": entries, "total": total, "which": which, "page_number": number, "pages": max(1, -(-total // PAGE))}
    return rendering.page(request, "history", **facts, products=portal.services.products(), deleted="deleted" in request.query_params)


async def entry(request: Request) -> Response:
    """One answer again. Raises Refusal 404, also for another user's."""
    word = request.path_params["id"]
    number = int(word) if word.isdecimal() and word.isascii() and len(word) < LONGEST else 0
    found = await SESSIONS.run(request.app.state.portal.history.find, request.user.id, number)
    if found is None:
        raise Refusal(404, "unknown", "There is no such answer in your history.")
    facts = {
        "image": found.image,
        "shown": found.shown,
        "milliseconds": found.milliseconds,
        "product": PRODUCTS.get(found.product) or Product(found.product, "", ""),
    }
    return rendering.page(request, "entry", entry=found, **facts, present=False)


async def delete(request: Request) -> Response:
    """Delete all of the user's entries."""
    deleted = await SESSIONS.run(request.app.state.portal.history.delete_all, request.user.id)
    await auditing.note(request, "history deleted", detail=f"{deleted} answers")
    return rendering.redirect(request, "/history?deleted=1")


async def as_csv(request: Request) -> Response:
    """All entries that the list shows, as CSV (RFC 4180)."""
    await auditing.note(request, "history exported", detail="csv")
    return _file(request, "csv", "text/csv", csv_lines(_entries(request)))


async def as_json(request: Request) -> Response:
    """All entries that the list shows, as JSON, with what was shown of each answer."""
    await auditing.note(request, "history exported", detail="json")
    return _file(request, "json", "application/json", json_lines(_entries(request)))


def _filter(request: Request) -> Filter:
    query = request.query_params
    title = queries.one(query, "title", "").replace("\0", "")[:200]
    return Filter(title, queries.one(query, "product", ""))


def _entries(request: Request) -> Iterator[Entry]:
    return request.app.state.portal.history.all(request.user.id, _filter(request))


def _file(request: Request, ending: str, kind: str, lines: Iterable[str]) -> Response:
    headers = {**rendering.HEADERS, "Content-Disposition": f'attachment; filename="history.{ending}"'}
    return StreamingResponse(lines, media_type=kind, headers=headers)


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """The entries as lines of CSV under a head."""
    yield _line(COLUMNS)
    for each in entries:
        yield _line(row(each).values())


def _line(values: Iterable[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerow([_inert(value) for value in values])
    return stream.getvalue()


def _inert(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """The entries as a JSON list, one in a line."""
    before = "[\n"
    for each in entries:
        yield before + json.dumps({**row(each), "shown": each.shown.model_dump()}, ensure_ascii=False)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def row(each: Entry) -> dict[str, Any]:
    """An entry by COLUMNS; the id is the prediction's, which `make lineage of=` follows."""
    image, shown = each.image, each.shown
    values = (each.prediction_id, rendering.iso(each.created), each.product, *image, shown.headline, shown.confidence, shown.version)
    return dict(zip(COLUMNS, (*values, round(each.milliseconds, 1)), strict=True))
