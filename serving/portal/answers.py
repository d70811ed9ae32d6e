"""What the portal shows of an answer, by the answer's form: boxes, a ranking, the nearest matches, or lines of text."""

from typing import Any

from pydantic import BaseModel, ValidationError

from serving.problems import Refusal

MOST = 200  # boxes and rows that are shown


class Lens(BaseModel):
    """A lens that bears an engraving."""

    id: int
    name: str


class Row(BaseModel):
    """A line of a result; `share` from 0 to 1 is how sure the model is, or how similar the match; the first `lenses` that bear it."""

    label: str
    share: float | None = None
    lenses: list[Lens] = []
    lenses_total: int | None = None


class Shown(BaseModel):
    """What is shown: the headline on top, rows, boxes (x, y, width, height in pixels of the upright image) and a text.

    Where the headline counts, `count` and `unit` ("signature", "line") say it in any language.
    """

    headline: str
    count: int | None = None
    unit: str = ""
    confidence: float | None = None
    rows: list[Row] = []
    boxes: list[tuple[float, float, float, float]] = []
    text: str = ""
    prediction_id: str
    version: int


def shown(product: str, answer: dict[str, Any]) -> Shown:
    """What is shown of a product's answer. Raises Refusal 502 where it has none of the known forms."""
    form = next((form for key, form in FORMS.items() if key in answer), None)
    try:
        if form is not None:
            origin = {"prediction_id": answer["prediction_id"], "version": answer["model"]["version"]}
            return Shown(**form(product, answer), **origin)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ValidationError):
        pass
    raise Refusal(502, "unknown answer", f"{product} answered in a form that this portal does not know. Are both of one version?")


def _detected(product: str, answer: dict[str, Any]) -> dict[str, Any]:
    boxes, scores, count = answer["prediction"][:MOST], answer["scores"][:MOST], int(answer["count"])
    rows = [Row(label=f"{w:g} × {h:g} pixels at {x:g}, {y:g}", share=score) for (x, y, w, h), score in zip(boxes, scores, strict=True)]  # noqa: RUF001
    sure = sum(scores) / len(scores) if scores else None
    return {**_counted(count, product.removesuffix("s")), "confidence": sure, "rows": rows, "boxes": boxes}


def _matched(_: str, answer: dict[str, Any]) -> dict[str, Any]:
    rows = [
        Row(label=match["engraving"], share=max(0.0, match["similarity"]), lenses=_lenses(match), lenses_total=match["lenses_total"])
        for match in answer["matches"][:MOST]
    ]
    return {"headline": rows[0].label, "confidence": rows[0].share, "rows": rows}


def _lenses(match: dict[str, Any]) -> list[Lens]:
    return [Lens(id=lens["verre_id"], name=lens["name"]) for lens in match["lenses"]]


def _read(_: str, answer: dict[str, Any]) -> dict[str, Any]:
    lines = answer["lines"][:MOST]
    rows = [Row(label=line["text"], share=line["confidence"]) for line in lines]
    boxes, sure = [line["box"] for line in lines], answer["confidence"] if lines else None
    return {**_counted(len(answer["lines"]), "line"), "confidence": sure, "rows": rows, "boxes": boxes, "text": answer["text"]}


def _classified(_: str, answer: dict[str, Any]) -> dict[str, Any]:
    ranks = next((value for value in answer.values() if isinstance(value, list)), [])
    rows = [Row(label=str(next(value for key, value in rank.items() if key != "confidence")), share=rank["confidence"]) for rank in ranks]
    return {"headline": str(answer["prediction"]), "confidence": answer["confidence"], "rows": rows}


FORMS = {
    "matches": _matched,
    "lines": _read,
    "count": _detected,
    "prediction": _classified,
}  # {a key that only this form has: how it is shown}


def _counted(count: int, unit: str) -> dict[str, Any]:
    """A headline that counts: 2 signatures"""
    return {"headline": f"{count:,} {unit}{'s' * (count != 1)}", "count": count, "unit": unit}
