"""Who may come in: tokens for a password, tokens for a refresh token, and what an access token is worth.

One for each process, on the users' database (USERS_URL, else a file of the project); it blocks, so serving asks it in threads.
"""

import logging
import os
import threading
import time
import uuid
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pipelines import databases, paths
from pipelines.databases import Clock
from serving.auth import passwords, tokens
from serving.auth.attempts import PAUSE, Attempts, Locked
from serving.auth.sessions import Renewal, Sessions
from serving.auth.tokens import Claims, Tokens, Unaccepted
from serving.auth.users import User, Users

logger = logging.getLogger("atelier.serving")
MIGRATIONS = Path(__file__).parent / "migrations" / "users"
INTERVAL = 2.0  # seconds until an access token of an ended session is refused by every worker


class WrongPassword(Exception):
    """No user has this name and this password, or the user is disabled: which of them is nobody's to know."""


class NoUser(LookupError):
    """Tokens are required, and nobody could get one."""


class HalfNamed(ValueError):
    """ADMIN_USER without ADMIN_PASSWORD, or the other way round."""


class Granted(NamedTuple):
    """What a person gets: an access token, and where the one before was replaced, a refresh token."""

    user: str
    access: str
    refresh: str | None


class Authority:
    """The users' database and the key. Its methods raise databases.NoDatabase where the database does not answer."""

    def __init__(self, url: str, key: str, clock: Clock = time.time) -> None:
        self.engine = databases.migrated(url, MIGRATIONS)
        self.users, self.sessions = Users(self.engine, clock), Sessions(self.engine, clock)
        self.attempts, self.tokens = Attempts(self.engine, clock), Tokens(key, clock)
        self._ended: frozenset[str] = self.sessions.ended()
        passwords.nobodys()

    def signed_in(self, name: str, password: str, address: str) -> Granted:
        """Tokens for a password. Raises WrongPassword or attempts.Locked."""
        last = self.attempts.begin(name, address)
        user = self.users.find(name)
        right = passwords.matches(user.password_hash if user else None, password)
        if user is None or not right or user.disabled:
            raise Locked(PAUSE) if last else WrongPassword
        self.attempts.forgive(name, address)
        return self._opened(self._renewed_hash(user, password))

    def _renewed_hash(self, user: User, password: str) -> User:
        if passwords.outdated(user.password_hash):
            self.users.rehashed(user, password)
        return self.users.find(user.name) or user

    def _opened(self, user: User) -> Granted:
        session = uuid.uuid4().hex
        refresh, claims = self.tokens.made("refresh", user.name, session)
        if not self.sessions.open(user, session, refresh, claims.expires):
            raise WrongPassword
        return Granted(user.name, self.tokens.made("access", user.name, session)[0], refresh)

    def renewed(self, refresh: str, patient: bool = False) -> Granted:
        """Tokens for a refresh token; one that was used before ends its session, unless `patient` and a moment ago. Raises Unaccepted."""
        claims = self.tokens.read(refresh, "refresh")
        following, then = self.tokens.made("refresh", claims.user, claims.session)
        renewal = self.sessions.renew(claims.session, refresh, following, then.expires, patient)
        if renewal is Renewal.OVER:
            self._ended |= {claims.session}
            raise Unaccepted("The session is over: signed out, used twice, or the user was changed")
        access, _ = self.tokens.made("access", claims.user, claims.session)
        return Granted(claims.user, access, following if renewal is Renewal.DONE else None)

    def signed_out(self, session: str) -> None:
        """End a session: its refresh token at once, its access tokens within INTERVAL."""
        self.sessions.end(session)
        self._ended |= {session}

    def admitted(self, access: str) -> Claims:
        """Whose access token this is: no database is asked. Raises Unaccepted."""
        claims = self.tokens.read(access, "access")
        if claims.session in self._ended:
            raise Unaccepted("The session is over: signed out, used twice, or the user was changed")
        return claims

    def follow(self) -> None:
        """Look for ended sessions from a thread of its own, as long as the process lives."""
        threading.Thread(target=self._watch, daemon=True, name="ended-sessions").start()

    def _watch(self) -> None:
        reached = True
        while True:
            time.sleep(INTERVAL)
            reached = self.look(reached)

    def look(self, reached: bool = True) -> bool:
        """Learn which sessions were ended. Where the database does not answer, say so once; access tokens end by themselves."""
        try:
            self._ended = self.sessions.ended()
        except databases.NoDatabase as absence:
            if reached:
                logger.error("nobody can sign in: %s", absence)
            return False
        return True


def url() -> str:
    """Where the users are."""
    return os.environ.get("USERS_URL") or f"sqlite:///{paths.ROOT}/users.db"


@cache
def standing() -> Authority:
    """The one of this process, with its first administrator. Raises what is wrong with USERS_URL, AUTH_KEY or ADMIN_*."""
    authority = Authority(url(), tokens.key())
    name, password = os.environ.get("ADMIN_USER"), os.environ.get("ADMIN_PASSWORD")
    if bool(name) != bool(password):
        missing = "ADMIN_PASSWORD" if name else "ADMIN_USER"
        raise HalfNamed(f"{missing} is not set. Set ADMIN_USER and ADMIN_PASSWORD for the first administrator, or none of them.")
    if name and password and authority.users.bootstrap(name, password):
        logger.info("%s is the first administrator", name)
    return authority


def manned() -> Authority:
    """The same, where somebody could sign in. Raises NoUser with the remedy."""
    authority = standing()
    if all(user.disabled for user in authority.users.listed()):
        place = databases.without_password(authority.engine.url)
        raise NoUser(
            f"AUTH=required, and there is no user in {place}: nobody could sign in. Add one with `make user-add name=...`, "
            "or set ADMIN_USER and ADMIN_PASSWORD; AUTH=off lets everybody in."
        )
    return authority
