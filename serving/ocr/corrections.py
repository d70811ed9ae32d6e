"""Lines of an answer that were corrected on the page, each with its image."""

import io
from typing import Annotated, Literal, NamedTuple

from PIL import Image
from pydantic import BaseModel, Field, ValidationError

from serving.feedback import routes as feedback_routes
from serving.inputs import tiffs
from serving.ocr.pages import Page
from serving.problems import Refusal

GONE = "The image is gone: it is stored for an hour. Upload it again."
UNCHANGED = "Nothing was corrected. Change the lines that are wrong, then flag."
LINE = 0.4  # of an image's height: a line that takes more is the whole image
MARGIN = 2  # pixels around a line that is cut out


class Row(BaseModel):
    """A line of an answer that the page gives back."""

    text: str
    box: Annotated[list[int], Field(min_length=4, max_length=4)]
    page: Annotated[int, Field(ge=1)] = 1
    turned: Literal[0, 90, 180, 270] = 0


class Version(BaseModel):
    """The model that gave an answer."""

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Given(BaseModel):
    """An answer that the page gives back: a browser may have changed it."""

    text: Annotated[str, Field(max_length=feedback_routes.LONGEST)]
    lines: list[Row]
    prediction_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    model: Version


class Flag(NamedTuple):
    """An image of one line, what it says, and what it was read as."""

    picture: bytes
    right: str
    wrong: str


def parsed(answer: str) -> Given:
    """An answer as JSON. Raises Refusal 422."""
    try:
        return Given.model_validate_json(answer)
    except ValidationError:
        raise Refusal(422, "no answer", "What is to be corrected is no answer of this page. Read the image again.") from None


def corrected(content: bytes, sheets: list[Page], answer: Given, text: str) -> list[Flag]:
    """The image as it came where it is of one line, else each line that was corrected, cut out. Raises Refusal."""
    found = answer.lines
    rows = _rows(text, len(found))
    if len(rows) == len(sheets) == 1 and (not found or (len(found) == 1 and found[0].box[3] >= LINE * sheets[0].size[1])):
        if rows[0].strip() == answer.text.strip():
            raise Refusal(422, "nothing corrected", UNCHANGED)
        turned = found[0].turned if found else 0
        return [Flag(_cut(sheets[0], turned=turned) if turned or tiffs.is_tiff(content) else content, rows[0], answer.text)]
    if len(rows) != len(found):
        words = f"The text has {len(rows)} lines, and {len(found)} were found. Keep a line for each, an empty one where there is no text."
        raise Refusal(422, "other lines", words)
    changed = [(line, row) for line, row in zip(found, rows, strict=True) if row.strip() != line.text.strip()]
    if not changed:
        raise Refusal(422, "nothing corrected", UNCHANGED)
    if changed[-1][0].page > len(sheets):
        raise Refusal(404, "picture gone", GONE)
    return [Flag(_cut(sheets[line.page - 1], line.box, line.turned), row, line.text) for line, row in changed]


def _rows(text: str, lines: int) -> list[str]:
    """The rows of a text, for so many lines; an empty first or last one is left out where it is one too many."""
    rows = text.split("\n")
    return rows if len(rows) == lines else text.strip("\n").split("\n")


def _cut(page: Page, box: list[int] | None = None, turned: int = 0) -> bytes:
    """A page as PNG, or one line of it, turned clockwise by so many degrees. Raises Refusal 422 for a box that is not on the page."""
    picture, stream = Image.fromarray(page.grey), io.BytesIO()
    if box:
        if not all(0 <= low < low + side <= most for low, side, most in zip(box[:2], box[2:], page.size, strict=True)):
            words = f"The box {str(box)[:80]} leaves its page, which is {page.size[0]} x {page.size[1]} pixels. Read the image again."
            raise Refusal(422, "bad box", words)
        x, y, width, height = (side * picture.width / page.size[0] for side in box)
        right, bottom = min(picture.width, x + width + MARGIN), min(picture.height, y + height + MARGIN)
        picture = picture.crop((max(0, round(x) - MARGIN), max(0, round(y) - MARGIN), round(right), round(bottom)))
    picture.rotate(-turned, expand=True).save(stream, "PNG")
    return stream.getvalue()
