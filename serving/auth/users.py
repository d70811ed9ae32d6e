"""Users in a database of their own, for every family: who may sign in, and what revokes that."""

import re
import time
import unicodedata
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from pipelines import databases
from pipelines.databases import Clock
from serving.auth import passwords

NAME = re.compile(r"\w[\w.@+-]{0,63}")

METADATA = sa.MetaData()
USERS = sa.Table(
    "users",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("password_hash", sa.String(256), nullable=False),
    sa.Column("administrator", sa.Boolean, nullable=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("created", sa.Double, nullable=False),
)
SESSIONS = sa.Table(
    "sessions",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id", ondelete="SET NULL"), index=True),
    sa.Column("refresh_hash", sa.String(64), nullable=False),
    sa.Column("previous_hash", sa.String(64)),
    sa.Column("renewed", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False, index=True),
    sa.Column("revoked", sa.Double, index=True),
)


class BadName(ValueError):
    """A name that no user may have."""


class KnownUser(ValueError):
    """There is such a user already."""


class UnknownUser(LookupError):
    """There is no such user."""


class LastAdministrator(RuntimeError):
    """Nobody would be left to let people in."""


class User(NamedTuple):
    """A row of the table; `created` in seconds since 1970."""

    id: int
    name: str
    password_hash: str
    administrator: bool
    disabled: bool
    created: float


class Users:
    """The table of users. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def add(self, name: str, password: str, administrator: bool = False) -> str:
        """A new user; the first of all is an administrator. Returns the name as it is kept. Raises BadName, BadPassword or KnownUser."""
        row = self._row(name, password)
        try:
            with databases.writing(self.engine) as connection:
                connection.execute(USERS.insert().values(**row, administrator=administrator or _empty(connection)))
        except IntegrityError:
            raise KnownUser(f"{row['name']} is there already. Change the password with `make user-password name={row['name']}`.") from None
        return str(row["name"])

    def bootstrap(self, name: str, password: str) -> bool:
        """The first administrator, where there is no user at all; whoever is there stays as is. Raises BadName or BadPassword."""
        if self.listed():
            return False
        row = self._row(name, password)
        try:
            with databases.writing(self.engine) as connection:
                if not _empty(connection):
                    return False
                connection.execute(USERS.insert().values(**row, administrator=True))
        except IntegrityError:  # another process has just made it
            return False
        return True

    def _row(self, name: str, password: str) -> dict[str, Any]:
        name = checked(name)
        hashed = passwords.hashed(passwords.checked(password, name))
        return {"name": name, "password_hash": hashed, "disabled": False, "created": self.clock()}

    def listed(self) -> list[User]:
        """All users by name."""
        with databases.reading(self.engine) as connection:
            return [User(*row) for row in connection.execute(sa.select(USERS).order_by(USERS.c.name))]

    def find(self, name: str) -> User | None:
        """The user of this name, however it is typed."""
        if (plain := normal(name)) is None:
            return None
        with databases.reading(self.engine) as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.name == plain)).first()
        return User(*row) if row else None

    def password(self, name: str, password: str) -> None:
        """Another password; whoever is signed in with the old one is signed out. Raises UnknownUser or BadPassword."""
        user = self.known(name)
        hashed = passwords.hashed(passwords.checked(password, user.name))
        self._change(user, password_hash=hashed)

    def disable(self, name: str) -> None:
        """Keep the user, and let nobody in by that name; whoever is signed in is signed out. Raises UnknownUser or LastAdministrator."""
        user = self.known(name)
        self._spared(user)
        self._change(user, disabled=True)

    def enable(self, name: str) -> None:
        """Let a disabled user in again. Raises UnknownUser."""
        self._change(self.known(name), disabled=False)

    def remove(self, name: str) -> None:
        """Forget the user. Raises UnknownUser or LastAdministrator."""
        user = self.known(name)
        self._spared(user)
        with databases.writing(self.engine) as connection:
            revoke(connection, SESSIONS.c.user_id == user.id, self.clock())
            connection.execute(USERS.delete().where(USERS.c.id == user.id))

    def rehashed(self, user: User, password: str) -> None:
        """The same password with today's parameters, unless it was changed meanwhile."""
        same = (USERS.c.id == user.id) & (USERS.c.password_hash == user.password_hash)
        with databases.writing(self.engine) as connection:
            connection.execute(USERS.update().where(same).values(password_hash=passwords.hashed(password)))

    def _change(self, user: User, **values: Any) -> None:
        with databases.writing(self.engine) as connection:
            connection.execute(USERS.update().where(USERS.c.id == user.id).values(**values))
            revoke(connection, SESSIONS.c.user_id == user.id, self.clock())

    def known(self, name: str) -> User:
        """The same. Raises UnknownUser."""
        if user := self.find(name):
            return user
        names = ", ".join(known.name for known in self.listed()) or "none"
        raise UnknownUser(f"There is no user {name!r}. Known: {names}.")

    def _spared(self, user: User) -> None:
        others = [known for known in self.listed() if known.administrator and not known.disabled and known.id != user.id]
        if user.administrator and not others:
            raise LastAdministrator(f"{user.name} is the last administrator. Add another first: make user-add name=... administrator=yes")


def _empty(connection: Connection) -> bool:
    return connection.execute(sa.select(USERS.c.id).limit(1)).first() is None


def normal(name: str) -> str | None:
    """A name as it is kept: one form of each letter, no capitals. None for what cannot be one."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return plain if NAME.fullmatch(plain) else None


def checked(name: str) -> str:
    """The same. Raises BadName."""
    if (plain := normal(name)) is None:
        raise BadName(
            f"{name[:80]!r} is no name for a user. It has 1 to 64 letters, digits or . _ @ + -, and begins with a letter or a digit."
        )
    return plain


def revoke(connection: Connection, which: sa.ColumnElement[bool], now: float) -> None:
    """End these sessions. The rows stay until no access token of theirs is valid any more."""
    connection.execute(SESSIONS.update().where(which & SESSIONS.c.revoked.is_(None)).values(revoked=now))
