"""Keys of users for their programs: shown once, stored as a hash, for some products and a time. A key is `atelier_<id>_<secret>`."""

import re
import secrets
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Engine

from pipelines import databases
from pipelines.databases import Clock
from serving.auth import sessions
from serving.auth.users import USERS, User

PREFIX = "atelier_"
ID = re.compile(r"[0-9a-f]{12}")
MOST = 20  # valid keys of a user
LONGEST = 366  # days
STEP = 60.0  # seconds in which further uses are not written down
DAY = 86400.0  # seconds


class InvalidKey(Exception):
    """A key that is unknown, expired, revoked, or a disabled user's; the message is for the client."""


class OutOfScope(Exception):
    """A key that is not for this product; the message is for the client."""


class BadKey(ValueError):
    """A key that cannot be made; the message is for its user."""


class Key(NamedTuple):
    """A key without its secret; times in seconds since 1970, `user` is the name of its user."""

    id: str
    user_id: int
    name: str
    products: tuple[str, ...]
    created: float
    expires: float
    used: float | None
    revoked: float | None
    user: str


KEYS = sa.table(
    "api_keys", *map(sa.column, ("id", "user_id", "name", "hash", "products", "created", "expires", "used", "revoked"))
)  # migrations/users/ has the types and constraints
COLUMNS = [*(KEYS.c[name] for name in Key._fields[:-1]), USERS.c.name]
JOINED = sa.join(KEYS, USERS, USERS.c.id == KEYS.c.user_id)


class Keys:
    """The table of keys. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def add(self, user: User, name: str, products: Sequence[str], days: int) -> tuple[Key, str]:
        """A new key of a user for these products, and its text, which is stored nowhere. Raises BadKey."""
        now, id, secret = self.clock(), secrets.token_hex(6), secrets.token_urlsafe(32)
        _check(name, products, days)
        row = {"id": id, "user_id": user.id, "name": name, "created": now, "expires": now + days * DAY}
        with databases.writing(self.engine) as connection:
            valid = (KEYS.c.user_id == user.id) & KEYS.c.revoked.is_(None) & (KEYS.c.expires > now)
            if connection.execute(sa.select(sa.func.count()).select_from(KEYS).where(valid)).scalar_one() >= MOST:
                raise BadKey(f"You have {MOST} valid keys, and no more are allowed. Revoke one that is not used.")
            connection.execute(KEYS.insert().values(hash=sessions.hashed(secret), products=",".join(products), **row))
        return Key(id, user.id, name, tuple(products), now, now + days * DAY, None, None, user.name), f"{PREFIX}{id}_{secret}"

    def of(self, user: int) -> list[Key]:
        """A user's keys, the newest first."""
        return self._select(KEYS.c.user_id == user)

    def all(self) -> list[Key]:
        """All keys, the newest first."""
        return self._select(sa.true())

    def revoke(self, id: str, user: int | None = None) -> Key | None:
        """Revoke a key, of this user where one is named; None where there is no such valid key."""
        which = (KEYS.c.id == _plain(id)) & KEYS.c.revoked.is_(None) & (sa.true() if user is None else KEYS.c.user_id == user)
        found = self._select(which)
        with databases.writing(self.engine) as connection:
            connection.execute(KEYS.update().where(which).values(revoked=self.clock()))
        return found[0] if found else None

    def check(self, text: str, product: str) -> Key:
        """The key of this text, which may ask the product; its use is noted. Raises InvalidKey or OutOfScope."""
        id, _, secret = text.removeprefix(PREFIX).partition("_")
        now = self.clock()
        known = (KEYS.c.id == _plain(id)) & (KEYS.c.hash == sessions.hashed(secret)) & KEYS.c.revoked.is_(None) & ~USERS.c.disabled
        found = self._select(known & (KEYS.c.expires > now) & (KEYS.c.expires <= now + (LONGEST + 1) * DAY))
        if not found:
            raise InvalidKey("The key is not one of this service's, has expired, or was revoked")
        key = found[0]
        if product not in key.products:
            raise OutOfScope(f"This key is for {', '.join(key.products)}, not for {product}. Make another on the portal's page Keys.")
        if key.used is None or not 0 <= now - key.used < STEP:
            with databases.writing(self.engine) as connection:
                connection.execute(KEYS.update().where(KEYS.c.id == id).values(used=now))
        return key

    def _select(self, which: sa.ColumnElement[bool]) -> list[Key]:
        chosen = sa.select(*COLUMNS).select_from(JOINED).where(which).order_by(KEYS.c.created.desc(), KEYS.c.id)
        with databases.reading(self.engine) as connection:
            return [_key(*row) for row in connection.execute(chosen)]


def _key(id: str, user_id: int, name: str, products: str, *rest: Any) -> Key:
    return Key(id, user_id, name, tuple(products.split(",")), *rest)


def _plain(id: str) -> str:
    """The id where it may be one: no database takes every text."""
    return id if ID.fullmatch(id) else ""


def _check(name: str, products: Sequence[str], days: int) -> None:
    if not 1 <= len(name) <= 64 or not name.isprintable():
        raise BadKey("A key has a name of 1 to 64 characters, such as that of the program.")
    if not products:
        raise BadKey("A key is for one product at least. Choose some.")
    if not 1 <= days <= LONGEST:
        raise BadKey(f"A key is valid for 1 to {LONGEST} days.")
