"""How far is what was read from what is written? Edits by jiwer (Levenshtein), of characters and of words."""

from typing import NamedTuple

import jiwer
import numpy as np
from numpy.typing import NDArray

NOTHING = ""  # in a pair of characters: one that was missed, or added


class Counts(NamedTuple):
    """Rows are lines: edits and number of characters, edits and number of words; arrays [n]."""

    edits: NDArray[np.int64]
    characters: NDArray[np.int64]
    word_edits: NDArray[np.int64]
    words: NDArray[np.int64]


def plain(text: str) -> str:
    """Capitals, and single spaces: how lines are compared."""
    return " ".join(text.upper().split())


def counted(texts: list[str], said: list[str]) -> Counts:
    """What it takes to make each text of what was said. An empty text is all insertions."""
    rows = [(*_edits(text, read), len(text), len(text.split())) for text, read in zip(texts, said, strict=True)]
    edits, word_edits, characters, words = np.array(rows, np.int64).reshape(-1, 4).T
    return Counts(edits, characters, word_edits, words)


def _edits(text: str, said: str) -> tuple[int, int]:
    if not text.strip():
        return len(said), len(said.split())
    characters, words = jiwer.process_characters(text, said), jiwer.process_words(text, said)
    return _sum(characters), _sum(words)


def _sum(found: jiwer.CharacterOutput | jiwer.WordOutput) -> int:
    return found.insertions + found.deletions + found.substitutions


def rates(texts: list[str], said: list[str]) -> dict[str, float]:
    """{"cer", "wer", "exact"}: error rates over all lines together, and the share of lines without an error, as plain() compares."""
    found = counted([plain(text) for text in texts], [plain(read) for read in said])
    return {
        "cer": float(found.edits.sum() / found.characters.sum()),
        "wer": float(found.word_edits.sum() / found.words.sum()),
        "exact": float((found.edits == 0).mean()),
    }


def pairs(text: str, said: str) -> list[tuple[str, str]]:
    """(written, read) for each character of an alignment; NOTHING stands for one that was missed or added."""
    if not text.strip():
        return [(NOTHING, character) for character in said]
    found = jiwer.process_characters(text, said)
    return [pair for part in found.alignments[0] for pair in _aligned(part, text, said)]


def _aligned(part: jiwer.AlignmentChunk, text: str, said: str) -> list[tuple[str, str]]:
    written, read = text[part.ref_start_idx : part.ref_end_idx], said[part.hyp_start_idx : part.hyp_end_idx]
    length = max(len(written), len(read))
    return list(zip([*written] + [NOTHING] * (length - len(written)), [*read] + [NOTHING] * (length - len(read)), strict=True))
