"""Reading with a network that generates the text token by token, greedily, until its end token."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipelines.families.ocr.parts.ctc import Reading
from pipelines.models import manifests
from pipelines.models.inference import session
from pipelines.models.manifests import Manifest

Feed = dict[str, NDArray[np.float32]]
Tokens = NDArray[np.int64]


class Generator:
    """The runtime of a model folder that holds "encoder", "decoder", "tokenizer" and "generation"."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        files = {role: manifests.file(folder, manifest, role) for role in ("encoder", "decoder", "tokenizer", "generation")}
        self.config: dict[str, int] = json.loads(files["generation"].read_text())
        self._tokenizer = Tokenizer.from_file(str(files["tokenizer"]))
        self._encoder, self._decoder = session(files["encoder"]), session(files["decoder"])
        self._past = {value.name: value.shape for value in self._decoder.get_inputs() if value.name.startswith("past")}
        self._memory = [value.name for value in self._encoder.get_outputs()]

    def read(self, batch: NDArray[np.uint8]) -> list[Reading]:
        """Readings of lines [n, side, side], ink 0 on paper 255."""
        tokens, logprobs = self._generated(batch)
        texts = self._tokenizer.decode_batch(tokens.tolist())
        return [_reading(text.strip(), sure) for text, sure in zip(texts, logprobs, strict=True)]

    def begin(self, batch: NDArray[np.uint8]) -> Feed:
        """The decoder's inputs before the first token: the encoder's outputs, and an empty past."""
        past = {name: np.empty((len(batch), heads, 0, size), np.float32) for name, (_, heads, _, size) in self._past.items()}
        return past | dict(zip(self._memory, self._encoder.run(None, {"pictures": batch}), strict=True))

    def step(self, feed: Feed, tokens: Tokens) -> tuple[NDArray[np.float32], Feed]:
        """From one more token of each line [n]: log-probabilities [n, vocabulary] of the next, and the decoder's inputs for it."""
        logprobs, *present = self._decoder.run(None, {"tokens": tokens[:, None], **feed})
        return logprobs, feed | dict(zip(self._past, present, strict=True))

    def _generated(self, batch: NDArray[np.uint8]) -> tuple[Tokens, NDArray[np.float32]]:
        """Tokens [n, steps] and their log-probabilities, NaN after the end."""
        feed, token, over = self.begin(batch), np.full(len(batch), self.config["start"]), np.zeros(len(batch), bool)
        tokens: list[Tokens] = []
        sure: list[NDArray[np.float32]] = []
        while len(tokens) < self.config["longest"] and not over.all():
            logprobs, feed = self.step(feed, token)
            token = np.where(over, self.config["pad"], logprobs.argmax(1))
            tokens.append(token)
            sure.append(np.where(over, np.nan, logprobs.max(1)))
            over |= token == self.config["end"]
        return np.stack(tokens, 1), np.stack(sure, 1)


def _reading(text: str, logprobs: NDArray[np.float32]) -> Reading:
    """The confidence is the geometric mean of the probabilities of the tokens and the end."""
    return Reading(text, float(np.exp(np.nanmean(logprobs))) if text else 0.0)
