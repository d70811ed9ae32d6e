"""catalogue.json as rows of the catalogue's tables, checked."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.gravures.tables import Base, Engraving, Lens, Mark, Tag

LARGEST = 2**31 - 1  # an integer of SQL
GREEK = "GREEK SMALL LETTER "
REMEDY = "Ingest and train again."
Row = dict[str, Any]


class BadCatalogue(ValueError):
    """A catalogue.json of another form."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class _Marks(_Strict):
    shapes: list[str]
    letters: list[str]


class _Picture(_Marks):
    picture: str
    shows: str | None = Field(alias="class")


class _Lens(_Strict):
    verre_id: int = Field(ge=0, le=LARGEST)
    name: str
    index_code: str = Field(pattern=r"^1[0-9]{0,3}$")
    picture: str | None
    maker: str | None = None
    material: str | None = None


class _Catalogue(_Strict):
    pictures: list[_Picture]
    lenses: list[_Lens]
    classes: dict[str, _Marks]


class Marked(NamedTuple):
    """An engraving and the marks on it: shapes, then letters."""

    kind: str
    name: str
    shows: str | None
    marks: list[str]


def rows(catalogue: Row) -> dict[type[Base], list[Row]]:
    """The rows of each table, in the order that their foreign keys need. Raises BadCatalogue."""
    try:
        known = _Catalogue.model_validate(catalogue)
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(["catalogue.json", *map(str, first["loc"])])
        raise BadCatalogue(f"{where}: {first['msg']}. {REMEDY}") from error
    _check_unique("lens", [lens.verre_id for lens in known.lenses])
    _check_unique("picture", [it.picture for it in known.pictures])
    marked = [Marked("class", name, name, marks.shapes + marks.letters) for name, marks in known.classes.items()]
    marked += [Marked("picture", it.picture, it.shows, it.shapes + it.letters) for it in known.pictures]
    ids = {(it.kind, it.name): number for number, it in enumerate(marked, 1)}
    return {
        Engraving: [{"id": number, "kind": it.kind, "name": it.name, "shows": it.shows} for number, it in enumerate(marked, 1)],
        **_marks(marked),
        Lens: [_lens(lens, ids) for lens in known.lenses],
    }


def _check_unique(what: str, names: list[Any]) -> None:
    name, times = Counter(names).most_common(1)[0] if names else (None, 0)
    if times > 1:
        raise BadCatalogue(f"catalogue.json has the {what} {name!r} {times} times. {REMEDY}")


def _lens(lens: _Lens, ids: dict[tuple[str, str], int]) -> Row:
    if lens.picture is not None and ("picture", lens.picture) not in ids:
        raise BadCatalogue(f"catalogue.json: lens {lens.verre_id} bears {lens.picture!r}, which is not among its pictures. {REMEDY}")
    index, engraving = refractive(lens.index_code), ids.get(("picture", lens.picture or ""))
    row = lens.model_dump(exclude={"verre_id", "picture"})
    return {**row, "id": lens.verre_id, "refractive_index": index, "engraving_id": engraving}


def _marks(marked: Sequence[Marked]) -> dict[type[Base], list[Row]]:
    writings = defaultdict[str, Counter[str]](Counter)
    for mark in (mark for it in marked for mark in it.marks):
        writings[normal(mark)][mark] += 1
    ids = {name: number for number, name in enumerate(writings, 1)}
    return {
        Tag: [{"id": ids[name], "name": name, "written": most.most_common(1)[0][0]} for name, most in writings.items()],
        Mark: [
            {"engraving_id": number, "position": place, "tag_id": ids[normal(mark)], "written": mark}
            for number, it in enumerate(marked, 1)
            for place, mark in enumerate(it.marks, 1)
        ],
    }


def normal(tag: str) -> str:
    """A tag without case, accents, letter styles and unprintable characters, Greek letters by name."""
    plain = unicodedata.normalize("NFKD", tag).casefold()
    letters = [letter for letter in plain if letter.isprintable() and not unicodedata.combining(letter)]
    names = [unicodedata.name(letter, "") for letter in letters]
    return "".join(
        name.removeprefix(GREEK).lower() if name.startswith(GREEK) else letter for name, letter in zip(names, letters, strict=True)
    )


def refractive(code: str) -> float:
    """The refractive index of its code: 15 is 1.5, 1591 is 1.591."""
    return float(f"{code[0]}.{code[1:]}")
