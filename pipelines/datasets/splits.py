"""Choosing a share of examples once and for good: by what they are, not by their order."""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def chosen(contents: Iterable[bytes], share: float, salt: bytes = b"") -> NDArray[np.bool_]:
    """[n] booleans, about `share` of them true, by the SHA-256 of each content: stable when others are added, equal ones stay together."""
    return np.array([_fraction(salt + content) < share for content in contents], bool)


def _fraction(content: bytes) -> float:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
