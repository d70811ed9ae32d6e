"""Catalogues in SQL: which lens bears which engraving, with which marks. SQLite, or PostgreSQL by CATALOGUE_URL.

The tables hold the catalogue.json of several models, each under the SHA-256 of that file, so that workers that swap versions and services
that share a database each query their own. Tags are normalised for search: without case and accents, Greek letters by name ("Π12" is
"pi12").
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

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
from serving.gravures import contents
from serving.gravures.contents import LARGEST, normal
from serving.gravures.tables import Base, Engraving, Lens, Mark, Stored, Tag

MIGRATIONS = Path(__file__).parent / "migrations" / "catalogue"
URL = "sqlite:///.store/catalogue.db"
TAGS, LENGTH = 10, 30  # of a search at most: tags, and characters of each
PAGE = 100  # lenses at most
RETAINED = 4  # catalogues: the last that were stored
NEAREST = 5  # ids proposed for an unknown one
LIKELY, LIKE = 3, 0.5  # tags proposed for an unknown one, and their least similarity, from 0 to 1

Answer = dict[str, Any]


class BadSearch(ValueError):
    """No tags, too many, too long ones, or no page."""


class Unknown(LookupError):
    """A lens that the catalogue does not have; `nearest` are the ids next to it, the nearest first."""

    def __init__(self, verre_id: int, nearest: list[int]) -> None:
        self.nearest = nearest
        instead = f"The nearest are {', '.join(map(str, nearest))}." if nearest else "The catalogue is empty."
        super().__init__(f"There is no lens {str(verre_id)[:20]}. {instead}")


class NotStored(LookupError):
    """A catalogue that is not in the database: never stored, or dropped since."""


def url() -> str:
    """The URL of the database."""
    return os.environ.get("CATALOGUE_URL", URL)


OF: BindParameter[str] = bindparam("of")  # the SHA-256 of the catalogue that is queried


def _carrying() -> ColumnElement[bool]:
    """The engravings that have all tags of `names`, `count` of them."""
    found = select(Mark.engraving_id).join(Tag).where(Mark.catalogue == OF, Tag.name.in_(bindparam("names", expanding=True)))
    return Engraving.id.in_(found.group_by(Mark.engraving_id).having(func.count(distinct(Mark.tag_id)) == bindparam("count")))


def _with_tags(wanted: ColumnElement[bool], paged: bool = False) -> Select[Any]:
    """Lenses by id, a row for each of their tags."""
    page = select(Lens, Engraving.name.label("picture"), Engraving.shows).outerjoin(Engraving).where(Lens.catalogue == OF, wanted)
    page = page.order_by(Lens.id)
    if paged:
        page = page.offset(bindparam("first")).limit(bindparam("size"))
    lens = page.subquery()
    marks = (Mark.catalogue == lens.c.catalogue) & (Mark.engraving_id == lens.c.engraving_id)
    return select(lens, Mark.written).outerjoin(Mark, marks).order_by(lens.c.id, Mark.position)


# Compiled once: that takes longer than a query of a SQLite file.
PRESENT = select(Stored.sha256).where(Stored.sha256 == OF)
ALL = select(Stored.sha256).order_by(Stored.sha256).with_for_update()
NEWEST = select(Stored.sha256).order_by(Stored.turn.desc()).limit(1)
LAST = select(Stored.sha256).order_by(Stored.turn.desc()).limit(RETAINED)
ONCE = text("INSERT INTO brought (sha256, turn) VALUES (:of, 0) ON CONFLICT DO NOTHING")
TURN = update(Stored).where(Stored.sha256 == OF).values(turn=select(func.max(Stored.turn) + 1).scalar_subquery())
ONE = _with_tags(Lens.id == bindparam("id"))
SHOWING = _with_tags((Engraving.kind == "picture") & or_(Engraving.name == bindparam("name"), Engraving.shows == bindparam("name")))
OF_CLASS = (
    select(Tag.name)
    .join(Mark)
    .join(Engraving)
    .where(Engraving.catalogue == OF, Engraving.kind == "class", Engraving.name == bindparam("name"))
    .distinct()
)
CARRYING, CARRYING_PAGE = _with_tags(_carrying()), _with_tags(_carrying(), paged=True)
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
    """The database; thread-safe. All calls raise databases.NoDatabase where it is away."""

    def __init__(self, url: str) -> None:
        self._engine = databases.migrated(url, MIGRATIONS)
        alone = {"isolation_level": "REPEATABLE READ"} if self._engine.dialect.name == "postgresql" else {}
        self._reading = self._engine.execution_options(**alone)  # a snapshot over several queries, as SQLite has it anyway

    def of(self, sha256: str) -> "Catalogue":
        """The catalogue of this SHA-256."""
        return Catalogue(self._reading, sha256)

    def store(self, sha256: str, catalogue: Answer) -> bool:
        """Store the catalogue.json of this SHA-256 in one transaction; False where it is stored already. Raises BadCatalogue.

        The last RETAINED stay, as a worker may still serve them.
        """
        of = {"of": sha256}
        with databases.reading(self._engine) as connection:
            if connection.scalar(NEWEST) == sha256:
                return False
        found = contents.rows(catalogue)
        with databases.writing(self._engine) as connection:
            connection.execute(ALL)  # a lock: one worker at a time
            new = connection.execute(ONCE, of).rowcount > 0
            connection.execute(TURN, of)
            if new:
                _insert(connection, sha256, found)
                _drop_old(connection)
                _analyze(connection)
        return new


class Catalogue:
    """Lenses by id, by engraving and by tags; thread-safe. All calls raise NoDatabase or NotStored.

    A lens is {verre_id, name, index_code, index (of refraction), maker, material, engraving: {picture, class} or None, tags: [str]}.
    """

    def __init__(self, reading: Engine, sha256: str) -> None:
        self._engine, self._of = reading, {"of": sha256}

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with databases.reading(self._engine) as connection:
            if connection.scalar(PRESENT, self._of) is None:
                raise NotStored(f"The catalogue {self._of['of'][:12]} is not in the database.")
            yield connection

    def lens(self, verre_id: int) -> Answer:
        """One lens. Raises Unknown."""
        with self._connection() as connection:
            known = _lenses(connection, ONE, **self._of, id=verre_id) if 0 <= verre_id <= LARGEST else []
            if not known:
                raise Unknown(verre_id, _nearest(connection, self._of, verre_id))
            return known[0]

    def lenses_with(self, engraving: str) -> list[Answer]:
        """The lenses that bear a picture, or any picture that shows the symbol of a class, by id.

        A class that no picture shows is a mark beside others (the π of index 1.67): then the lenses with all tags of the class.
        """
        if not engraving.isprintable():  # PostgreSQL takes no NUL
            return []
        with self._connection() as connection:
            return _lenses_with(connection, self._of, engraving)

    def search(self, tags: Iterable[str], page: int = 1, size: int = 20) -> Answer:
        """The lenses that carry all tags, by id: {items, page, pages, total, unknown: {tag: [known ones like it]}}. Raises BadSearch."""
        wanted = parse_tags(tags)
        if page < 1 or not 1 <= size <= PAGE:
            raise BadSearch(f"There is no page {page} of {size} lenses. Pages count from 1, and hold 1 to {PAGE} lenses.")
        values, first = {**self._of, "names": list(wanted), "count": len(wanted)}, (page - 1) * size
        with self._connection() as connection:
            unknown = _unknown(connection, self._of, wanted)
            total = 0 if unknown else connection.scalar(CARRIED, values) or 0
            items = _lenses(connection, CARRYING_PAGE, **values, first=first, size=size) if first < total else []
        return {"items": items, "page": page, "pages": -(-total // size), "total": total, "unknown": unknown}

    def tags(self) -> list[Answer]:
        """All tags in their most frequent spelling, with the number of lenses that carry each, the most frequent first: {tag, count}."""
        with self._connection() as connection:
            found = sorted(connection.execute(COUNTS, self._of).tuples(), key=lambda row: (-row[2], row[0]))
        return [{"tag": written, "count": count} for _, written, count in found]


def parse_tags(tags: Iterable[str]) -> dict[str, str]:
    """{normalised tag: as written}, separated by blanks and commas. Raises BadSearch."""
    words = [word for text in tags for word in re.split(r"[\s,]+", text) if word]
    found = {normal(word): word for word in words if normal(word)}
    if not found:
        raise BadSearch("No tag is given. Name shapes or letters, such as circle, V.")
    if long := next((word for word in words if len(word) > LENGTH), None):
        raise BadSearch(f"The tag {long[:LENGTH]!r}... has {len(long)} characters; {LENGTH} are allowed.")
    if len(found) > TAGS:
        raise BadSearch(f"{len(found)} tags are given; {TAGS} are allowed.")
    return found


def _insert(connection: Connection, sha256: str, found: dict[type[Base], list[Answer]]) -> None:
    for table, own in found.items():
        if own:
            connection.execute(insert(table), [{**row, "catalogue": sha256} for row in own])


def _drop_old(connection: Connection) -> None:
    retained = connection.scalars(LAST).all()
    for table in (Lens, Mark, Tag, Engraving):
        connection.execute(delete(table).where(table.catalogue.not_in(retained)))
    connection.execute(delete(Stored).where(Stored.sha256.not_in(retained)))


def _analyze(connection: Connection) -> None:
    """Renew PostgreSQL's statistics, which autovacuum does after a minute: until then plans are a hundred times slower."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE engravings, lenses, tags, marks"))


def _lenses(connection: Connection, statement: Select[Any], **values: Any) -> list[Answer]:
    found = connection.execute(statement, values).all()
    return [_as_json(list(own)) for _, own in groupby(found, key=lambda row: row.id)]


def _as_json(own: list[Row[Any]]) -> Answer:
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


def _lenses_with(connection: Connection, of: dict[str, str], name: str) -> list[Answer]:
    found = _lenses(connection, SHOWING, **of, name=name)
    marks = [] if found else connection.scalars(OF_CLASS, {**of, "name": name}).all()
    return _lenses(connection, CARRYING, **of, names=marks, count=len(marks)) if marks else found


def _unknown(connection: Connection, of: dict[str, str], wanted: dict[str, str]) -> dict[str, list[str]]:
    """{unknown tag as written: the known tags most like it}."""
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
