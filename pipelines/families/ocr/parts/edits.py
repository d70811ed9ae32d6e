"""Edits (Levenshtein, by jiwer) between a text and what was read of it, of characters and of words."""

from itertools import zip_longest
from typing import NamedTuple

import jiwer
import numpy as np
from numpy.typing import NDArray

NOTHING = ""  # in a pair of characters: a missed or added one


class Counts(NamedTuple):
    """Rows are lines: edits and number of characters, edits and number of words; arrays [n]."""

    edits: NDArray[np.int64]
    characters: NDArray[np.int64]
    word_edits: NDArray[np.int64]
    words: NDArray[np.int64]


def plain(text: str) -> str:
    """A text as it is compared: in capitals, with single spaces."""
    return " ".join(text.upper().split())


def counted(texts: list[str], said: list[str]) -> Counts:
    """The edits from what was read to each text. For an empty text all of it is insertions."""
    rows = [(*_edits(text, read), len(text), len(text.split())) for text, read in zip(texts, said, strict=True)]
    edits, word_edits, characters, words = np.array(rows, np.int64).reshape(-1, 4).T
    return Counts(edits, characters, word_edits, words)


def _edits(text: str, said: str) -> tuple[int, int]:
    if not text.strip():
        return len(said), len(said.split())
    characters, words = (
        found.insertions + found.deletions + found.substitutions
        for found in (jiwer.process_characters(text, said), jiwer.process_words(text, said))
    )
    return characters, words


def rates(texts: list[str], said: list[str]) -> dict[str, float]:
    """{"cer", "wer", "exact"}: error rates over all lines together, and the share of lines without an error, as plain() compares."""
    found = counted([plain(text) for text in texts], [plain(read) for read in said])
    return {
        "cer": float(found.edits.sum() / found.characters.sum()),
        "wer": float(found.word_edits.sum() / found.words.sum()),
        "exact": float((found.edits == 0).mean()),
    }


def pairs(text: str, said: str) -> list[tuple[str, str]]:
    """(written, read) for each character of an alignment; NOTHING in place of one that was missed or added."""
    if not text.strip():
        return [(NOTHING, character) for character in said]
    found = jiwer.process_characters(text, said)
    parts = [(text[part.ref_start_idx : part.ref_end_idx], said[part.hyp_start_idx : part.hyp_end_idx]) for part in found.alignments[0]]
    return [pair for written, read in parts for pair in zip_longest(written, read, fillvalue=NOTHING)]
