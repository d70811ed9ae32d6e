"""Password rules, and the Argon2id hash. No password is stored, shown or logged."""

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 256  # characters
VARIETY = 4  # different characters at least
ADVICE = "Four or five words are easy to remember."
HASHER = PasswordHasher()  # argon2-cffi's default: RFC 9106's second choice, 64 MiB and three passes, about 50 ms


class BadPassword(ValueError):
    """A password that is too short, too long, repetitive, the user's name, or typed differently the second time."""


def validated(password: str, name: str) -> str:
    """The password. Raises BadPassword."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadPassword(f"A password has {SHORTEST} to {LONGEST} characters; this one has {len(password)}. {ADVICE}")
    if password.casefold().strip() == name.casefold() or len(set(password)) < VARIETY:
        raise BadPassword(f"This password is the user's name, or a few characters repeated. {ADVICE}")
    return password


def hashed(password: str) -> str:
    """Argon2id of the password, with a random salt."""
    return HASHER.hash(_bytes(password))


def matches(known: str | None, password: str) -> bool:
    """Is this the password of the `known` hash? Takes the same time where there is none."""
    try:
        return HASHER.verify(known or dummy_hash(), _bytes(password)) and known is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def dummy_hash() -> str:
    """A hash that no password matches."""
    return hashed(HASHER.hash(b"nobody"))


def _bytes(password: str) -> bytes:
    """Normalised: keyboards send an accent in one of two forms."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
