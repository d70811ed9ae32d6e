"""Passwords typed wrong, counted in the database, so that all workers and services count together."""

import hashlib
import ipaddress
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql, sqlite

from pipelines import databases
from pipelines.databases import Clock
from serving.auth.users import METADATA, normal

NAME_MOST = 10  # wrong passwords for one name; this one is refused already
ADDRESS_MOST = 100  # from one address: an office, or a proxy, may be behind it
PAUSE = 300  # seconds from the last of them until all is forgotten

FAILURES = sa.Table(
    "failures",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("until", sa.Double, nullable=False, index=True),
)


class Locked(Exception):
    """Too many wrong passwords; `seconds` from now the next may be tried."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


class Attempts:
    """The table of failures. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def begin(self, name: str, address: str) -> bool:
        """Count an attempt as failed before the password is looked at, so that many at once gain nothing. Raises Locked.

        Says whether this is the last one.
        """
        now = self.clock()
        with databases.writing(self.engine) as connection:
            connection.execute(FAILURES.delete().where(FAILURES.c.until <= now))
        with databases.writing(self.engine) as connection:
            counted = [_count(connection, key, most, now) for key, most in _keys(name, address).items()]
        return any(count >= most for count, most in zip(counted, _keys(name, address).values(), strict=True))

    def forgive(self, name: str, address: str) -> None:
        """The password was right: the name begins anew, the address has one less."""
        by_address, by_name = _keys(name, address)
        with databases.writing(self.engine) as connection:
            connection.execute(FAILURES.update().where(FAILURES.c.key == by_address).values(count=FAILURES.c.count - 1))
            connection.execute(FAILURES.delete().where(FAILURES.c.key == by_name))


def _keys(name: str, address: str) -> dict[str, int]:
    """The two things that are counted, and how many are allowed; hashed, since people type passwords into the wrong field."""
    known = normal(name) or name
    return {_hash(f"address {network(address)}"): ADDRESS_MOST, _hash(f"name {known}"): NAME_MOST}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def network(address: str) -> str:
    """An IPv4 address, or the /64 of an IPv6 one, which one person has whole."""
    try:
        numbers = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(numbers if numbers.version == 4 else ipaddress.ip_network((numbers, 64), strict=False))


def _count(connection: Connection, key: str, most: int, now: float) -> int:
    insert: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(FAILURES).values(key=key, count=1, until=now + PAUSE)
    again = {"count": FAILURES.c.count + 1, "until": row.excluded.until}
    row = row.on_conflict_do_update(index_elements=["key"], set_=again, where=FAILURES.c.count < most).returning(FAILURES.c.count)
    count = connection.execute(row).scalar()
    if count is None:
        until = connection.execute(sa.select(FAILURES.c.until).where(FAILURES.c.key == key)).scalar()
        raise Locked((until or now) - now)
    return int(count)
