"""A corrected line, stored as a row of labels.tsv (file, text, group) and images/<hash>, as the source `folder` reads them."""

import re
from pathlib import Path

from serving.feedback.store import Picture
from serving.live.champion import Served
from serving.problems import Refusal

TABLE, HEAD = "labels.tsv", "file\ttext\tgroup"
LONGEST = 500  # characters of a line
SMALLEST = 4  # pixels of a side, as ingest requires
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # would end a field or a row, or is no character
CORRECTION = {"maxLength": LONGEST, "description": "the line that the picture really shows; empty where it shows none"}


def choices(_: Served) -> None:
    """A line is typed, not chosen."""
    return None


def read(word: str, picture: Picture, _: Served) -> str:
    """The line, without blanks around it. Raises Refusal 422."""
    line = word.strip()
    if min(picture.width, picture.height) < SMALLEST:
        words = f"The image has {picture.width} x {picture.height} pixels; a line has at least {SMALLEST} a side. Flag a larger one."
        raise Refusal(422, "too small", words)
    if len(line) > LONGEST:
        words = f"The text has {len(line):,} characters; a line has at most {LONGEST}. Flag an image of one line."
        raise Refusal(422, "bad correction", words)
    if found := UNWRITABLE.search(line):
        words = f"The text has {found[0]!r} at character {found.start()}; send one line without tabs. Flag each line's image by itself."
        raise Refusal(422, "bad correction", words)
    return line


def files(picture: Picture, line: str, folder: Path) -> dict[str, bytes]:
    """The image, and the table with its row added or replaced."""
    table = folder / TABLE
    rows = table.read_text("utf-8").removesuffix("\n").split("\n") if table.exists() else [HEAD]
    own = f"{picture.name}\t{line}\t{picture.hash}"
    others = [row for row in rows if not row.startswith(f"{picture.name}\t")]
    text = "\n".join(rows if own in rows else [*others, own]) + "\n"
    return {f"images/{picture.name}": picture.content, TABLE: text.encode()}
