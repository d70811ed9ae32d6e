"""Reading with a network that writes the text token by token: the likeliest token each time, until it says that the line is over."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipelines.families.ocr.parts.readings import Reading
from pipelines.models import manifests
from pipelines.models.inference import session
from pipelines.models.manifests import Manifest

Feed = dict[str, NDArray[np.float32]]
Tokens = NDArray[np.int64]


class Generator:
    """The runtime of a model folder that holds "encoder", "decoder", "tokenizer" and "generation"."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        files = {role: manifests.file(folder, manifest, role) for role in ("encoder", "decoder", "tokenizer", "generation")}
        self.told: dict[str, int] = json.loads(files["generation"].read_text())
        self._tokenizer = Tokenizer.from_file(str(files["tokenizer"]))
        self._encoder, self._decoder = session(files["encoder"]), session(files["decoder"])
        self._past = {value.name: value.shape for value in self._decoder.get_inputs() if value.name.startswith("past")}
        self._memory = [value.name for value in self._encoder.get_outputs()]

    def read(self, batch: NDArray[np.uint8]) -> list[Reading]:
        """Lines [n, side, side], ink 0 on paper 255 -> what each says."""
        tokens, logprobs = self._written(batch)
        texts = self._tokenizer.decode_batch(tokens.tolist())
        return [_reading(text.strip(), sure) for text, sure in zip(texts, logprobs, strict=True)]

    def begin(self, batch: NDArray[np.uint8]) -> Feed:
        """What the decoder is told before the first token: what the encoder saw, and that nothing is written yet."""
        past = {name: np.empty((len(batch), heads, 0, size), np.float32) for name, (_, heads, _, size) in self._past.items()}
        return past | dict(zip(self._memory, self._encoder.run(None, {"pictures": batch}), strict=True))

    def step(self, feed: Feed, tokens: Tokens) -> tuple[NDArray[np.float32], Feed]:
        """One more token of each line, [n] -> log-probabilities [n, vocabulary] of the next, and what the decoder is told then."""
        logprobs, *present = self._decoder.run(None, {"tokens": tokens[:, None], **feed})
        return logprobs, feed | dict(zip(self._past, present, strict=True))

    def _written(self, batch: NDArray[np.uint8]) -> tuple[Tokens, NDArray[np.float32]]:
        """Tokens [n, steps] and their log-probabilities, NaN where the line was over before."""
        feed, token, over = self.begin(batch), np.full(len(batch), self.told["start"]), np.zeros(len(batch), bool)
        tokens: list[Tokens] = []
        sure: list[NDArray[np.float32]] = []
        while len(tokens) < self.told["longest"] and not over.all():
            logprobs, feed = self.step(feed, token)
            token = np.where(over, self.told["pad"], logprobs.argmax(1))
            tokens.append(token)
            sure.append(np.where(over, np.nan, logprobs.max(1)))
            over |= token == self.told["end"]
        return np.stack(tokens, 1), np.stack(sure, 1)


def _reading(text: str, logprobs: NDArray[np.float32]) -> Reading:
    """The geometric mean of the probabilities of the tokens, the end among them."""
    return Reading(text, float(np.exp(np.nanmean(logprobs))) if text else 0.0)
