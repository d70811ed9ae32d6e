"""Corrected boxes: all signatures of the page, stored as YOLO labels, <hash>/images/<hash> and <hash>/labels/<hash>.txt.

A page and its label appear together, as one folder holds both: the readers refuse one without the other.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from pipelines.datasets import boxes
from serving.feedback.store import Picture
from serving.live.champion import Served
from serving.problems import Refusal

MOST = 200  # boxes of a page
WANTED = "Send all signatures of the page as [[x, y, w, h], ...] in its pixels, x and y the top left corner; [] where there is none."
CORRECTION = {"description": WANTED, "contentMediaType": "application/json"}

Number = Annotated[float, Field(allow_inf_nan=False)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
ROWS = TypeAdapter(Annotated[list[Box], Field(max_length=MOST)])


def choices(_: Served) -> None:
    """Boxes are drawn, not chosen."""
    return None


def read(word: str, picture: Picture, _: Served) -> list[list[float]]:
    """The boxes, clipped to the page. Raises Refusal 422."""
    try:
        found = ROWS.validate_json(word, strict=True)
        return [boxes.inside(box, picture.height, picture.width).astype(float).round(2).tolist() for box in found]
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise Refusal(422, "bad correction", f"correction={word[:80]!r} is not boxes: {fault}. {WANTED}") from error
    except boxes.BadBox as fault:
        raise Refusal(422, "bad correction", f"The box {fault}. {WANTED}") from fault


def files(picture: Picture, correction: list[list[float]], _: Path) -> dict[str, bytes]:
    """The page, and a line for each box: class 0, then centre and size as fractions of the page."""
    size = np.array([picture.width, picture.height])
    rows = [(*(np.array(box[:2]) + np.array(box[2:]) / 2) / size, *np.array(box[2:]) / size) for box in correction]
    label = "".join(f"0 {' '.join(f'{number:.8f}' for number in row)}\n" for row in rows)
    return {f"{picture.hash}/images/{picture.name}": picture.content, f"{picture.hash}/labels/{picture.hash}.txt": label.encode()}
