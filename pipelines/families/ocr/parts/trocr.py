"""TrOCR: a vision transformer encodes the line, resized to a square, and a decoder generates its text token by token.

Li et al.: TrOCR: Transformer-based Optical Character Recognition with Pre-trained Models, 2021, https://arxiv.org/abs/2109.10282
"""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from pipelines import folders
from pipelines.families.ocr.parts import graphs, initial_weights
from pipelines.families.ocr.parts.generation import Generator
from pipelines.families.ocr.picture import Convention
from pipelines.families.ocr.settings import Model
from pipelines.models.manifests import NotProven, Proof, prove

IGNORED = -100  # a label that the loss ignores
TOLERANCE = 1e-3  # of a log-probability
SERVED = {"encoder.onnx": "encoder", "decoder.onnx": "decoder", "tokenizer.json": "tokenizer", "generation.json": "generation"}


class Trocr(nn.Module):
    """transformers' VisionEncoderDecoderModel with its tokenizer and normalisation. Raises MissingWeights."""

    def __init__(self, cfg: Model) -> None:
        super().__init__()
        initial = initial_weights.untrained(cfg) if cfg.weights == "none" else initial_weights.pretrained(cfg)
        self.model, self.tokenizer, self.longest = initial.model, initial.tokenizer, cfg.longest
        side = self.model.config.encoder.image_size
        self.convention = Convention(height=side, widest=side, step=side, stretched=True)
        self.mean: Tensor
        self.deviation: Tensor
        self.small: Tensor
        self.register_buffer("mean", torch.tensor(initial.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(initial.deviation).view(3, 1, 1), persistent=False)
        self.register_buffer("small", initial_weights.small(self.tokenizer, self.model.config.decoder.vocab_size), persistent=False)

    def loss(self, pictures: Tensor, texts: list[str], cased: list[bool]) -> Tensor:
        """Mean cross-entropy of the tokens; for texts that are not `cased`, capitals and small letters are one.

        `pictures` [n, side, side] of 0 to 255.
        """
        labels = self._labels(texts).to(pictures.device)
        before = self.model.prepare_decoder_input_ids_from_labels(labels)
        said = self.model(pixel_values=self.pixels(pictures), decoder_input_ids=before, use_cache=False).logits.float().log_softmax(2)
        token = labels.clamp(min=0)
        right, small = (said.gather(2, which[..., None])[..., 0] for which in (token, self.small[token]))
        either = ~torch.tensor(cased, device=labels.device)[:, None] & (self.small[token] != token)
        return -torch.where(either, torch.logaddexp(right, small), right)[labels != IGNORED].mean()

    def pixels(self, pictures: Tensor) -> Tensor:
        """Bytes [n, side, side] -> normalised channels [n, 3, side, side]."""
        return (pictures[:, None].float() / 255 - self.mean) / self.deviation

    def read(self, pictures: Tensor) -> list[str]:
        """The texts of lines [n, side, side] of 0 to 255."""
        return [text.strip() for text in self.tokenizer.decode_batch(self._generated(pictures).tolist())]

    def export(self, out: Path, pictures: Tensor) -> tuple[dict[str, str], Proof]:
        """Write the served files, {file: role}, and compare them with the network on lines [n, side, side]. Raises NotProven."""
        graphs.write(self, pictures[:2], out / "encoder.onnx", out / "decoder.onnx")
        self.tokenizer.save(str(out / "tokenizer.json"))
        config = self.model.generation_config
        ids = {"start": config.decoder_start_token_id, "end": config.eos_token_id, "pad": config.pad_token_id}
        folders.write_json(out / "generation.json", {**ids, "longest": self.longest})
        return SERVED, self._proven(Generator(out, {"files": {name: {"role": role} for name, role in SERVED.items()}}), pictures)

    def save(self, folder: Path) -> list[str]:
        """Write weights that another training can start with (`weights` names the folder); the names of its files."""
        self.model.save_pretrained(folder)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        channels = {"image_mean": self.mean.flatten().tolist(), "image_std": self.deviation.flatten().tolist()}
        folders.write_json(folder / "preprocessor_config.json", {"image_processor_type": "ViTImageProcessor", **channels})
        return sorted(path.name for path in folder.iterdir())

    def _labels(self, texts: list[str]) -> Tensor:
        """The tokens of each text with its end, [n, steps]."""
        rows = [torch.tensor(row.ids[: self.longest]) for row in self.tokenizer.encode_batch(texts)]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORED)

    def _generated(self, pictures: Tensor) -> Tensor:
        """The start and the greedy tokens, [n, 1 + steps]."""
        with torch.inference_mode():
            return cast(Tensor, self.model.generate(pixel_values=self.pixels(pictures), max_new_tokens=self.longest, do_sample=False))

    def _proven(self, generator: Generator, pictures: Tensor) -> Proof:
        """Compare the log-probabilities on the native tokens, a line at a time; then the texts of all lines at once."""
        lines = zip(pictures[:, None], self._generated(pictures), strict=True)
        differences, gaps = zip(*(self._compared(picture, tokens, generator) for picture, tokens in lines), strict=True)
        proof = prove(differences, np.zeros(len(differences)), TOLERANCE)
        said = [reading.text for reading in generator.read(pictures.numpy())]
        for text, exported, gap in zip(self.read(pictures), said, gaps, strict=True):
            if text != exported and gap > 2 * TOLERANCE:  # else two tokens are about as likely
                raise NotProven(f"the exported model reads {exported!r} where the native one reads {text!r}.")
        return proof

    def _compared(self, picture: Tensor, tokens: Tensor, generator: Generator) -> tuple[float, float]:
        """The largest difference after any of these tokens, and the smallest gap between the two likeliest tokens."""
        native, feed, difference = self._forced(picture, tokens), generator.begin(picture.numpy()), 0.0
        for after, token in zip(native, tokens.numpy(), strict=False):
            logprobs, feed = generator.step(feed, token[None])
            difference = max(difference, float(np.abs(after - logprobs[0]).max()))
        best = np.sort(native, 1)[:, -2:]
        return difference, float((best[:, 1] - best[:, 0]).min())

    def _forced(self, picture: Tensor, tokens: Tensor) -> NDArray[np.float32]:
        """Log-probabilities [steps, vocabulary] of the token after each, up to the end."""
        steps = len(tokens) - 1 - int((tokens[1:] == self.model.config.pad_token_id).sum())
        with torch.inference_mode():
            logits = self.model(pixel_values=self.pixels(picture), decoder_input_ids=tokens[None, :steps]).logits
        return cast(NDArray[np.float32], logits[0].log_softmax(1).numpy())
