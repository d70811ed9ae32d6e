"""Users in a database of their own, shared by all families: who may sign in, and what revokes that."""

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


class User(NamedTuple):
    """A row of the table; `created` in seconds since 1970."""

    id: int
    name: str
    password_hash: str
    administrator: bool
    disabled: bool
    created: float


FLAGS = ("administrator", "disabled")
USERS = sa.table("users", *(sa.column(name, sa.Boolean() if name in FLAGS else None) for name in User._fields))
SESSIONS = sa.table(
    "sessions", *map(sa.column, ("id", "user_id", "refresh_hash", "previous_hash", "renewed", "expires", "revoked"))
)  # migrations/users/ has the types and constraints


class InvalidUser(ValueError):
    """The user's name is malformed, taken or unknown, or the user is the last administrator."""


class Users:
    """The table of users. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def add(self, name: str, password: str, administrator: bool = False) -> User:
        """Add a user. Raises InvalidUser or BadPassword."""
        row = {**self._row(name, password), "administrator": administrator}
        try:
            with databases.writing(self.engine) as connection:
                return User(*connection.execute(USERS.insert().values(**row).returning(*USERS.c)).one())
        except IntegrityError:
            raise InvalidUser(f"User {row['name']} exists. Change the password with `make user-password name={row['name']}`.") from None

    def bootstrap(self, name: str, password: str) -> bool:
        """Add the first administrator, unless there is any user. Raises InvalidUser or BadPassword."""
        if self.all():
            return False
        row = self._row(name, password)
        try:
            with databases.writing(self.engine) as connection:
                if empty := _empty(connection):
                    connection.execute(USERS.insert().values(**row, administrator=True))
                return empty
        except IntegrityError:  # another process has just added it
            return False

    def _row(self, name: str, password: str) -> dict[str, Any]:
        name = validated(name)
        hashed = passwords.hashed(passwords.validated(password, name))
        return {"name": name, "password_hash": hashed, "disabled": False, "created": self.clock()}

    def all(self) -> list[User]:
        """All users by name."""
        with databases.reading(self.engine) as connection:
            return [User(*row) for row in connection.execute(sa.select(USERS).order_by(USERS.c.name))]

    def find(self, name: str) -> User | None:
        """The user of this name in any spelling that normalised() unifies."""
        plain = normalised(name)
        if plain is None:
            return None
        with databases.reading(self.engine) as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.name == plain)).first()
        return User(*row) if row else None

    def get(self, name: str) -> User:
        """The user of this name. Raises InvalidUser."""
        if user := self.find(name):
            return user
        raise InvalidUser(f"There is no user {name!r}. Known: {', '.join(user.name for user in self.all()) or 'none'}.")

    def set_password(self, name: str, password: str) -> None:
        """Change the password and end the user's sessions. Raises InvalidUser or BadPassword."""
        user = self.get(name)
        self._change(user, password_hash=passwords.hashed(passwords.validated(password, user.name)))

    def disable(self, name: str) -> None:
        """Refuse sign-in and end the user's sessions. Raises InvalidUser."""
        self._change(self._removable(name), disabled=True)

    def enable(self, name: str) -> None:
        """Allow a disabled user to sign in again. Raises InvalidUser."""
        self._change(self.get(name), disabled=False)

    def remove(self, name: str) -> None:
        """Delete the user and end the user's sessions. Raises InvalidUser."""
        user = self._removable(name)
        with databases.writing(self.engine) as connection:
            revoke(connection, SESSIONS.c.user_id == user.id, self.clock())
            connection.execute(USERS.delete().where(USERS.c.id == user.id))

    def rehash(self, user: User, password: str) -> None:
        """Hash the same password with the current parameters, unless it was changed meanwhile."""
        same = (USERS.c.id == user.id) & (USERS.c.password_hash == user.password_hash)
        with databases.writing(self.engine) as connection:
            connection.execute(USERS.update().where(same).values(password_hash=passwords.hashed(password)))

    def _change(self, user: User, **values: Any) -> None:
        with databases.writing(self.engine) as connection:
            connection.execute(USERS.update().where(USERS.c.id == user.id).values(**values))
            revoke(connection, SESSIONS.c.user_id == user.id, self.clock())

    def _removable(self, name: str) -> User:
        """The user, who is not the last enabled administrator."""
        user = self.get(name)
        if user.administrator and not any(other.administrator and not other.disabled and other.id != user.id for other in self.all()):
            raise InvalidUser(f"{user.name} is the last administrator. Add another first: make user-add name=... administrator=yes")
        return user


def _empty(connection: Connection) -> bool:
    return connection.execute(sa.select(USERS.c.id).limit(1)).first() is None


def normalised(name: str) -> str | None:
    """A name as it is stored: NFKC, case folded. None where it cannot be a name."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return plain if NAME.fullmatch(plain) else None


def validated(name: str) -> str:
    """The normalised name. Raises InvalidUser."""
    if plain := normalised(name):
        return plain
    raise InvalidUser(f"{name[:80]!r} is not a user name: 1 to 64 letters, digits or . _ @ + -, beginning with a letter or digit.")


def revoke(connection: Connection, which: sa.ColumnElement[bool], now: float) -> None:
    """End these sessions. The rows stay until none of their access tokens is valid."""
    connection.execute(SESSIONS.update().where(which & SESSIONS.c.revoked.is_(None)).values(revoked=now))
