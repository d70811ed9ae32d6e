"""Reading with a network that says at each step along the line which character it sees, if any (CTC, Graves et al. 2006)."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts.readings import Reading
from pipelines.models import inference, manifests
from pipelines.models.manifests import Manifest

BLANK = 0  # the step's answer where no character begins or goes on; the others are characters in order


class Ctc:
    """The runtime of a model folder that holds "model" and "alphabet"."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.alphabet: str = json.loads(manifests.file(folder, manifest, "alphabet").read_text())
        self._session = inference.session(manifests.file(folder, manifest, "model"))

    def read(self, batch: NDArray[np.uint8]) -> list[Reading]:
        """Lines [n, height, W], ink 0 on paper 255 -> what each says."""
        return decoded(self._session.run(None, {"pictures": batch})[0], self.alphabet)


def decoded(logprobs: NDArray[np.float32], alphabet: str) -> list[Reading]:
    """The best path of each line, from log-probabilities [n, steps, 1 + characters]."""
    best = logprobs.argmax(2)
    return [_reading(path, steps.max(1), alphabet) for path, steps in zip(best, logprobs, strict=True)]


def _reading(path: NDArray[np.int64], sure: NDArray[np.float32], alphabet: str) -> Reading:
    """Steps that repeat are one character; its probability is that of its surest step. Spaces at the ends are dropped."""
    begins = np.flatnonzero((path != BLANK) & (path != np.concatenate([[BLANK], path[:-1]])))
    if not len(text := "".join(alphabet[path[step] - 1] for step in begins).strip()):
        return Reading("", 0.0)
    peaks = [sure[step : _end(path, int(step))].max() for step in begins]
    return Reading(text, float(np.exp(np.mean(peaks))))


def _end(path: NDArray[np.int64], step: int) -> int:
    """Where the run that begins at `step` is over."""
    others = np.flatnonzero(path[step:] != path[step])
    return step + int(others[0]) if len(others) else len(path)
