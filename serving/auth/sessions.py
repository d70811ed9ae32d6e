"""Sessions, from signing in to signing out. A session's refresh token is stored as a hash; one that is used twice ends the session."""

import hashlib
import time
from enum import Enum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from pipelines import databases
from pipelines.databases import Clock
from serving.auth.users import SESSIONS, USERS, User, revoke

GRACE = 10  # seconds in which a browser's parallel requests may still carry the previous cookie
REMEMBERED = 3600  # seconds that an ended session is stored: longer than any access token is valid


class Renewal(Enum):
    """The state of a refresh token that was sent."""

    DONE = "replaced by the next"
    RECENT = "replaced a moment ago"
    OVER = "not valid any more"


class Sessions:
    """The table of sessions. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def open(self, user: User, session: str, refresh: str, expires: float) -> bool:
        """Begin a session; false where the user was changed since the password was checked."""
        now = self.clock()
        same = (USERS.c.id == user.id) & (USERS.c.password_hash == user.password_hash) & ~USERS.c.disabled
        over = (SESSIONS.c.expires < now - REMEMBERED) | (SESSIONS.c.revoked < now - REMEMBERED)
        with databases.writing(self.engine) as connection:
            connection.execute(SESSIONS.delete().where(over))
            if connection.execute(sa.select(USERS.c.id).where(same).with_for_update()).first() is None:
                return False
            row = {"id": session, "user_id": user.id, "refresh_hash": hashed(refresh), "renewed": now, "expires": expires}
            connection.execute(SESSIONS.insert().values(**row))
        return True

    def renew(self, session: str, refresh: str, following: str, expires: float, patient: bool = False) -> Renewal:
        """Replace this refresh token by the `following` one. A token that was used before ends the session.

        `patient`: not where it was used a moment ago; browsers send several requests at once.
        """
        now = self.clock()
        with databases.writing(self.engine) as connection:
            renewal = _renewal(_locked(connection, session, now), hashed(refresh), now - GRACE if patient else now + 1)
            if renewal is Renewal.DONE:
                values = {"refresh_hash": hashed(following), "previous_hash": hashed(refresh), "renewed": now, "expires": expires}
                connection.execute(SESSIONS.update().where(SESSIONS.c.id == session).values(**values))
            elif renewal is Renewal.OVER:
                revoke(connection, SESSIONS.c.id == session, now)
        return renewal

    def end(self, session: str) -> None:
        """Sign out."""
        with databases.writing(self.engine) as connection:
            revoke(connection, SESSIONS.c.id == session, self.clock())

    def ended(self) -> frozenset[str]:
        """The sessions that ended while one of their access tokens may still be valid."""
        lately = SESSIONS.c.revoked > self.clock() - REMEMBERED
        with databases.reading(self.engine) as connection:
            return frozenset(connection.scalars(sa.select(SESSIONS.c.id).where(lately)))


def _locked(connection: Connection, session: str, now: float) -> Any:
    """An active session, its row locked."""
    active = (SESSIONS.c.id == session) & SESSIONS.c.revoked.is_(None) & (SESSIONS.c.expires > now) & ~USERS.c.disabled
    columns = sa.select(SESSIONS.c.refresh_hash, SESSIONS.c.previous_hash, SESSIONS.c.renewed)
    return connection.execute(columns.join(USERS, USERS.c.id == SESSIONS.c.user_id).where(active).with_for_update(of=SESSIONS)).first()


def _renewal(row: Any, refresh: str, since: float) -> Renewal:
    if row is None:
        return Renewal.OVER
    if row.refresh_hash == refresh:
        return Renewal.DONE
    lately = since <= row.renewed <= since + 2 * GRACE  # later: the clock was set back
    return Renewal.RECENT if row.previous_hash == refresh and lately else Renewal.OVER


def hashed(token: str) -> str:
    """What is stored of a refresh token. It is random enough to need no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
