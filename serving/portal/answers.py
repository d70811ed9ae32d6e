"""What the portal shows of an answer, by the answer's form: boxes, a ranking, the nearest matches, or lines of text."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from serving.problems import Refusal

MOST = 200  # boxes and rows that are shown
Box = tuple[float, float, float, float]


class Lens(BaseModel):
    """A lens that bears an engraving."""

    id: int
    name: str


class Row(BaseModel):
    """A line of a result; `share` from 0 to 1 is how sure the model is, or how similar the match; the first `lenses` that bear it.

    `picture` is a path of the product's service. A line of a page that was `turned` clockwise to be read says by how many degrees.
    """

    label: str
    share: float | None = None
    lenses: list[Lens] = []
    lenses_total: int | None = None
    picture: str | None = None
    turned: int = 0


class Page(BaseModel):
    """A page of a document: its size and its boxes (x, y, width, height) in pixels, a row for each."""

    number: int
    width: int
    height: int
    rows: list[Row] = []
    boxes: list[Box] = []


class Shown(BaseModel):
    """What is shown: the headline on top, rows, boxes (x, y, width, height in pixels of the upright image) and a text.

    Where the headline counts, `count` and `unit` ("signature", "line") say it in any language. `answered` is what feedback calls the
    answer. A document of several `pages` has rows and boxes there. `digest`, `data` and `commit` say which model answered.
    """

    headline: str
    count: int | None = None
    unit: str = ""
    confidence: float | None = None
    rows: list[Row] = []
    boxes: list[Box] = []
    text: str = ""
    answered: str = ""
    pages: list[Page] = []
    prediction_id: str
    version: int
    digest: str = ""
    data: str = ""
    commit: str = ""


def shown(product: str, answer: dict[str, Any]) -> Shown:
    """What is shown of a product's answer. Raises Refusal 502 where it has none of the known forms."""
    form = next((form for key, form in FORMS.items() if key in answer), None)
    try:
        if form is not None:
            model = answer["model"]
            origin = {"prediction_id": answer["prediction_id"], "version": model["version"]}
            origin |= {name: model.get(name) or "" for name in ("digest", "data", "commit")}
            return Shown(**form(product, answer), **origin)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ValidationError):
        pass
    raise Refusal(502, "unknown answer", f"{product} answered in a form that this portal does not know. Are both of one version?")


def _detected(product: str, answer: dict[str, Any]) -> dict[str, Any]:
    scores, count = answer["scores"], int(answer["count"])
    sure = sum(scores) / len(scores) if scores else None
    pages = [Page(number=page["page"], width=page["width"], height=page["height"], **_boxes(page)) for page in answer.get("pages") or ()]
    found = {} if pages else {**_boxes(answer), "answered": json.dumps(answer["prediction"][:MOST])}
    return {**_counted(count, product.removesuffix("s")), "confidence": sure, "pages": pages, **found}


def _boxes(found: dict[str, Any]) -> dict[str, Any]:
    boxes, scores = found["prediction"][:MOST], found["scores"][:MOST]
    rows = [Row(label=f"{w:g} × {h:g} pixels at {x:g}, {y:g}", share=score) for (x, y, w, h), score in zip(boxes, scores, strict=True)]  # noqa: RUF001
    return {"boxes": boxes, "rows": rows}


def _matched(_: str, answer: dict[str, Any]) -> dict[str, Any]:
    rows = [_match(match) for match in answer["matches"][:MOST]]
    return {"headline": rows[0].label, "answered": rows[0].label, "confidence": rows[0].share, "rows": rows}


def _match(match: dict[str, Any]) -> Row:
    lenses = [Lens(id=lens["verre_id"], name=lens["name"]) for lens in match["lenses"]]
    share, picture = max(0.0, match["similarity"]), str(match.get("picture") or "")
    return Row(
        label=match["engraving"],
        share=share,
        lenses=lenses,
        lenses_total=match["lenses_total"],
        picture=picture if picture.startswith("picture/") else None,
    )


def _read(_: str, answer: dict[str, Any]) -> dict[str, Any]:
    lines, sure = answer["lines"][:MOST], answer["confidence"] if answer["lines"] else None
    rows = [Row(label=line["text"], share=line["confidence"], turned=line.get("turned") or 0) for line in lines]
    boxes = [] if any(line.get("page") for line in lines) else [line["box"] for line in lines]  # of a TIFF they are on several pages
    found = {"confidence": sure, "rows": rows, "boxes": boxes, "text": answer["text"]}
    return {**_counted(len(answer["lines"]), "line"), **found}


def _classified(_: str, answer: dict[str, Any]) -> dict[str, Any]:
    ranks = next((value for value in answer.values() if isinstance(value, list)), [])
    rows = [Row(label=str(next(value for key, value in rank.items() if key != "confidence")), share=rank["confidence"]) for rank in ranks]
    label = str(answer["prediction"])
    return {"headline": label, "answered": label, "confidence": answer["confidence"], "rows": rows}


FORMS = {
    "matches": _matched,
    "lines": _read,
    "count": _detected,
    "prediction": _classified,
}  # {a key that only this form has: how it is shown}


def _counted(count: int, unit: str) -> dict[str, Any]:
    """A headline that counts: 2 signatures"""
    return {"headline": f"{count:,} {unit}{'s' * (count != 1)}", "count": count, "unit": unit}
