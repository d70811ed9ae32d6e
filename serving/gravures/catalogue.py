"""Catalogues in SQL: which lens bears which engraving, and what is on it. SQLite here, or PostgreSQL by CATALOGUE_URL.

`catalogue.json` of a model is the truth; bring() makes the tables say the same. Each stands by itself, by the SHA-256 of that file: while
workers swap one version for another, or several services share a database, each asks for its own. Tags are searched in one form: without
case and accents, Greek letters by their names ("Π12" is "pi12"), so that whoever has no Greek keyboard finds them.
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    bindparam,
    delete,
    distinct,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from pipelines import databases
from serving.gravures.tables import Base, Brought, Engraving, Lens, Mark, Tag

MIGRATIONS = Path(__file__).parent / "migrations" / "catalogue"
URL = "sqlite:///.store/catalogue.db"
TAGS, LENGTH = 10, 30  # of a search at most: tags, and characters of each
PAGE = 100  # lenses at most
KEPT = 4  # catalogues: the last that were brought
NEAREST = 5  # ids that stand in for an unknown one
LIKELY, LIKE = 3, 0.5  # tags that stand in for an unknown one, and how like it they must be, from 0 to 1
LARGEST = 2**31 - 1  # an integer of SQL
GREEK = "GREEK SMALL LETTER "

Answer = dict[str, Any]


class BadCatalogue(ValueError):
    """A catalogue that does not say what it must."""


class BadSearch(ValueError):
    """No tags, too many, too long ones, or no page."""


class Unknown(LookupError):
    """A lens that the catalogue does not have; `nearest` are the ids next to it, the nearest first."""

    def __init__(self, verre_id: int, nearest: list[int]) -> None:
        self.nearest = nearest
        instead = f"The nearest are {', '.join(map(str, nearest))}." if nearest else "The catalogue is empty."
        super().__init__(f"There is no lens {str(verre_id)[:20]}. {instead}")


class NotBrought(LookupError):
    """A catalogue that the database does not hold: it never did, or others have been brought since."""


class _Said(BaseModel):
    model_config = ConfigDict(strict=True)


class _Marks(_Said):
    shapes: list[str]
    letters: list[str]


class _Picture(_Marks):
    picture: str
    shows: str | None = Field(alias="class")


class _Lens(_Said):
    verre_id: int = Field(ge=0, le=LARGEST)
    name: str
    index_code: str = Field(pattern=r"^1[0-9]{0,3}$")
    picture: str | None
    maker: str | None = None
    material: str | None = None


class _Catalogue(_Said):
    pictures: list[_Picture]
    lenses: list[_Lens]
    classes: dict[str, _Marks]


class Marked(NamedTuple):
    """An engraving and all that is on it: shapes, then letters."""

    kind: str
    name: str
    shows: str | None
    marks: list[str]


def url() -> str:
    """Where the catalogue is."""
    return os.environ.get("CATALOGUE_URL", URL)


OF: BindParameter[str] = bindparam("of")  # the SHA-256 of the catalogue that is asked


def _carrying() -> ColumnElement[bool]:
    """The engravings that have all tags of `names`, of which there are `count`."""
    found = select(Mark.engraving_id).join(Tag).where(Mark.catalogue == OF, Tag.name.in_(bindparam("names", expanding=True)))
    return Engraving.id.in_(found.group_by(Mark.engraving_id).having(func.count(distinct(Mark.tag_id)) == bindparam("count")))


def _whole(wanted: ColumnElement[bool], paged: bool = False) -> Select[Any]:
    """Lenses by id, a row for each of their tags."""
    page = select(Lens, Engraving.name.label("picture"), Engraving.shows).outerjoin(Engraving).where(Lens.catalogue == OF, wanted)
    page = page.order_by(Lens.id)
    if paged:
        page = page.offset(bindparam("first")).limit(bindparam("size"))
    lens = page.subquery()
    marks = (Mark.catalogue == lens.c.catalogue) & (Mark.engraving_id == lens.c.engraving_id)
    return select(lens, Mark.written).outerjoin(Mark, marks).order_by(lens.c.id, Mark.position)


# Composed once: that takes longer than asking a SQLite file does.
HELD = select(Brought.sha256).where(Brought.sha256 == OF)
ALL = select(Brought.sha256).order_by(Brought.sha256).with_for_update()
NEWEST = select(Brought.sha256).order_by(Brought.turn.desc()).limit(1)
LAST = select(Brought.sha256).order_by(Brought.turn.desc()).limit(KEPT)
ONCE = text("INSERT INTO brought (sha256, turn) VALUES (:of, 0) ON CONFLICT DO NOTHING")
TURN = update(Brought).where(Brought.sha256 == OF).values(turn=select(func.max(Brought.turn) + 1).scalar_subquery())
ONE = _whole(Lens.id == bindparam("id"))
SHOWING = _whole((Engraving.kind == "picture") & or_(Engraving.name == bindparam("name"), Engraving.shows == bindparam("name")))
OF_CLASS = (
    select(Tag.name)
    .join(Mark)
    .join(Engraving)
    .where(Engraving.catalogue == OF, Engraving.kind == "class", Engraving.name == bindparam("name"))
    .distinct()
)
CARRYING, CARRYING_PAGE = _whole(_carrying()), _whole(_carrying(), paged=True)
CARRIED = select(func.count(Lens.id)).join(Engraving).where(Lens.catalogue == OF, _carrying())
KNOWN = select(Tag.name, Tag.written).where(Tag.catalogue == OF)
AMONG = select(Tag.name).where(Tag.catalogue == OF, Tag.name.in_(bindparam("names", expanding=True)))
COUNTS = (
    select(Tag.name, Tag.written, func.count(distinct(Lens.id)))
    .join(Mark)
    .join(Lens, (Lens.catalogue == Mark.catalogue) & (Lens.engraving_id == Mark.engraving_id))
    .where(Tag.catalogue == OF)
    .group_by(Tag.id, Tag.name, Tag.written)
)
BELOW = select(Lens.id).where(Lens.catalogue == OF, Lens.id < bindparam("id")).order_by(Lens.id.desc()).limit(NEAREST)
ABOVE = select(Lens.id).where(Lens.catalogue == OF, Lens.id >= bindparam("id")).order_by(Lens.id).limit(NEAREST)


class Catalogues:
    """The database. Threads may share it. All calls raise databases.NoDatabase where it is away."""

    def __init__(self, url: str) -> None:
        self._engine = databases.migrated(url, MIGRATIONS)
        alone = {"isolation_level": "REPEATABLE READ"} if self._engine.dialect.name == "postgresql" else {}
        self._reading = self._engine.execution_options(**alone)  # nothing changes between two questions; SQLite's way anyhow

    def of(self, sha256: str) -> "Catalogue":
        """The catalogue of this SHA-256."""
        return Catalogue(self._reading, sha256)

    def bring(self, sha256: str, catalogue: Answer) -> bool:
        """Hold the catalogue.json of this SHA-256 too, in one transaction; False where it is held. Raises BadCatalogue.

        Of those that were brought before, the last stay: a worker may serve them yet.
        """
        of = {"of": sha256}
        with databases.reading(self._engine) as connection:
            if connection.scalar(NEWEST) == sha256:
                return False
        found = rows(catalogue)
        with databases.writing(self._engine) as connection:
            connection.execute(ALL)  # locked: one worker at a time
            new = connection.execute(ONCE, of).rowcount > 0
            connection.execute(TURN, of)
            if new:
                _insert(connection, sha256, found)
                _drop(connection)
                _plan(connection)
        return new


class Catalogue:
    """Lenses by id, by engraving and by tags; threads may share it. All calls raise NoDatabase, and NotBrought where it is not held.

    A lens is {verre_id, name, index_code, index (of refraction), maker, material, engraving: {picture, class} or None, tags: [str]}.
    """

    def __init__(self, reading: Engine, sha256: str) -> None:
        self._engine, self._of = reading, {"of": sha256}

    @contextmanager
    def _asked(self) -> Iterator[Connection]:
        with databases.reading(self._engine) as connection:
            if connection.scalar(HELD, self._of) is None:
                raise NotBrought(f"The catalogue {self._of['of'][:12]} is not in the database.")
            yield connection

    def lens(self, verre_id: int) -> Answer:
        """One lens. Raises Unknown."""
        with self._asked() as connection:
            known = _lenses(connection, ONE, **self._of, id=verre_id) if 0 <= verre_id <= LARGEST else []
            if not known:
                raise Unknown(verre_id, _nearest(connection, self._of, verre_id))
            return known[0]

    def bearing(self, engraving: str) -> list[Answer]:
        """The lenses that bear a picture, or any picture that shows the symbol of a class, by id.

        A class that is no picture's own symbol is a mark beside others (the π of index 1.67): then those with all of the class's tags.
        """
        if not engraving.isprintable():  # PostgreSQL takes no NUL
            return []
        with self._asked() as connection:
            return _bearing(connection, self._of, engraving)

    def search(self, tags: Iterable[str], page: int = 1, size: int = 20) -> Answer:
        """The lenses that carry all tags, by id: {items, page, pages, total, unknown: {tag: [known ones like it]}}. Raises BadSearch."""
        wanted = asked(tags)
        if page < 1 or not 1 <= size <= PAGE:
            raise BadSearch(f"There is no page {page} of {size} lenses. Pages count from 1, and hold 1 to {PAGE} lenses.")
        told, first = {**self._of, "names": list(wanted), "count": len(wanted)}, (page - 1) * size
        with self._asked() as connection:
            unknown = _unknown(connection, self._of, wanted)
            total = 0 if unknown else connection.scalar(CARRIED, told) or 0
            items = _lenses(connection, CARRYING_PAGE, **told, first=first, size=size) if first < total else []
        return {"items": items, "page": page, "pages": -(-total // size), "total": total, "unknown": unknown}

    def tags(self) -> list[Answer]:
        """All tags of lenses, as they are mostly written, and how many lenses carry each, the most frequent first: {tag, count}."""
        with self._asked() as connection:
            found = sorted(connection.execute(COUNTS, self._of).tuples(), key=lambda row: (-row[2], row[0]))
        return [{"tag": written, "count": count} for _, written, count in found]


def asked(tags: Iterable[str]) -> dict[str, str]:
    """Tags in the form that is searched, with what was written; blanks and commas part them. Raises BadSearch."""
    words = [word for text in tags for word in re.split(r"[\s,]+", text) if word]
    found = {normal(word): word for word in words if normal(word)}
    if not found:
        raise BadSearch("No tag is asked for. Name shapes or letters, such as circle, V.")
    if long := next((word for word in words if len(word) > LENGTH), None):
        raise BadSearch(f"The tag {long[:LENGTH]!r}... has {len(long)} characters; {LENGTH} are allowed. Shorten it.")
    if len(found) > TAGS:
        raise BadSearch(f"{len(found)} tags are asked for; {TAGS} are allowed. Ask for fewer.")
    return found


def normal(tag: str) -> str:
    """The one form of a tag: no case, accent or letter's style, nothing that cannot be printed, Greek letters by name."""
    plain = unicodedata.normalize("NFKD", tag).casefold()
    return "".join(_latin(letter) for letter in plain if letter.isprintable() and not unicodedata.combining(letter))


def _latin(letter: str) -> str:
    name = unicodedata.name(letter, "")
    return name.removeprefix(GREEK).lower() if name.startswith(GREEK) else letter


def refractive(code: str) -> float:
    """The index of refraction of its code: 15 is 1.5, 1591 is 1.591."""
    return float(f"{code[0]}.{code[1:]}")


def rows(catalogue: Answer) -> dict[type[Base], list[Answer]]:
    """A catalogue.json as rows of the tables, in the order that their keys allow. Raises BadCatalogue."""
    try:
        known = _Catalogue.model_validate(catalogue)
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(["catalogue.json", *map(str, first["loc"])])
        raise BadCatalogue(f"{where}: {first['msg']}. Ingest and train again.") from error
    _once("lens", [lens.verre_id for lens in known.lenses])
    _once("picture", [it.picture for it in known.pictures])
    marked = [Marked("class", name, name, marks.shapes + marks.letters) for name, marks in known.classes.items()]
    marked += [Marked("picture", it.picture, it.shows, it.shapes + it.letters) for it in known.pictures]
    ids = {(it.kind, it.name): number for number, it in enumerate(marked, 1)}
    return {
        Engraving: [{"id": number, "kind": it.kind, "name": it.name, "shows": it.shows} for number, it in enumerate(marked, 1)],
        **_marks(marked),
        Lens: [_lens(lens, ids) for lens in known.lenses],
    }


def _once(what: str, names: list[Any]) -> None:
    name, times = Counter(names).most_common(1)[0] if names else (None, 0)
    if times > 1:
        raise BadCatalogue(f"catalogue.json has {times} times the {what} {name!r}. Ingest and train again.")


def _lens(lens: _Lens, ids: dict[tuple[str, str], int]) -> Answer:
    if lens.picture is not None and ("picture", lens.picture) not in ids:
        raise BadCatalogue(
            f"catalogue.json: lens {lens.verre_id} bears {lens.picture!r}, which is not among its pictures. Ingest and train again."
        )
    row = lens.model_dump(exclude={"verre_id", "picture"})
    return {
        **row,
        "id": lens.verre_id,
        "refractive_index": refractive(lens.index_code),
        "engraving_id": ids.get(("picture", lens.picture or "")),
    }


def _marks(marked: Sequence[Marked]) -> dict[type[Base], list[Answer]]:
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


def _insert(connection: Connection, sha256: str, found: dict[type[Base], list[Answer]]) -> None:
    for table, own in found.items():
        if own:
            connection.execute(insert(table), [{**row, "catalogue": sha256} for row in own])


def _drop(connection: Connection) -> None:
    kept = connection.scalars(LAST).all()
    for table in (Lens, Mark, Tag, Engraving):
        connection.execute(delete(table).where(table.catalogue.not_in(kept)))
    connection.execute(delete(Brought).where(Brought.sha256.not_in(kept)))


def _plan(connection: Connection) -> None:
    """PostgreSQL looks at new rows after a minute; till then it would take the slow ways to them, a hundred times as long."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE engravings, lenses, tags, marks"))


def _lenses(connection: Connection, statement: Select[Any], **told: Any) -> list[Answer]:
    found = connection.execute(statement, told).all()
    return [_told(list(own)) for _, own in groupby(found, key=lambda row: row.id)]


def _told(own: list[Row[Any]]) -> Answer:
    lens = own[0]
    return {
        "verre_id": lens.id,
        "name": lens.name,
        "index_code": lens.index_code,
        "index": lens.refractive_index,
        "maker": lens.maker,
        "material": lens.material,
        "engraving": None if lens.picture is None else {"picture": lens.picture, "class": lens.shows},
        "tags": [row.written for row in own if row.written is not None],
    }


def _bearing(connection: Connection, of: dict[str, str], name: str) -> list[Answer]:
    found = _lenses(connection, SHOWING, **of, name=name)
    marks = [] if found else connection.scalars(OF_CLASS, {**of, "name": name}).all()
    return _lenses(connection, CARRYING, **of, names=marks, count=len(marks)) if marks else found


def _unknown(connection: Connection, of: dict[str, str], wanted: dict[str, str]) -> dict[str, list[str]]:
    """What of this no engraving has, as it was asked for, each with the known tags most like it."""
    there = set(connection.scalars(AMONG, {**of, "names": list(wanted)}))
    if there == set(wanted):
        return {}
    known = dict(connection.execute(KNOWN, of).tuples().all())
    return {
        word: [known[like] for like in get_close_matches(name, known, LIKELY, LIKE)] for name, word in wanted.items() if name not in there
    }


def _nearest(connection: Connection, of: dict[str, str], verre_id: int) -> list[int]:
    here = {**of, "id": max(-1, min(verre_id, LARGEST))}
    found = [*connection.scalars(BELOW, here), *connection.scalars(ABOVE, here)]
    return sorted(found, key=lambda known: (abs(known - verre_id), known))[:NEAREST]
