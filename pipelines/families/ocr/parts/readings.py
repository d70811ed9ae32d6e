"""What a line says, and how sure the reader is."""

from typing import NamedTuple


class Reading(NamedTuple):
    """The text of a line, and 0 to 1: the geometric mean of its characters' probabilities; of no text, 0."""

    text: str
    confidence: float
