"""Shared by the tests of users: passwords, a clock that the test sets, and cheap hashes."""

import argon2
import pytest

from serving.auth import passwords

KEY = "k" * 64
RIGHT, WRONG = "correct horse battery", "incorrect horse"


class Clock:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def hash_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with little memory: the tests hash a hundred times."""
    monkeypatch.setattr(passwords, "HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    passwords.dummy_hash.cache_clear()
