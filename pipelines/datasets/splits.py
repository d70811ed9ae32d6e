"""Assigning examples to splits by the hash of what they are, not by their order: an assignment stays when others are added."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "valid", "test")
T = TypeVar("T")


class TooFewGroups(ValueError):
    """A split that no group falls into."""


def chosen(contents: Iterable[bytes], share: float, salt: bytes = b"") -> NDArray[np.bool_]:
    """[n] booleans, about `share` of them true, by the SHA-256 of each content: equal contents get the same."""
    return np.array([_fraction(salt + content) < share for content in contents], bool)


def assigned(group: str, shares: Mapping[str, float], rest: str) -> str:
    """The split of a group, by the SHA-256 of its name: one of `shares`, or else `rest`."""
    fraction, end = _fraction(group.encode()), 0.0
    for split, share in shares.items():
        end += share
        if fraction < end:
            return split
    return rest


def by_group(items: Sequence[T], group: Callable[[T], str], split_of: Callable[[str], str], remedy: str) -> dict[str, list[T]]:
    """{split: items in their order}, all items of a group in the split of its name. Raises TooFewGroups, with the remedy."""
    places = {name: split_of(name) for name in set(map(group, items))}
    parts = {split: [item for item in items if places[group(item)] == split] for split in SPLITS}
    if empty := [split for split in SPLITS if not parts[split]]:
        raise TooFewGroups(f"{len(places)} groups ({len(items)} examples) leave nothing for {', '.join(empty)}. {remedy}")
    return parts


def spread(items: Sequence[T], limit: int | None) -> list[T]:
    """At most `limit` items, evenly spaced over all of them."""
    rows = np.linspace(0, len(items) - 1, min(limit or len(items), len(items))).astype(int)
    return [items[row] for row in rows]


def _fraction(content: bytes) -> float:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big") / 2**64
