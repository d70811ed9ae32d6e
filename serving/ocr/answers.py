"""What ocr takes and answers."""

import asyncio
from contextlib import aclosing
from typing import Annotated, Any

from pydantic import BaseModel, Field

from pipelines.configs import Serving
from pipelines.families.ocr.parts.readings import Reading
from serving.inputs import bodies, dataurls
from serving.inputs.bodies import Body
from serving.live.champion import Origin, Served, signature, traced
from serving.ocr import pages
from serving.ocr.pages import Line, Page

KINDS = (*bodies.KINDS, "image/tiff")

Pixels = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Read(BaseModel):
    """One line: what it says, the box of x, y, width and height around it in pixels of its page, upright, and how sure the reader is."""

    text: str
    box: Annotated[list[Pixels], Field(min_length=4, max_length=4)]
    confidence: Share
    page: int | None = Field(default=None, description="of a TIFF, the first being 1")


class Answer(BaseModel):
    """The lines in the order in which they are read, together as `text`; no text has a confidence of 0."""

    text: str
    confidence: Share
    lines: list[Read]
    prediction_id: str
    model: Origin


def described() -> dict[str, Any]:
    """The body for an OpenAPI description."""
    return bodies.described(dataurls.Submitted, KINDS)


async def answered(body: Body, served: Served, limits: Serving) -> dict[str, Any]:
    """The answer for a picture of a line or a page, or for the pages of a TIFF one after another. Raises Refusal."""
    file = await dataurls.unwrapped(body)
    async with aclosing(pages.submitted(file, limits)) as submitted:
        found = [line async for page in submitted for line in await _read(page, served, limits)]
    return {**together(found), **signature(served)}


async def _read(page: Page, served: Served, limits: Serving) -> list[dict[str, Any]]:
    """The lines of a page that say something."""
    found = await pages.lines(page, served.predictor.convention)
    readings = await _readings(found, served, limits)
    number = {"page": page.number} if page.number else {}
    return [
        {"text": reading.text, "box": [*line.box], "confidence": round(reading.confidence, 4), **number}
        for line, reading in zip(found, readings, strict=True)
        if reading.text
    ]


async def _readings(found: list[Line], served: Served, limits: Serving) -> list[Reading]:
    """What lines say. Those of one width are read together, and no more than fit in a batch wait at once: others come in between."""
    ranks = sorted(range(len(found)), key=lambda place: found[place].picture.shape)
    readings: dict[int, Reading] = {}
    for start in range(0, len(ranks), limits.batch):
        batch = ranks[start : start + limits.batch]
        answers = await asyncio.gather(*(served.batches.answer(found[place].picture) for place in batch))
        readings.update(zip(batch, answers, strict=True))
    return [readings[place] for place in range(len(found))]


def together(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer that lines make: each counts in the confidence as it has characters."""
    characters = sum(len(line["text"]) for line in lines)
    sure = sum(len(line["text"]) * line["confidence"] for line in lines) / max(1, characters)
    return {"text": "\n".join(line["text"] for line in lines), "confidence": round(sure, 4), "lines": lines}


def agrees(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Do two models read the same text in one file?"""
    return bool(answer["text"] == other["text"])


def confidence(answer: dict[str, Any]) -> float | None:
    """How sure the model is of the text; None where there is none."""
    return float(answer["confidence"]) if answer["text"] else None


def told(answer: dict[str, Any]) -> str:
    """An answer as a person reads it: what it says, line by line, how sure that is, and where the answer comes from."""
    if not answer["lines"]:
        return "\n".join(["No text was found.", *traced(answer)])
    wide = max(len(line["text"]) for line in answer["lines"])
    rows = [f"  {line['text']:{wide}}  {line['confidence']:.1%}" for line in answer["lines"]]
    count = len(rows)
    return "\n".join([f"It says, in {count} line{'s' * (count != 1)}:", *rows, *traced(answer)])
