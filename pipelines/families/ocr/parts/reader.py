"""A recogniser to train from scratch: convolutions, a bidirectional LSTM along the line, CTC.

Shi, Bai, Yao: An End-to-End Trainable Neural Network for Image-based Sequence Recognition, 2015, https://arxiv.org/abs/1507.05717
In training, a second CTC loss on the convolutions alone: Retsinas et al.: Best Practices for a Handwritten Text Recognition System,
2022, https://arxiv.org/abs/2404.11339
"""

import string
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipelines import folders
from pipelines.families.ocr.examples import ALPHABET, CONVENTION
from pipelines.families.ocr.parts.ctc import BLANK, decoded
from pipelines.families.ocr.picture import Convention
from pipelines.families.ocr.predict import runtime
from pipelines.families.ocr.settings import Model
from pipelines.models import exports, inference
from pipelines.models.manifests import NotProven, Proof, prove
from pipelines.training import checkpoints

SERVED = {"model.onnx": "model", "alphabet.json": "alphabet"}
WEIGHTS = "network.safetensors"
STRIDE = 4  # pixels of width a step
TOLERANCE = 1e-3  # of a log-probability above FLOOR
SHORTCUT = 0.2  # weight of the loss on the convolutions alone
FLOOR = -20.0  # log-probabilities below it are not compared: their differences are rounding
NUMBERS = {character: number for number, character in enumerate(ALPHABET, 1)}
UPPER, LOWER = ([NUMBERS[letter] for letter in letters] for letters in (string.ascii_uppercase, string.ascii_lowercase))


class Reader(nn.Module):
    """Lines [n, 1, height, W] of 0 to 1, ink 1 -> log-probabilities [n, W / 4, 1 + characters]."""

    def __init__(self, cfg: Model) -> None:
        super().__init__()
        first, second, third, fourth = cfg.widths
        self.convention: Convention = CONVENTION
        self.body = nn.Sequential(
            *_block(1, first, 5, 2),
            *_block(first, second),
            nn.MaxPool2d(2),
            *_block(second, third),
            *_block(third, third),
            nn.MaxPool2d((2, 1)),
            *_block(third, fourth),
            nn.MaxPool2d((2, 1)),
            nn.Conv2d(fourth, fourth, (CONVENTION.height // 16, 1)),
        )
        self.along = nn.LSTM(
            fourth, cfg.hidden, cfg.layers, batch_first=True, bidirectional=True, dropout=cfg.dropout if cfg.layers > 1 else 0
        )
        self.shortcut = nn.Conv1d(fourth, 1 + len(ALPHABET), 3, padding=1)
        self.drop = nn.Dropout(cfg.dropout)
        self.head = nn.Linear(2 * cfg.hidden, 1 + len(ALPHABET))

    def forward(self, ink: Tensor) -> Tensor:
        return self.answered(self.seen(ink))

    def seen(self, ink: Tensor) -> Tensor:
        """The features of the convolutions: [n, W / 4, channels]."""
        return self.body(ink)[:, :, 0].transpose(1, 2).float()

    def answered(self, seen: Tensor) -> Tensor:
        """Log-probabilities from the features, by the LSTM."""
        with torch.autocast(seen.device.type, enabled=False):
            return torch.log_softmax(self.head(self.drop(self.along(self.drop(seen))[0])), 2)

    def loss(self, pictures: Tensor, texts: list[str], cased: list[bool]) -> Tensor:
        """CTC loss a character, the mean over lines; for texts that are not `cased`, capitals and small letters are one.

        `pictures` [n, height, W] of 0 to 255.
        """
        seen, known = self.seen(ink(pictures)), torch.tensor(cased, device=pictures.device)
        itself = torch.log_softmax(self.shortcut(seen.transpose(1, 2)).float().transpose(1, 2), 2)
        return ctc_loss(self.answered(seen), texts, known) + SHORTCUT * ctc_loss(itself, texts, known)

    def read(self, pictures: Tensor) -> list[str]:
        """The texts of lines [n, height, W] of 0 to 255."""
        with torch.inference_mode():
            return [reading.text for reading in decoded(self(ink(pictures)).cpu().numpy(), ALPHABET)]

    def export(self, out: Path, pictures: Tensor) -> tuple[dict[str, str], Proof]:
        """Write the served files, {file: role}, and compare them with the network on lines [n, height, W]. Raises NotProven."""
        served = Served(self).eval()
        lines, steps = torch.export.Dim("n"), torch.export.Dim("steps")
        shapes = ({0: lines, 2: STRIDE * steps},)
        exports.write(served, (pictures[:2],), out / "model.onnx", ["pictures"], ["logprobs"], shapes)
        folders.write_json(out / "alphabet.json", ALPHABET)
        return SERVED, self._proven(served, out, pictures)

    def _proven(self, served: nn.Module, out: Path, pictures: Tensor) -> Proof:
        """Compare log-probabilities and texts of the exported network with the native ones."""
        with torch.inference_mode():
            native = served(pictures).numpy()
        exported = inference.session(out / "model.onnx").run(None, {"pictures": pictures.numpy()})[0]
        proof = prove(np.maximum(native, FLOOR), np.maximum(exported, FLOOR), TOLERANCE)
        reader = runtime(out, {"files": {name: {"role": role} for name, role in SERVED.items()}})
        for reading, text in zip(reader.read(pictures.numpy()), self.read(pictures), strict=True):
            if reading.text != text:
                raise NotProven(f"the exported model reads {reading.text!r} where the native one reads {text!r}.")
        return proof

    def save(self, folder: Path) -> list[str]:
        """Write weights that another training can start with; the names of its files."""
        save_file(checkpoints.contiguous(self.state_dict()), folder / WEIGHTS)
        return [WEIGHTS]


class Served(nn.Module):
    """Lines [n, height, W] of bytes -> log-probabilities [n, W / 4, 1 + characters]."""

    def __init__(self, network: Reader) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network(ink(pictures))


def ink(pictures: Tensor) -> Tensor:
    """Bytes [n, height, W], paper 255 -> [n, 1, height, W] of 0 to 1, paper 0."""
    return 1 - pictures[:, None].float() / 255


def ctc_loss(logprobs: Tensor, texts: list[str], cased: Tensor) -> Tensor:
    """The loss a character, or a step of lines without text; the mean over lines [n, steps, 1 + characters]."""
    steps = torch.where(cased[:, None, None], logprobs, caseless(logprobs)).transpose(0, 1)
    targets = [torch.tensor([NUMBERS[character] for character in text], dtype=torch.long) for text in texts]
    lengths = torch.tensor([len(target) for target in targets])
    longest = torch.full_like(lengths, len(steps))
    losses = nn.functional.ctc_loss(steps, torch.cat(targets).to(steps.device), longest, lengths, BLANK, "none", zero_infinity=True)
    return (losses / torch.where(lengths > 0, lengths, longest).to(steps.device)).mean()


def caseless(logprobs: Tensor) -> Tensor:
    """Log-probabilities [n, steps, 1 + characters], those of each small letter added to its capital's."""
    both = torch.logaddexp(logprobs[..., UPPER], logprobs[..., LOWER])
    return logprobs.index_copy(2, torch.tensor(UPPER, device=logprobs.device), both)


def _block(before: int, width: int, side: int = 3, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(before, width, side, stride, side // 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
