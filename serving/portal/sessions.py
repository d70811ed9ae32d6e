"""The portal's sessions: rows of the users' table of sessions, each used for so many seconds after its last request and no longer.

The cookie is `<id>.<secret>`; the row has the secret's hash. A session of tokens is none of the portal's: its hash is of another text.
"""

import secrets
import uuid

import sqlalchemy as sa

from pipelines import databases
from serving.auth import sessions as auth_sessions
from serving.auth.authority import Authority
from serving.auth.users import SESSIONS, USERS, User

STEP = 1.0  # seconds in which further requests are not written down
SLACK = 60.0  # seconds that the clock may be set back


class Sessions:
    """Every method raises databases.NoDatabase where the database does not answer."""

    def __init__(self, authority: Authority, idle: float) -> None:
        self.authority, self.idle = authority, idle
        self._table, self._clock = authority.sessions, authority.sessions.clock

    def begin(self, user: User) -> str | None:
        """The cookie of a new session; None where the user was changed since the password was checked."""
        session, secret = uuid.uuid4().hex, secrets.token_urlsafe(32)
        begun = self._table.open(user, session, _text(secret), self._clock() + self.idle)
        return f"{session}.{secret}" if begun else None

    def touch(self, cookie: str) -> User | None:
        """The user of an active session, which lasts for another idle time from now on; None where it is over or unknown."""
        session, _, secret = cookie.partition(".")
        now = self._clock()
        known = (SESSIONS.c.id == session) & (SESSIONS.c.refresh_hash == auth_sessions.hashed(_text(secret)))
        active = known & SESSIONS.c.revoked.is_(None) & SESSIONS.c.expires.between(now, now + self.idle + SLACK) & ~USERS.c.disabled
        joined = sa.join(USERS, SESSIONS, USERS.c.id == SESSIONS.c.user_id)
        with databases.reading(self.authority.engine) as connection:
            row = connection.execute(sa.select(*USERS.c, SESSIONS.c.renewed).select_from(joined).where(active)).first()
        if row is None:
            return None
        if not 0 <= now - row.renewed < STEP:
            self._extend(session, now)
        return User(*row[:-1])

    def _extend(self, session: str, now: float) -> None:
        with databases.writing(self.authority.engine) as connection:
            values = {"renewed": now, "expires": now + self.idle}
            connection.execute(SESSIONS.update().where(SESSIONS.c.id == session).values(**values))

    def end(self, cookie: str) -> None:
        """Sign out. Only who has the secret can."""
        if self.touch(cookie):
            self.authority.sign_out(cookie.partition(".")[0])

    def token(self, user: User, cookie: str) -> str:
        """An access token for the products' services, which share users and key; it ends with the session."""
        return self.authority.tokens.issue("access", user.name, cookie.partition(".")[0])[0]


def _text(secret: str) -> str:
    """What is hashed: no token of the services begins so."""
    return f"portal {secret}"
