"""The catalogue: the engraving of each lens, by catalogue.csv, and the marks on each engraving, by tables of tags."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.families.gravures.parts.engravings import Picture

TAGS = Path(__file__).with_name("tags.csv")
COLUMNS = {"lens_id", "lens_name", "index_code", "image"}
TAG_COLUMNS = {"engraving", "sha256", "class", "shapes", "letters"}
CODE = re.compile(r"1[0-9]{1,3}")  # the refractive index without its point: 15 is 1.5, 1591 is 1.591
DIGITS = 12  # of an image's SHA-256 in the table of tags


class BadCatalogue(ValueError):
    """An invalid line of catalogue.csv or of a table of tags."""


class Tags(NamedTuple):
    """The class whose symbol an engraving shows, or None, and the shapes and letters on it."""

    engraving: str | None = None
    shapes: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()


Table = dict[tuple[str, str], Tags]  # by the engraving's name and the first digits of its SHA-256


def catalogue(pictures: list[Picture], tables: Iterable[tuple[str, bytes]], classes: list[str], tags: Table) -> dict[str, Any]:
    """The content of catalogue.json. A lens whose image is not among `pictures` has none. Raises BadCatalogue."""
    names = {picture.engraving for picture in pictures}
    return {
        "pictures": [_picture(picture, set(classes), tags) for picture in pictures],
        "lenses": [{**lens, "picture": lens["picture"] if lens["picture"] in names else None} for lens in _lenses(tables)],
        "classes": {name: _marks(tags.get((name, ""), Tags())) for name in classes},
    }


def _picture(picture: Picture, classes: set[str], tags: Table) -> dict[str, Any]:
    """Tags with a SHA-256 apply to that content alone: another catalogue may have another image of the same name."""
    digits = hashlib.sha256(picture.content).hexdigest()[:DIGITS]
    found = tags.get((picture.engraving, digits)) or tags.get((picture.engraving, ""), Tags())
    return {"picture": picture.engraving, "class": found.engraving if found.engraving in classes else None, **_marks(found)}


def _marks(tags: Tags) -> dict[str, list[str]]:
    return {"shapes": list(tags.shapes), "letters": list(tags.letters)}


def _lenses(tables: Iterable[tuple[str, bytes]]) -> Iterator[dict[str, Any]]:
    """Every lens of all tables, each id once. Raises BadCatalogue."""
    seen = dict[int, str]()
    for name, content in tables:
        for line, row in rows(name, content, COLUMNS):
            lens = _lens(f"{name}, line {line}", row)
            if first := seen.get(lens["verre_id"]):
                raise BadCatalogue(f"{name}, line {line}: lens_id {lens['verre_id']} is also in {first}. Give each lens its own.")
            seen[lens["verre_id"]] = f"{name}, line {line}"
            yield lens


def _lens(where: str, row: dict[str, str]) -> dict[str, Any]:
    if not re.fullmatch(r"[0-9]{1,9}", row["lens_id"]):
        raise BadCatalogue(f"{where}: lens_id {row['lens_id'][:40]!r} is no number of at most nine digits.")
    if not row["lens_name"]:
        raise BadCatalogue(f"{where}: lens {row['lens_id']} has no lens_name.")
    if not CODE.fullmatch(row["index_code"]):
        raise BadCatalogue(f"{where}: index_code {row['index_code'][:40]!r} is no refractive index without its point, such as 15 for 1.5.")
    return {"verre_id": int(row["lens_id"]), "name": row["lens_name"], "index_code": row["index_code"], "picture": row["image"] or None}


def rows(name: str, content: bytes, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV table with a header. Raises BadCatalogue."""
    wanted = f"Wanted: UTF-8, separated by commas, a first line that names {', '.join(sorted(columns))}"
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        if missing := sorted(columns - set(reader.fieldnames or [])):
            raise BadCatalogue(f"{name}, line 1: {', '.join(missing)} is missing. {wanted}.")
        for row in reader:
            if None in row or None in row.values():
                raise BadCatalogue(f"{name}, line {reader.line_num}: {len(reader.fieldnames or [])} values are wanted. {wanted}.")
            yield reader.line_num, {key: value.strip() for key, value in row.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadCatalogue(f"{name} is no table ({error}). {wanted}.") from error


def tags(tables: Iterable[tuple[str, bytes]] = ()) -> Table:
    """The table of tags in git, and tables like it that come with a catalogue. Raises BadCatalogue."""
    return {
        (row["engraving"], row["sha256"]): Tags(row["class"] or None, tuple(row["shapes"].split()), tuple(row["letters"].split()))
        for name, content in [(TAGS.name, TAGS.read_bytes()), *tables]
        for _, row in rows(name, content, TAG_COLUMNS)
    }
