"""Signing in, renewing and checking tokens, on the database of users (USERS_URL, else a file of the project). Blocking: use threads."""

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
from pipelines.errors import BadSetting
from serving.auth import passwords, tokens
from serving.auth.attempts import PAUSE, Attempts, Locked
from serving.auth.audit import Audit
from serving.auth.keys import Keys
from serving.auth.sessions import Renewal, Sessions
from serving.auth.tokens import Claims, InvalidToken, Tokens
from serving.auth.users import User, Users

logger = logging.getLogger("atelier.serving")
MIGRATIONS = Path(__file__).parent / "migrations" / "users"
INTERVAL = 2.0  # seconds until every worker refuses an access token of an ended session
WAITS = {
    "confirmed": "This account waits for its e-mail address to be confirmed, by the link that was sent to it.",
    "approved": "This account waits for an administrator to approve it.",
}
OVER = "The session is over: signed out, used twice, or the user was changed"


class WrongPassword(Exception):
    """No user has this name and this password, or the user is disabled: a client is not told which."""


class Held(WrongPassword):
    """The password is right, but the account waits: for its e-mail address to be confirmed, or for an administrator."""

    def __init__(self, user: User) -> None:
        super().__init__(WAITS["approved" if user.confirmed else "confirmed"])
        self.user = user


class Granted(NamedTuple):
    """Tokens for a user; `refresh` is None where the previous one was replaced a moment ago."""

    user: str
    access: str
    refresh: str | None


class Authority:
    """The users' database and the key. Its methods raise databases.NoDatabase where the database does not answer."""

    def __init__(self, url: str, key: str, clock: Clock = time.time) -> None:
        self.engine = databases.migrated(url, MIGRATIONS)
        self.users, self.sessions = Users(self.engine, clock), Sessions(self.engine, clock)
        self.attempts, self.tokens = Attempts(self.engine, clock), Tokens(key, clock)
        self.audit, self.keys = Audit(self.engine, clock), Keys(self.engine, clock)
        self._ended: frozenset[str] = self.sessions.ended()
        passwords.dummy_hash()

    def sign_in(self, name: str, password: str, address: str) -> Granted:
        """Tokens for a password. Raises WrongPassword or attempts.Locked."""
        return self._open_session(self.authenticate(name, password, address))

    def authenticate(self, name: str, password: str, address: str) -> User:
        """The user of this name or e-mail address and this password. Raises WrongPassword, Held or attempts.Locked."""
        last = self.attempts.begin(name, address)
        user = self.users.find(name)
        right = passwords.matches(user.password_hash if user else None, password)
        if user is None or not right or user.disabled:
            why = "disabled" if right else "wrong password" if user else "unknown account"  # what was typed may be a password
            self.audit.note("", "sign-in failed", user.name if user else "", address, f"{why}, closed for a while" if last else why)
            raise Locked(PAUSE) if last else WrongPassword
        self.attempts.forgive(name, address)
        if not user.active:
            raise Held(user)
        self.audit.note(user.name, "signed in", "", address)
        if passwords.HASHER.check_needs_rehash(user.password_hash):
            self.users.rehash(user, password)
        return self.users.find(user.name) or user

    def sign_up(self, name: str, email: str, password: str, address: str, confirmed: bool = True, approved: bool = True) -> User:
        """Add a user. Raises InvalidUser, BadPassword or attempts.Locked."""
        self.attempts.begin_sign_up(address)
        user = self.users.add(name, password, email=email, confirmed=confirmed, approved=approved)
        self.audit.note(user.name, "signed up", "", address)
        return user

    def _open_session(self, user: User) -> Granted:
        session = uuid.uuid4().hex
        refresh, claims = self.tokens.issue("refresh", user.name, session)
        if not self.sessions.open(user, session, refresh, claims.expires):
            raise WrongPassword
        return Granted(user.name, self.tokens.issue("access", user.name, session)[0], refresh)

    def renew(self, refresh: str, patient: bool = False) -> Granted:
        """Tokens for a refresh token. Raises InvalidToken; one that was used before ends its session, unless `patient` and a moment ago."""
        claims = self.tokens.decode(refresh, "refresh")
        following, then = self.tokens.issue("refresh", claims.user, claims.session)
        renewal = self.sessions.renew(claims.session, refresh, following, then.expires, patient)
        if renewal is Renewal.OVER:
            self._ended |= {claims.session}
            raise InvalidToken(OVER)
        access, _ = self.tokens.issue("access", claims.user, claims.session)
        return Granted(claims.user, access, following if renewal is Renewal.DONE else None)

    def sign_out(self, session: str) -> None:
        """End a session: its refresh token at once, its access tokens within INTERVAL."""
        self.sessions.end(session)
        self._ended |= {session}

    def check(self, access: str) -> Claims:
        """The claims of an access token, without asking the database. Raises InvalidToken."""
        claims = self.tokens.decode(access, "access")
        if claims.session in self._ended:
            raise InvalidToken(OVER)
        return claims

    def start(self) -> None:
        """Poll for ended sessions from a daemon thread."""
        threading.Thread(target=self._watch, daemon=True, name="ended-sessions").start()

    def _watch(self) -> None:
        reached = True
        while True:
            time.sleep(INTERVAL)
            reached = self.poll(reached)

    def poll(self, reached: bool = True) -> bool:
        """Read which sessions have ended; false where the database does not answer, which is logged if `reached` before."""
        try:
            self._ended = self.sessions.ended()
        except databases.NoDatabase as absence:
            if reached:
                logger.error("nobody can sign in: %s", absence)
            return False
        return True


def url() -> str:
    """The users' database."""
    return os.environ.get("USERS_URL") or f"sqlite:///{paths.ROOT}/users.db"


@cache
def current() -> Authority:
    """The Authority of this process, with its first administrator. Raises BadUrl, NoDatabase, BadSetting, InvalidUser or BadPassword."""
    authority = Authority(url(), tokens.key())
    name, password = os.environ.get("ADMIN_USER"), os.environ.get("ADMIN_PASSWORD")
    if bool(name) != bool(password):
        raise BadSetting(f"{'ADMIN_PASSWORD' if name else 'ADMIN_USER'} is not set. Set both ADMIN_USER and ADMIN_PASSWORD, or neither.")
    if name and password and authority.users.bootstrap(name, password):
        logger.info("%s is the first administrator", name)
    return authority


def with_users() -> Authority:
    """current(), where at least one user can sign in. Raises BadSetting where none can."""
    authority = current()
    if not any(user.active for user in authority.users.all()):
        raise BadSetting(
            f"AUTH=required, and {databases.without_password(authority.engine.url)} has no user who may sign in. "
            "Add one with `make user-add name=...`, or set ADMIN_USER and ADMIN_PASSWORD, or AUTH=off."
        )
    return authority
