"""Failed sign-ins, counted in the database, so that all workers and services count together."""

import hashlib
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import postgresql, sqlite

from pipelines import databases
from pipelines.databases import Clock
from serving.auth.users import unified
from serving.inputs import senders

NAME_MOST = 10  # wrong passwords for one name; this one is refused already
ADDRESS_MOST = 100  # from one address: an office, or a proxy, may be behind it
LETTER_MOST = 3  # to one user
SIGN_UP_MOST = 20  # attempts to sign up from one address: each may tell whether an e-mail address has an account
PAUSE = 300  # seconds after the last failure until the counters reset

FAILURES = sa.table("failures", sa.column("key"), sa.column("count"), sa.column("until"))


class Locked(Exception):
    """Too many wrong passwords; the next may be tried in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


class Attempts:
    """The table of failures. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def begin(self, name: str, address: str) -> bool:
        """Count a failure before the password is checked, against parallel attempts; is it the last one allowed? Raises Locked."""
        counts = self._counted(_limits(name, address))
        return any(count >= most for count, most in counts)

    def begin_sign_up(self, address: str) -> None:
        """Count an attempt to sign up, right or wrong. Raises Locked."""
        self._counted({_key(f"sign-up {senders.network(address)}"): SIGN_UP_MOST})

    def begin_request(self, address: str) -> None:
        """Count a letter that is asked for from an address, whether one is sent or not. Raises Locked."""
        self._counted({_key(f"letter from {senders.network(address)}"): SIGN_UP_MOST})

    def begin_letter(self, name: str) -> None:
        """Count a letter to a user. Raises Locked."""
        self._counted({_key(f"letter to {name}"): LETTER_MOST})

    def _counted(self, limits: dict[str, int]) -> list[tuple[int, int]]:
        """Count one more for each key: (count, allowed). Raises Locked."""
        now = self.clock()
        with databases.writing(self.engine) as connection:
            over = (FAILURES.c.until <= now) | (FAILURES.c.until > now + 2 * PAUSE)  # the clock was set back
            connection.execute(FAILURES.delete().where(over))
        with databases.writing(self.engine) as connection:
            return [(_count(connection, key, most, now), most) for key, most in limits.items()]

    def forgive(self, name: str, address: str) -> None:
        """The password was right: reset the name's counter, and take this attempt off the address."""
        by_address, by_name = _limits(name, address)
        with databases.writing(self.engine) as connection:
            connection.execute(FAILURES.update().where(FAILURES.c.key == by_address).values(count=FAILURES.c.count - 1))
            connection.execute(FAILURES.delete().where(FAILURES.c.key == by_name))


def _limits(name: str, address: str) -> dict[str, int]:
    """{key: allowed failures} of the address and the name; hashed, since people type passwords into the wrong field."""
    counted = {f"address {senders.network(address)}": ADDRESS_MOST, f"name {unified(name)}": NAME_MOST}
    return {_key(words): most for words, most in counted.items()}


def _key(words: str) -> str:
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()


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
