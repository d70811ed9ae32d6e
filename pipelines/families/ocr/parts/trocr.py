"""TrOCR: a vision transformer looks at the line, squeezed into a square, and a decoder writes its text token by token.

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
from pipelines.families.ocr.parts import beginnings, graphs
from pipelines.families.ocr.parts.generation import Generator
from pipelines.families.ocr.picture import Convention
from pipelines.families.ocr.settings import Model
from pipelines.models.manifests import NotProven, Proof, prove

IGNORED = -100  # a label that counts for nothing
TOLERANCE = 1e-3  # of a log-probability
SERVED = {"encoder.onnx": "encoder", "decoder.onnx": "decoder", "tokenizer.json": "tokenizer", "generation.json": "generation"}


class Trocr(nn.Module):
    """transformers' VisionEncoderDecoderModel with its own tokenizer, and pictures as it is used to them. Raises MissingWeights."""

    def __init__(self, cfg: Model) -> None:
        super().__init__()
        begun = beginnings.fresh(cfg) if cfg.weights == "none" else beginnings.pretrained(cfg)
        self.model, self.tokenizer, self.longest = begun.model, begun.tokenizer, cfg.longest
        side = self.model.config.encoder.image_size
        self.convention = Convention(height=side, widest=side, step=side, stretched=True)
        self.mean: Tensor
        self.deviation: Tensor
        self.small: Tensor
        self.register_buffer("mean", torch.tensor(begun.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(begun.deviation).view(3, 1, 1), persistent=False)
        self.register_buffer("small", beginnings.small(self.tokenizer, self.model.config.decoder.vocab_size), persistent=False)

    def loss(self, pictures: Tensor, texts: list[str], cased: list[bool]) -> Tensor:
        """Mean over tokens of the cross-entropy; of texts that are not `cased`, capitals and small letters are one.

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
        """Bytes [n, side, side] -> three channels [n, 3, side, side] as the encoder is used to them."""
        return (pictures[:, None].float() / 255 - self.mean) / self.deviation

    def read(self, pictures: Tensor) -> list[str]:
        """What lines [n, side, side] of 0 to 255 say."""
        return [text.strip() for text in self.tokenizer.decode_batch(self._written(pictures).tolist())]

    def export(self, out: Path, pictures: Tensor) -> tuple[dict[str, str], Proof]:
        """Write the files that are served, {file: role}, and prove them on lines [n, side, side] of 0 to 255. Raises NotProven."""
        graphs.write(self, pictures[:2], out / "encoder.onnx", out / "decoder.onnx")
        self.tokenizer.save(str(out / "tokenizer.json"))
        told = self.model.generation_config
        ids = {"start": told.decoder_start_token_id, "end": told.eos_token_id, "pad": told.pad_token_id}
        folders.write_json(out / "generation.json", {**ids, "longest": self.longest})
        return SERVED, self._proven(Generator(out, {"files": {name: {"role": role} for name, role in SERVED.items()}}), pictures)

    def keep(self, folder: Path) -> list[str]:
        """Write what another training can begin with (`weights` may name the folder); the names of its files."""
        self.model.save_pretrained(folder)
        self.tokenizer.save(str(folder / "tokenizer.json"))
        around = {"image_mean": self.mean.flatten().tolist(), "image_std": self.deviation.flatten().tolist()}
        folders.write_json(folder / "preprocessor_config.json", {"image_processor_type": "ViTImageProcessor", **around})
        return sorted(path.name for path in folder.iterdir())

    def _labels(self, texts: list[str]) -> Tensor:
        """The tokens of each text and its end, [n, steps]."""
        rows = [torch.tensor(row.ids[: self.longest]) for row in self.tokenizer.encode_batch(texts)]
        return pad_sequence(rows, batch_first=True, padding_value=IGNORED)

    def _written(self, pictures: Tensor) -> Tensor:
        """The start and the likeliest tokens, [n, 1 + steps]."""
        with torch.inference_mode():
            return cast(Tensor, self.model.generate(pixel_values=self.pixels(pictures), max_new_tokens=self.longest, do_sample=False))

    def _proven(self, generator: Generator, pictures: Tensor) -> Proof:
        """Hold both against each other on the tokens that the native one writes, a line at a time; then what all lines say at once."""
        lines = zip(pictures[:, None], self._written(pictures), strict=True)
        differences, gaps = zip(*(self._compared(picture, tokens, generator) for picture, tokens in lines), strict=True)
        proof = prove(differences, np.zeros(len(differences)), TOLERANCE)
        said = [reading.text for reading in generator.read(pictures.numpy())]
        _same(self.read(pictures), said, [gap > 2 * TOLERANCE for gap in gaps])
        return proof

    def _compared(self, picture: Tensor, tokens: Tensor, generator: Generator) -> tuple[float, float]:
        """The largest difference after any of these tokens, and how near the two likeliest tokens come at most."""
        native, feed, difference = self._forced(picture, tokens), generator.begin(picture.numpy()), 0.0
        for after, token in zip(native, tokens.numpy(), strict=False):
            logprobs, feed = generator.step(feed, token[None])
            difference = max(difference, float(np.abs(after - logprobs[0]).max()))
        best = np.sort(native, 1)[:, -2:]
        return difference, float((best[:, 1] - best[:, 0]).min())

    def _forced(self, picture: Tensor, tokens: Tensor) -> NDArray[np.float32]:
        """Log-probabilities [steps, vocabulary] of what comes after each token, until the line is over."""
        steps = len(tokens) - 1 - int((tokens[1:] == self.model.config.pad_token_id).sum())
        with torch.inference_mode():
            logits = self.model(pixel_values=self.pixels(picture), decoder_input_ids=tokens[None, :steps]).logits
        return cast(NDArray[np.float32], logits[0].log_softmax(1).numpy())


def _same(native: list[str], exported: list[str], sure: list[bool]) -> None:
    """Lines where two tokens are about as likely may be read either way; the others must be the same. Raises NotProven."""
    wrong = [(text, said) for text, said, held in zip(native, exported, sure, strict=True) if held and text != said]
    if wrong:
        raise NotProven(f"the exported model reads {wrong[0][1]!r} where the native one reads {wrong[0][0]!r}.")
