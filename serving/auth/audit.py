"""Who did what, when, and from where: a table that nothing but its own length shortens."""

import time
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from pipelines import databases
from pipelines.databases import Clock

MOST = 1_000_000  # entries; the oldest go. A number, since a clock that jumps would take the time with it
PAGE = 100  # entries
TERMINAL = "terminal"  # in place of an address: a command on the machine itself
LENGTHS = {"actor": 64, "what": 32, "target": 128, "address": 64, "detail": 500}  # characters


class Entry(NamedTuple):
    """A row; `time` in seconds since 1970. `actor` is a user's name, empty where nobody has signed in; names outlive their users."""

    id: int
    time: float
    actor: str
    what: str
    target: str
    address: str
    detail: str


AUDIT = sa.table("audit", *map(sa.column, Entry._fields))


class Audit:
    """The table. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def note(self, actor: str, what: str, target: str = "", address: str = TERMINAL, detail: str = "") -> None:
        """Add an entry."""
        words = {"actor": actor, "what": what, "target": target, "address": address, "detail": detail}
        row = {name: word.replace("\0", "")[: LENGTHS[name]] for name, word in words.items()}
        with databases.writing(self.engine) as connection:
            added = connection.execute(AUDIT.insert().values(time=self.clock(), **row).returning(AUDIT.c.id)).scalar_one()
            connection.execute(AUDIT.delete().where(AUDIT.c.id <= added - MOST))

    def page(self, word: str = "", number: int = 1) -> list[Entry]:
        """The newest entries first, PAGE of them; those alone that have the `word` in one of their texts."""
        chosen = sa.select(AUDIT).where(_having(word)).order_by(AUDIT.c.id.desc()).limit(PAGE).offset((number - 1) * PAGE)
        with databases.reading(self.engine) as connection:
            return [Entry(*row) for row in connection.execute(chosen)]

    def count(self, word: str = "") -> int:
        """How many entries have the word."""
        with databases.reading(self.engine) as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(AUDIT).where(_having(word))).scalar_one())


def _having(word: str) -> sa.ColumnElement[bool]:
    return sa.or_(*(AUDIT.c[name].icontains(word, autoescape=True) for name in LENGTHS)) if word else sa.true()
