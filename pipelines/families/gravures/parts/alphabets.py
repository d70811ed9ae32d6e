"""Characters of alphabets, each drawn by the same number of people: Omniglot, or folders like it.

Source: Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program induction, Science 350, 2015,
https://github.com/brendenlake/omniglot
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

TEST = "images_evaluation"  # the published test; its alphabets are in no other split
MOST = 255  # alphabets and writers: a byte each
SHAPE = "Wanted: <alphabet>/<character>/<file>_<writer>.png, below images_background/ and images_evaluation/ or not."


class BadAlphabets(ValueError):
    """Files that are no character of an alphabet, or no file at all."""


class Character(NamedTuple):
    """One person's drawing of a character of an alphabet; `published` says that it belongs to the published test."""

    alphabet: str
    character: str
    writer: int
    published: bool
    name: str
    content: bytes


def read(files: Iterable[tuple[str, bytes]]) -> list[Character]:
    """The characters among files (name, content), by alphabet, character and writer. Hidden files are left out. Raises BadAlphabets."""
    shown = [(name, content) for name, content in files if not any(part.startswith((".", "__")) for part in name.split("/"))]
    found = sorted(_character(name, content) for name, content in shown)
    if not found:
        raise BadAlphabets(f"There is no character. {SHAPE}")
    for one, other in pairwise(found):
        if one[:3] == other[:3]:
            raise BadAlphabets(f"{one.name} and {other.name} are the same character by the same writer. Remove one of them.")
    return found


def _character(name: str, content: bytes) -> Character:
    *above, alphabet, character, file = ["", "", *name.split("/")]
    writer = re.search(r"([0-9]+)\.[a-zA-Z]+$", file)
    if not alphabet or not writer or not 1 <= int(writer[1]) <= MOST:
        raise BadAlphabets(f"{name} is no character of an alphabet. {SHAPE} A writer is a number from 1 to {MOST}.")
    return Character(alphabet, character, int(writer[1]), TEST in above, name, content)
