"""Passwords: what one must be, and its Argon2id hash. Nothing keeps, shows or logs one."""

import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 256  # characters
VARIETY = 4  # different characters at least
ADVICE = "Four or five words are easy to remember."
HASHER = PasswordHasher()  # argon2-cffi's own choice: RFC 9106's second, 64 MiB and three passes, about 50 ms


class BadPassword(ValueError):
    """A password that is too short, too long, or its owner's name."""


def checked(password: str, name: str) -> str:
    """The password, where it may be one. Raises BadPassword."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadPassword(f"A password has {SHORTEST} to {LONGEST} characters; this one has {len(password)}. {ADVICE}")
    if password.casefold().strip() == name.casefold() or len(set(password)) < VARIETY:
        raise BadPassword(f"This password is the user's name, or a few characters repeated: it would be guessed. {ADVICE}")
    return password


def hashed(password: str) -> str:
    """Argon2id of the password, with a salt of its own."""
    return HASHER.hash(_bytes(password))


def matches(known: str | None, password: str) -> bool:
    """Is this the password? It takes the same time where there is none to compare with."""
    try:
        return HASHER.verify(known or nobodys(), _bytes(password)) and known is not None
    except (VerificationError, InvalidHashError):
        return False


def outdated(known: str) -> bool:
    """Was this hash made with other parameters than those of today?"""
    return HASHER.check_needs_rehash(known)


@cache
def nobodys() -> str:
    """A hash that no password has."""
    return hashed(HASHER.hash(b"nobody"))


def _bytes(password: str) -> bytes:
    """The same bytes on every keyboard: an accent may be typed, and sent, in two ways."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
