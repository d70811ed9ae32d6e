"""The history's pages and files: what the user has asked, and nobody else's."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from pipelines import phrases
from serving.auth.pool import SESSIONS
from serving.inputs import bodies, queries
from serving.portal import auditing, rendering, reviews, statistics
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
FORM_MB = 0.001
DAY = 86_400  # seconds
SURENESS = {"sure": (phrases.SURE, None), "unsure": (None, phrases.SURE)}  # {word of the query: (at least, below)}
LONGEST = 19  # digits of an id


def mount(app: FastAPI) -> None:
    """Add the routes."""
    app.add_route("/history", listed, ["GET"])
    app.add_route("/history.csv", as_csv, ["GET"])
    app.add_route("/history.json", as_json, ["GET"])
    app.add_route("/history/delete", delete, ["POST"])
    app.add_route("/history/kept", allow_keeping, ["POST"])
    app.add_route("/history/{id}", entry, ["GET"])
    app.add_route("/history/{id}/thumbnail", thumbnail, ["GET"])
    app.add_route("/statistics", statistics_page, ["GET"])


async def listed(request: Request) -> Response:
    """A page of the user's entries, the newest first. Raises Refusal 422."""
    portal, which, number = request.app.state.portal, _filter(request), queries.parse_int(request.query_params, "page", 1, MOST, 1)
    total = await SESSIONS.run(portal.history.count, request.user.id, which)
    entries = await SESSIONS.run(portal.history.page, request.user.id, which, number)
    facts = {"entries": entries, "total": total, "which": which, "page_number": number, "pages": max(1, -(-total // PAGE))}
    facts |= {"asked": _asked(request), "thumbnails": await SESSIONS.run(portal.thumbnails.allowed, request.user.id)}
    facts |= {"thumbnail_days": portal.thumbnails.seconds / DAY, "review_days": reviews.DAYS}
    facts |= {"review": await SESSIONS.run(portal.reviews.allowed, request.user.id)}
    return rendering.page(request, "history", **facts, products=portal.services.products(), deleted="deleted" in request.query_params)


async def entry(request: Request) -> Response:
    """One answer again. Raises Refusal 404, also for another user's."""
    found = await SESSIONS.run(request.app.state.portal.history.find, request.user.id, _number(request))
    if found is None:
        raise Refusal(404, "unknown", "There is no such answer in your history.")
    facts = {
        "image": found.image,
        "shown": found.shown,
        "milliseconds": found.milliseconds,
        "product": PRODUCTS.get(found.product) or Product(found.product, "", ""),
    }
    return rendering.page(request, "entry", entry=found, **facts, present=False)


async def statistics_page(request: Request) -> Response:
    """The user's own figures and a chart."""
    portal = request.app.state.portal
    products = [product.name for product in portal.services.products()]
    return rendering.page(request, "statistics", **await SESSIONS.run(statistics.of, portal.history, request.user.id, products))


async def thumbnail(request: Request) -> Response:
    """The small picture of an entry's image. Raises Refusal 404, also for another user's."""
    found = await SESSIONS.run(request.app.state.portal.thumbnails.find, request.user.id, _number(request))
    if found is None:
        raise Refusal(404, "unknown", "There is no such picture in your history.")
    return Response(found.content, media_type=found.kind, headers=rendering.HEADERS)


async def allow_keeping(request: Request) -> Response:
    """Keep small pictures from now on, or delete them and keep none; the same for images that others may review."""
    portal, form = request.app.state.portal, await bodies.read_form(request, FORM_MB)
    await SESSIONS.run(portal.thumbnails.allow, request.user.id, form.get("thumbnails") == "on")
    await SESSIONS.run(portal.reviews.allow, request.user.id, form.get("review") == "on")
    return rendering.redirect(request, "/history")


def _number(request: Request) -> int:
    """The id in the address; 0, which no entry has, where it is none."""
    word = request.path_params["id"]
    return int(word) if word.isdecimal() and word.isascii() and len(word) < LONGEST else 0


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
    """What the query asks for. Raises Refusal 422 for a date that is none."""
    query = request.query_params
    title = queries.one(query, "title", "").replace("\0", "")[:200]
    since, last, sure = _day(query, "since"), _day(query, "until"), queries.one(query, "sure", "")
    least, below = SURENESS.get(sure, (None, None))
    return Filter(title, queries.one(query, "product", "").replace("\0", ""), since, last and last + DAY, least, below)


def _day(query: QueryParams, name: str) -> float | None:
    """The beginning of a day, such as 2026-11-20, in seconds since 1970. Raises Refusal 422."""
    word = queries.one(query, name, "")
    try:
        return datetime.strptime(word, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() if word else None
    except ValueError:
        raise Refusal(422, "bad date", f"{name}={word[:40]!r} is no date. Write one such as 2026-11-20.") from None


def _asked(request: Request) -> dict[str, str]:
    """The filter as the query has it, for links and fields."""
    return {name: queries.one(request.query_params, name, "") for name in ("title", "product", "since", "until", "sure")}


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
