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
EMAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]+(\.[\w-]+)*")
LONGEST = 254  # characters of an e-mail address (RFC 5321)
OPERATOR, SCIENTIST, ADMINISTRATOR = ROLES = ("operator", "data scientist", "administrator")


class User(NamedTuple):
    """A row of the table; `role` is one of ROLES, `created` in seconds since 1970.

    An account that is not `confirmed` waits for its e-mail address, one that is not `approved` for an administrator.
    """

    id: int
    name: str
    password_hash: str
    disabled: bool
    created: float
    email: str | None
    role: str
    confirmed: bool
    approved: bool

    @property
    def administrator(self) -> bool:
        """Has this user the role of an administrator?"""
        return self.role == ADMINISTRATOR

    @property
    def active(self) -> bool:
        """May this user sign in?"""
        return self.confirmed and self.approved and not self.disabled


FLAGS = ("disabled", "confirmed", "approved")
USERS = sa.table("users", *(sa.column(name, sa.Boolean() if name in FLAGS else None) for name in User._fields))
SESSIONS = sa.table(
    "sessions", *map(sa.column, ("id", "user_id", "refresh_hash", "previous_hash", "renewed", "expires", "revoked"))
)  # migrations/users/ has the types and constraints


class InvalidUser(ValueError):
    """The user's name, e-mail address or role is malformed, taken or unknown, or the user is the last administrator."""


class NameTaken(InvalidUser):
    """Another user has this name."""


class EmailTaken(InvalidUser):
    """Another user has this e-mail address, or has it as a name."""


class Users:
    """The table of users. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def add(
        self, name: str, password: str, administrator: bool = False, email: str | None = None, confirmed: bool = True, approved: bool = True
    ) -> User:
        """Add a user, an operator unless an administrator. Raises InvalidUser or BadPassword."""
        address = validated_email(email) if email else None
        row = {**self._row(name, password), "role": ADMINISTRATOR if administrator else OPERATOR, "email": address}
        row |= {"confirmed": confirmed, "approved": approved}
        try:
            with databases.writing(self.engine) as connection:
                _check_free(connection, row["name"], address)
                return User(*connection.execute(USERS.insert().values(**row).returning(*USERS.c)).one())
        except IntegrityError:  # another process has just added it
            raise NameTaken(_exists(row["name"])) from None

    def bootstrap(self, name: str, password: str) -> bool:
        """Add the first administrator, unless there is any user. Raises InvalidUser or BadPassword."""
        if self.all():
            return False
        row = self._row(name, password)
        try:
            with databases.writing(self.engine) as connection:
                if empty := _empty(connection):
                    connection.execute(USERS.insert().values(**row, role=ADMINISTRATOR))
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

    def open_sessions(self) -> dict[int, int]:
        """{id of a user: how many sessions are open}"""
        now = self.clock()
        still = SESSIONS.c.revoked.is_(None) & (SESSIONS.c.expires > now) & SESSIONS.c.user_id.is_not(None)
        counted = sa.select(SESSIONS.c.user_id, sa.func.count()).where(still).group_by(SESSIONS.c.user_id)
        with databases.reading(self.engine) as connection:
            return {int(user): int(count) for user, count in connection.execute(counted)}

    def find(self, name: str) -> User | None:
        """The user of this e-mail address or else this name, in any spelling that unified() makes the same."""
        plain = unified(name)
        if not (NAME.fullmatch(plain) or EMAIL.fullmatch(plain)):
            return None
        with databases.reading(self.engine) as connection:
            found = [User(*row) for row in connection.execute(sa.select(USERS).where((USERS.c.email == plain) | (USERS.c.name == plain)))]
        return next((user for user in found if user.email == plain), found[0] if found else None)

    def by_id(self, id: int) -> User | None:
        """The user of this id."""
        with databases.reading(self.engine) as connection:
            row = connection.execute(sa.select(USERS).where(USERS.c.id == id)).first()
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

    def set_role(self, name: str, role: str) -> None:
        """Give the user one of ROLES and end the user's sessions. Raises InvalidUser."""
        if role not in ROLES:
            raise InvalidUser(f"{role[:80]!r} is not a role. Choose one of: {', '.join(ROLES)}.")
        self._change(self.get(name) if role == ADMINISTRATOR else self._removable(name), role=role)

    def disable(self, name: str) -> None:
        """Refuse sign-in and end the user's sessions. Raises InvalidUser."""
        self._change(self._removable(name), disabled=True)

    def enable(self, name: str) -> None:
        """Allow a user to sign in: disabled, not confirmed or not approved before. Raises InvalidUser."""
        self._change(self.get(name), disabled=False, confirmed=True, approved=True)

    def approve(self, name: str) -> None:
        """Allow a new user to sign in, once the e-mail address is confirmed. Raises InvalidUser."""
        self._change(self.get(name), approved=True)

    def confirm(self, name: str) -> None:
        """The user has read what was sent to the e-mail address. Raises InvalidUser."""
        self._change(self.get(name), confirmed=True)

    def end_sessions(self, name: str) -> None:
        """Sign the user out everywhere. Raises InvalidUser."""
        user = self.get(name)
        with databases.writing(self.engine) as connection:
            revoke(connection, SESSIONS.c.user_id == user.id, self.clock())

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
        if user.administrator and not any(other.administrator and other.active and other.id != user.id for other in self.all()):
            raise InvalidUser(f"{user.name} is the last administrator. Add another first: make user-add name=... administrator=yes")
        return user


def _empty(connection: Connection) -> bool:
    return connection.execute(sa.select(USERS.c.id).limit(1)).first() is None


def _check_free(connection: Connection, name: str, email: str | None) -> None:
    """Raises NameTaken or EmailTaken. Nobody's name is another's e-mail address: either is enough to sign in."""
    if connection.execute(sa.select(USERS.c.id).where((USERS.c.name == name) | (USERS.c.email == name))).first():
        raise NameTaken(_exists(name))
    if email and connection.execute(sa.select(USERS.c.id).where((USERS.c.name == email) | (USERS.c.email == email))).first():
        raise EmailTaken(f"A user has the e-mail address {email} already.")


def _exists(name: str) -> str:
    return f"User {name} exists. Change the password with `make user-password name={name}`."


def unified(word: str) -> str:
    """NFKC, case folded: one spelling of what people type differently."""
    return unicodedata.normalize("NFKC", word).casefold()


def normalised(name: str) -> str | None:
    """A name as it is stored. None where it cannot be a name."""
    plain = unified(name)
    return plain if NAME.fullmatch(plain) else None


def validated_email(address: str) -> str:
    """The address as it is stored. Raises InvalidUser."""
    plain = unified(address.strip())
    if len(plain) > LONGEST or not EMAIL.fullmatch(plain):
        raise InvalidUser(f"{address[:80]!r} is not an e-mail address such as ada@example.org.")
    return plain


def validated(name: str) -> str:
    """The normalised name. Raises InvalidUser."""
    if plain := normalised(name):
        return plain
    raise InvalidUser(f"{name[:80]!r} is not a user name: 1 to 64 letters, digits or . _ @ + -, beginning with a letter or digit.")


def revoke(connection: Connection, which: sa.ColumnElement[bool], now: float) -> None:
    """End these sessions. The rows stay until none of their access tokens is valid."""
    connection.execute(SESSIONS.update().where(which & SESSIONS.c.revoked.is_(None)).values(revoked=now))
