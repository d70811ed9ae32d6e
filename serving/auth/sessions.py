"""Sessions: what a person has from signing in to signing out. Each knows its refresh token by hash; one used twice ends it."""

import hashlib
import time
from enum import Enum

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Row

from pipelines import databases
from pipelines.databases import Clock
from serving.auth.users import SESSIONS, USERS, User, revoke

GRACE = 10  # seconds in which a browser's other requests may still carry the cookie before
REMEMBERED = 3600  # seconds that an ended session is kept: more than any access token lives


class Renewal(Enum):
    """What became of a refresh token."""

    DONE = "replaced by the next"
    JUST = "replaced a moment ago"
    OVER = "worth nothing"


class Sessions:
    """The table of sessions. Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine, self.clock = engine, clock

    def open(self, user: User, session: str, refresh: str, expires: float) -> bool:
        """Begin a session; false where the user was changed since the password was looked at."""
        now = self.clock()
        same = (USERS.c.id == user.id) & (USERS.c.password_hash == user.password_hash) & ~USERS.c.disabled
        with databases.writing(self.engine) as connection:
            _sweep(connection, now)
            if connection.execute(sa.select(USERS.c.id).where(same).with_for_update()).first() is None:
                return False
            row = {"id": session, "user_id": user.id, "refresh_hash": hashed(refresh), "renewed": now, "expires": expires}
            connection.execute(SESSIONS.insert().values(**row))
        return True

    def renew(self, session: str, refresh: str, following: str, expires: float, patient: bool = False) -> Renewal:
        """Put the `following` refresh token in the place of this one. One that was used before ends the session.

        `patient`: one that was used a moment ago does not; browsers send several requests at once.
        """
        now = self.clock()
        with databases.writing(self.engine) as connection:
            row = connection.execute(_standing(session, now)).first()
            renewal = _judged(row, hashed(refresh), now - GRACE if patient else now + 1)
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
        """The sessions that were ended while an access token of theirs may still be valid."""
        lately = SESSIONS.c.revoked > self.clock() - REMEMBERED
        with databases.reading(self.engine) as connection:
            return frozenset(connection.scalars(sa.select(SESSIONS.c.id).where(lately)))


def _standing(session: str, now: float) -> sa.Select[tuple[str, str | None, float]]:
    """A session that may go on, its row locked."""
    going = (SESSIONS.c.id == session) & SESSIONS.c.revoked.is_(None) & (SESSIONS.c.expires > now) & ~USERS.c.disabled
    columns = sa.select(SESSIONS.c.refresh_hash, SESSIONS.c.previous_hash, SESSIONS.c.renewed)
    return columns.join(USERS, USERS.c.id == SESSIONS.c.user_id).where(going).with_for_update(of=SESSIONS)


def _judged(row: Row[tuple[str, str | None, float]] | None, refresh: str, since: float) -> Renewal:
    if row is None:
        return Renewal.OVER
    if row.refresh_hash == refresh:
        return Renewal.DONE
    return Renewal.JUST if row.previous_hash == refresh and row.renewed >= since else Renewal.OVER


def _sweep(connection: Connection, now: float) -> None:
    """Forget what is long over."""
    connection.execute(SESSIONS.delete().where((SESSIONS.c.expires < now - REMEMBERED) | (SESSIONS.c.revoked < now - REMEMBERED)))


def hashed(token: str) -> str:
    """What is kept of a refresh token: whoever reads the database cannot use it. No salt: a token is random enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
