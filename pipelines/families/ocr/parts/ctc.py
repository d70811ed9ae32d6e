"""Reading with a network that gives a character or a blank at each step along the line (CTC, Graves et al. 2006)."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.models import inference, manifests
from pipelines.models.manifests import Manifest

BLANK = 0  # the class of a step without a character; the others are characters in order


class Reading(NamedTuple):
    """The text of a line, and 0 to 1: the geometric mean of its characters' probabilities; of no text, 0."""

    text: str
    confidence: float


class Ctc:
    """The runtime of a model folder that holds "model" and "alphabet"."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.alphabet: str = json.loads(manifests.file(folder, manifest, "alphabet").read_text())
        self._session = inference.session(manifests.file(folder, manifest, "model"))

    def read(self, batch: NDArray[np.uint8]) -> list[Reading]:
        """Readings of lines [n, height, W], ink 0 on paper 255."""
        return decoded(self._session.run(None, {"pictures": batch})[0], self.alphabet)


def decoded(logprobs: NDArray[np.float32], alphabet: str) -> list[Reading]:
    """The best path of each line, from log-probabilities [n, steps, 1 + characters]."""
    best = logprobs.argmax(2)
    return [_reading(path, steps.max(1), alphabet) for path, steps in zip(best, logprobs, strict=True)]


def _reading(path: NDArray[np.int64], sure: NDArray[np.float32], alphabet: str) -> Reading:
    """Repeated steps are one character, with the probability of the surest. Spaces at the ends are dropped."""
    begins = np.flatnonzero((path != BLANK) & (path != np.concatenate([[BLANK], path[:-1]])))
    if not len(text := "".join(alphabet[path[step] - 1] for step in begins).strip()):
        return Reading("", 0.0)
    peaks = [sure[step : _end(path, int(step))].max() for step in begins]
    return Reading(text, float(np.exp(np.mean(peaks))))


def _end(path: NDArray[np.int64], step: int) -> int:
    """The step after the run that begins at `step`."""
    others = np.flatnonzero(path[step:] != path[step])
    return step + int(others[0]) if len(others) else len(path)
