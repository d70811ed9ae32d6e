"""JSON Web Tokens (RFC 7519), signed with HMAC-SHA256 by a key that all workers and services share."""

import os
import secrets
import time
import uuid
from typing import Any, Literal, NamedTuple

import jwt

from pipelines import folders, paths
from pipelines.databases import Clock
from pipelines.errors import BadSetting

ISSUER = "atelier"
ALGORITHM = "HS256"
Kind = Literal["access", "refresh"]
SECONDS: dict[Kind, int] = {"access": 15 * 60, "refresh": 12 * 3600}
CLAIMS = ("iss", "sub", "exp", "iat", "jti", "sid", "type")
LONGEST = 2048  # characters; ours have about 330
KEY = 32  # bytes at least (RFC 7518, section 3.2)
REMEDY = "Set AUTH_KEY to the output of `openssl rand -hex 32`"
FILE = paths.ROOT / "auth.key"


class InvalidToken(Exception):
    """A token that was not issued here, is of another kind, expired, or revoked; the message is for the client."""


class Claims(NamedTuple):
    """The claims of a token: user, session, expiry in seconds since 1970, and the token's id."""

    user: str
    session: str
    expires: int
    id: str


class Tokens:
    """Issues and decodes tokens."""

    def __init__(self, key: str, clock: Clock = time.time) -> None:
        self.key, self.clock = key, clock

    def issue(self, kind: Kind, user: str, session: str) -> tuple[str, Claims]:
        """A signed token, and its claims."""
        now = int(self.clock())
        claims = Claims(user, session, now + SECONDS[kind], uuid.uuid4().hex)
        payload = {"iss": ISSUER, "sub": user, "sid": session, "exp": claims.expires, "iat": now, "jti": claims.id, "type": kind}
        return jwt.encode(payload, self.key, ALGORITHM), claims

    def decode(self, token: str, kind: Kind) -> Claims:
        """The claims of a valid token of this kind. Raises InvalidToken."""
        payload = self._payload(token)
        if payload["type"] != kind:
            raise InvalidToken(f"This is not {'an' if kind == 'access' else 'a'} {kind} token")
        if payload["exp"] <= self.clock():  # not by PyJWT, which has a clock of its own
            raise InvalidToken(f"The {kind} token has expired")
        return Claims(payload["sub"], payload["sid"], payload["exp"], payload["jti"])

    def _payload(self, token: str) -> dict[str, Any]:
        options: Any = {"require": CLAIMS, "verify_exp": False, "verify_iat": False, "verify_nbf": False}
        try:
            if len(token) > LONGEST:
                raise jwt.InvalidTokenError
            payload: dict[str, Any] = jwt.decode(token, self.key, [ALGORITHM], options, issuer=ISSUER)
            if any(type(payload[name]) is not (int if name in ("exp", "iat") else str) for name in CLAIMS):
                raise jwt.InvalidTokenError
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):
            raise InvalidToken("The token is not one of this service's, or was changed") from None
        return payload


def key() -> str:
    """AUTH_KEY, or else the project's own key, created at first use in a file that only its owner can read. Raises BadSetting."""
    if (given := os.environ.get("AUTH_KEY")) is not None:
        return _long_enough(given, "AUTH_KEY", REMEDY)
    try:
        return _long_enough(_from_file(), f"The key in {FILE}", "Remove the file")
    except OSError as error:
        raise BadSetting(f"{FILE} cannot be created or read: {error.strerror}. {REMEDY}.") from None


def _long_enough(found: str, where: str, remedy: str) -> str:
    if (size := len(found.encode())) < KEY:
        raise BadSetting(f"{where} has {size} bytes; at least {KEY} random ones are required. {remedy}.")
    return found


def _from_file() -> str:
    with folders.locked(FILE.with_name(".auth.lock")):
        if not FILE.exists():
            with folders.drafted(FILE) as draft:
                draft.touch(0o600, exist_ok=False)
                draft.write_text(secrets.token_hex(KEY))
        return FILE.read_text().strip()
