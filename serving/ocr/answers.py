"""Requests and answers of ocr."""

import asyncio
from contextlib import aclosing
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field

from pipelines.families.ocr.parts.ctc import Reading
from pipelines.families.ocr.settings import Serving
from serving.inputs import bodies, dataurls, sheets
from serving.inputs.bodies import Body
from serving.inputs.sheets import Sheet
from serving.live.champion import Origin, Served, provenance, provenance_lines
from serving.many import Failure
from serving.ocr import pages
from serving.ocr.pages import Line, Page

KINDS = (*bodies.KINDS, "image/tiff")
SURE = 0.8  # of a page's longest lines: with less it is looked at turned
TURNED, BETTER = 0.75, 0.15  # how sure a turned page is at least, and by how much surer than as it was sent
SAMPLE = 8  # longest lines of a page that say how sure it is

Pixels = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Read(BaseModel):
    """One line: its text, its box (x, y, width, height) in pixels of the page as it was sent, and the confidence."""

    text: str
    box: Annotated[list[Pixels], Field(min_length=4, max_length=4)]
    confidence: Share
    page: int | None = Field(default=None, description="of a TIFF, the first being 1")
    turned: Literal[90, 180, 270] | None = Field(default=None, description="degrees by which its page was turned clockwise to be read")


class Answer(BaseModel):
    """The lines in reading order, joined as `text`; without text the confidence is 0."""

    text: str
    confidence: Share
    lines: list[Read]
    prediction_id: str
    model: Origin


class Answers(BaseModel):
    """An answer or a problem for each file, in order, all from one model."""

    results: list[Answer | Failure]
    model: Origin


class Text(NamedTuple):
    """The lines of a page that was turned clockwise by so many quarters, and their readings."""

    quarters: int
    lines: list[Line]
    readings: list[Reading]

    @property
    def sure(self) -> float:
        """The mean confidence of the longest lines, a long one counting more; 0 of a line without text."""
        lines = ((line.picture.shape[1], reading.confidence) for line, reading in zip(self.lines, self.readings, strict=True))
        longest = sorted(lines, reverse=True)[:SAMPLE]
        return sum(width * sure for width, sure in longest) / max(1, sum(width for width, _ in longest))


def described() -> dict[str, Any]:
    """The body for an OpenAPI description."""
    return bodies.openapi(dataurls.Submitted, KINDS)


async def predict(body: Body, served: Served, limits: Serving) -> dict[str, Any]:
    """The answer for an image of a line or a page, or for the pages of a TIFF. Raises Refusal."""
    file = await dataurls.unwrapped(body)
    async with aclosing(pages.submitted(file, limits)) as submitted:
        found = [line async for page in submitted for line in await _read(page, served, limits)]
    return {**together(found), **provenance(served)}


async def _read(page: Page, served: Served, limits: Serving) -> list[dict[str, Any]]:
    """The lines of a page that have text."""
    text = await _upright(page, served, limits)
    more = ({"page": page.number} if page.number else {}) | ({"turned": 90 * text.quarters} if text.quarters else {})
    return [
        {"text": reading.text, "box": [*line.box], "confidence": round(reading.confidence, 4), **more}
        for line, reading in zip(text.lines, text.readings, strict=True)
        if reading.text
    ]


async def _upright(page: Page, served: Served, limits: Serving) -> Text:
    """The text of a page, turned by quarters where it reads better so."""
    sheet = await asyncio.to_thread(sheets.found, page.grey)
    text = await _text(page, sheet, 0, served, limits)
    if text.sure >= SURE:
        return text
    samples = [await _text(page, sheet, quarters, served, limits, SAMPLE) for quarters in (1, 2, 3)]
    best = max(samples, key=lambda sample: sample.sure)
    return await _text(page, sheet, best.quarters, served, limits) if best.sure > max(TURNED, text.sure + BETTER) else text


async def _text(page: Page, sheet: Sheet, quarters: int, served: Served, limits: Serving, most: int | None = None) -> Text:
    """All lines, or the longest `most`, of a page that is turned clockwise by so many quarters."""
    found = await pages.lines(page, sheet.turned(quarters), served.predictor.convention, most)
    return Text(quarters, found, await _readings(found, served, limits))


async def _readings(found: list[Line], served: Served, limits: Serving) -> list[Reading]:
    """The reading of each line. Lines of one width are read together, a batch at a time, so that other requests come in between."""
    order = sorted(range(len(found)), key=lambda index: found[index].picture.shape)
    readings: dict[int, Reading] = {}
    for start in range(0, len(order), limits.batch):
        batch = order[start : start + limits.batch]
        answers = await asyncio.gather(*(served.batches.answer(found[index].picture) for index in batch))
        readings.update(zip(batch, answers, strict=True))
    return [readings[index] for index in range(len(found))]


def together(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Text, confidence and lines of an answer; a line weighs in the confidence by its characters."""
    characters = sum(len(line["text"]) for line in lines)
    sure = sum(len(line["text"]) * line["confidence"] for line in lines) / max(1, characters)
    return {"text": "\n".join(line["text"] for line in lines), "confidence": round(sure, 4), "lines": lines}


def agrees(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Do two models read the same text in one file?"""
    return bool(answer["text"] == other["text"])


def confidence(answer: dict[str, Any]) -> float | None:
    """How sure the model is of the text; None where there is none."""
    return float(answer["confidence"]) if answer["text"] else None


def result(answer: dict[str, Any]) -> str:
    """How many lines. `make batch` counts answers by it."""
    return str(len(answer["lines"]))


def page_count(answer: dict[str, Any]) -> int:
    """The last page that has text, of a TIFF; 1 of others."""
    return max((line.get("page", 1) for line in answer["lines"]), default=1)


def as_text(answer: dict[str, Any]) -> str:
    """An answer as text: its lines, how sure the model is of each, and the model."""
    if not answer["lines"]:
        return "\n".join(["No text was found.", *provenance_lines(answer)])
    wide = max(len(line["text"]) for line in answer["lines"])
    rows = [f"  {line['text']:{wide}}  {line['confidence']:.1%}" for line in answer["lines"]]
    count = len(rows)
    return "\n".join([f"It says, in {count} line{'s' * (count != 1)}:", *rows, *provenance_lines(answer)])
