"""JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 by a key that all workers and services share."""

import os
import secrets
import time
import uuid
from typing import Any, Literal, NamedTuple

import jwt

from pipelines import folders, paths
from pipelines.databases import Clock

ISSUER = "atelier"
ALGORITHM = "HS256"
Kind = Literal["access", "refresh"]
SECONDS: dict[Kind, int] = {"access": 15 * 60, "refresh": 12 * 3600}
CLAIMS = ("iss", "sub", "exp", "iat", "jti", "sid", "type")
LONGEST = 2048  # characters; ours have about 330
KEY = 32  # bytes at least (RFC 7518, section 3.2)
REMEDY = "Set AUTH_KEY to what `openssl rand -hex 32` prints"
FILE = paths.ROOT / "auth.key"


class BadKey(ValueError):
    """A key that would not keep tokens from being forged."""


class Unaccepted(Exception):
    """A token that is not one of ours, not of this kind, or expired; the words are for whoever sent it."""


class Claims(NamedTuple):
    """What a token says: whose it is, of which session, until when (seconds since 1970), and its own name."""

    user: str
    session: str
    expires: int
    id: str


class Tokens:
    """Makes and reads tokens."""

    def __init__(self, key: str, clock: Clock = time.time) -> None:
        self.key, self.clock = key, clock

    def made(self, kind: Kind, user: str, session: str) -> tuple[str, Claims]:
        """A token, signed, and what it says."""
        now = int(self.clock())
        claims = Claims(user, session, now + SECONDS[kind], uuid.uuid4().hex)
        said = {"iss": ISSUER, "sub": user, "sid": session, "exp": claims.expires, "iat": now, "jti": claims.id, "type": kind}
        return jwt.encode(said, self.key, ALGORITHM), claims

    def read(self, token: str, kind: Kind) -> Claims:
        """What a token says that we have signed. Raises Unaccepted."""
        said = self._said(token)
        if said["type"] != kind:
            raise Unaccepted(f"This is not an {kind} token" if kind == "access" else f"This is not a {kind} token")
        if said["exp"] <= self.clock():
            raise Unaccepted(f"The {kind} token has expired")
        return Claims(said["sub"], said["sid"], said["exp"], said["jti"])

    def _said(self, token: str) -> dict[str, Any]:
        """The time is looked at in read(), by the clock that made it."""
        options: Any = {"require": CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            if len(token) > LONGEST:
                raise jwt.InvalidTokenError
            said: dict[str, Any] = jwt.decode(token, self.key, [ALGORITHM], options, issuer=ISSUER)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise Unaccepted("The token is not one of this service's, or was changed") from None
        return said


def key() -> str:
    """AUTH_KEY, or else the project's own key, made at first use in a file for its owner alone. Raises BadKey."""
    given = os.environ.get("AUTH_KEY")
    try:
        found = _kept() if given is None else given
    except OSError as error:
        raise BadKey(f"{FILE} cannot be made, or read: {error.strerror}. {REMEDY}.") from None
    if len(found.encode()) < KEY:
        where = f"The key in {FILE}" if given is None else "AUTH_KEY"
        remedy = "Remove the file" if given is None else REMEDY
        raise BadKey(f"{where} has {len(found.encode())} bytes; at least {KEY} random ones are asked. {remedy}.")
    return found


def _kept() -> str:
    with folders.locked(FILE.with_name(".auth.lock")):
        if not FILE.exists():
            _make()
        return FILE.read_text().strip()


def _make() -> None:
    with folders.drafted(FILE) as draft:
        draft.touch(0o600, exist_ok=False)
        draft.write_text(secrets.token_hex(KEY))
