"""Train a Darknet network with PyTorch, export it to ONNX and for OpenCV, and verify that all give the same boxes.

Two threads distort pages while the network trains. One path for CPU, CUDA and MPS.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from pipelines.configs import Config
from pipelines.families.signatures import model as models
from pipelines.families.signatures.examples import LABELS, Split, load
from pipelines.families.signatures.parts import pages as scans
from pipelines.families.signatures.parts import weights
from pipelines.families.signatures.parts.cfg import for_opencv
from pipelines.families.signatures.parts.darknet import Darknet
from pipelines.families.signatures.parts.loss import loss
from pipelines.families.signatures.parts.pages import Labelled
from pipelines.families.signatures.picture import Convention, in_fractions
from pipelines.families.signatures.predict import RUNTIMES, nms
from pipelines.families.signatures.settings import Fit
from pipelines.metrics import detection
from pipelines.models import exports
from pipelines.models.manifests import Description, Proof, prove
from pipelines.training import checkpoints, runtime
from pipelines.training.session import Training

TOLERANCE = 1e-3  # of a score, or of a side as a fraction of the page
PROOF = 32  # pages of the validation split
SERVED = {"model.onnx": "model", "network.cfg": "cfg", "opencv.weights": "weights"}
TOGETHER = 16  # pages of validation at once
CLIP = 10.0  # norm of the gradient
AHEAD = 2  # batches that are prepared while one trains


class NoPages(ValueError):
    """A recipe whose sources have no pages."""


class Batch(NamedTuple):
    """Pages [n, side, side] of bytes, and boxes [k, 5]: page of the batch, then cx, cy, w, h as fractions of it."""

    pages: Tensor
    boxes: Tensor


def fit(cfg: Config, data: Path, out: Path, log: Training) -> Description:
    """Train to `cfg.fit.epochs`, from the last checkpoint where there is one; write the served files and the Darknet weights.

    Raises NoPages, BadNetwork, MissingFile, BadWeights, or NotProven when an exported network does not answer as the native one does.
    """
    valid = load(data, "valid")
    text, network = _trained(cfg, data, valid, runtime.device(), log)
    return export(cfg, text, network, valid, out)


def _pages(split: Split, sources: dict[str, float], side: int) -> list[Labelled]:
    """The pages of a recipe, ready to be distorted. Raises NoPages."""
    chosen = split.of(sources).pages
    if not sum(len(page.boxes) for page in chosen):
        there = ", ".join(sorted({page.source for page in split.pages}))
        raise NoPages(f"fit.sources={sources} has no page with a box. Sources of the data here: {there}. Name one of them.")
    return [Labelled(scans.reduced(page.grey(), side), in_fractions(page.boxes, page.height, page.width)) for page in chosen]


def _trained(cfg: Config, data: Path, valid: Split, device: torch.device, log: Training) -> tuple[str, Darknet]:
    """The cfg, and the averaged network after the last epoch."""
    torch.manual_seed(cfg.seed)
    cv2.setNumThreads(1)  # pages are distorted by threads of _batches
    train = _pages(load(data, "train"), cfg.fit.sources, cfg.model.side)
    text = models.described(cfg.model, np.concatenate([page.boxes[:, 2:] for page in train]))
    network = models.build(cfg.model, text).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = runtime.averaged(network, cfg.fit.ema)
    averaged, optimizer = cast(Darknet, average.module), _optimizer(cfg.fit, network)
    parts: checkpoints.Parts = {"model": network, "average": average, "optimizer": optimizer}
    if log.checkpoint:
        checkpoints.load(log.checkpoint, parts)
    for epoch in log.remaining(cfg.fit.epochs):
        figures = _epoch(cfg, network, average, optimizer, train, epoch)
        figures |= {"valid_map50": detection.headline(_outcomes(cfg.fit, averaged, valid, cfg.model.side))}
        log.epoch(figures, lambda folder: checkpoints.save(folder, parts))
    return text, averaged


def _optimizer(fit: Fit, network: nn.Module) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; biases and norms do not decay."""
    groups = runtime.parameter_groups(network, fit.weight_decay)
    return torch.optim.SGD(groups, fit.learning_rate, momentum=fit.momentum, nesterov=fit.momentum > 0)


def _epoch(
    cfg: Config, network: Darknet, average: AveragedModel, optimizer: torch.optim.Optimizer, train: list[Labelled], epoch: int
) -> dict[str, float]:
    """One pass over all pages. Seed and epoch determine order and distortions, so that a resumed training sees the same."""
    device = runtime.device_of(network)
    count = -(-len(train) // cfg.fit.batch)
    sums: dict[str, Tensor] = {}
    network.train()
    for index, batch in enumerate(tqdm(_batches(cfg, train, epoch), cfg.candidate, count, unit="batch", postfix=f"epoch {epoch}")):
        runtime.set_rate(optimizer, _rate(cfg.fit, epoch - 1 + index / count))
        parts = _step(cfg.fit, network, optimizer, Batch(*(part.to(device) for part in batch)))
        average.update_parameters(network)
        sums = {name: value + sums.get(name, torch.zeros_like(value)) for name, value in parts.items()}
    return {name: float(value) / count for name, value in sums.items()}


def _batches(cfg: Config, train: list[Labelled], epoch: int) -> Iterator[Batch]:
    """Every page once, distorted; the next batches are prepared while one trains."""
    order = np.random.default_rng([cfg.seed, epoch]).permutation(len(train))
    parts = np.array_split(order, -(-len(train) // cfg.fit.batch))

    def batch(rows: NDArray[np.int64]) -> Batch:
        random = [np.random.default_rng([cfg.seed, epoch, int(row)]) for row in rows]
        strength, side = cfg.fit.distortion, cfg.model.side
        return _collated([scans.distorted(train[row], train, strength, side, drawn) for row, drawn in zip(rows, random, strict=True)])

    with ThreadPoolExecutor(AHEAD) as threads:
        waiting = [threads.submit(batch, rows) for rows in parts[:AHEAD]]
        for index in range(len(parts)):
            yield waiting.pop(0).result()
            waiting += [threads.submit(batch, rows) for rows in parts[index + AHEAD : index + AHEAD + 1]]


def _collated(pages: list[Labelled]) -> Batch:
    """One batch, boxes by their centres."""
    rows = [np.column_stack([np.full(len(page.boxes), index), page.boxes]) for index, page in enumerate(pages)]
    boxes = torch.from_numpy(np.concatenate(rows).astype(np.float32))
    boxes[:, 1:3] += boxes[:, 3:5] / 2
    return Batch(torch.from_numpy(np.stack([page.picture for page in pages])), boxes)


def _input(pages: Tensor) -> Tensor:
    """Pages [n, side, side] of bytes as input of a network: [n, 3, side, side] of 0 to 1."""
    return pages[:, None].float().div(255).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def _step(fit: Fit, network: Darknet, optimizer: torch.optim.Optimizer, batch: Batch) -> dict[str, Tensor]:
    """One step of the optimizer; the loss and its parts before it."""
    with runtime.autocast(fit.precision, batch.pages.device):
        raws = network(_input(batch.pages))
    total, parts = loss(fit, network, raws, batch.boxes)
    runtime.step(total, network, optimizer, CLIP)
    return {"loss": total.detach(), **parts}


def _rate(fit: Fit, done: float) -> float:
    """The learning rate after `done` epochs: a quadratic rise over `burn_in`, then down along a cosine to a hundredth."""
    rising = done < fit.burn_in
    return fit.learning_rate * (
        (done / fit.burn_in) ** 2 if rising else runtime.cosine(done - fit.burn_in, max(1e-9, fit.epochs - fit.burn_in))
    )


def _outcomes(fit: Fit, network: Darknet, split: Split, side: int) -> detection.Outcomes:
    """Boxes of the native network, as a Predictor gives them, and the labels, as fractions of the page."""
    network.eval()
    device, found = runtime.device_of(network), []
    with torch.inference_mode(), runtime.autocast(fit.precision, device):
        for part in torch.split(torch.from_numpy(split.squares(side)), TOGETHER):
            found += list(network.decoded(network(_input(part.to(device)))).float().cpu().numpy())
    answers = [nms(boxes, Convention().overlap) for boxes in found]
    truths = [in_fractions(page.boxes, page.height, page.width) for page in split.pages]
    return detection.outcomes([page.document for page in split.pages], [page.source for page in split.pages], truths, answers)


class Served(nn.Module):
    """Pages [n, side, side] of bytes -> boxes [n, m, 5]: cx, cy, w, h as fractions of the page, score."""

    def __init__(self, network: Darknet) -> None:
        super().__init__()
        self.network = network

    def forward(self, pages: Tensor) -> Tensor:
        return self.network.decoded(self.network(pages[:, None].float().div(255).expand(-1, 3, -1, -1)))


def export(cfg: Config, text: str, network: Darknet, valid: Split, out: Path) -> Description:
    """Write a trained network in every format, choose the threshold on validation, verify that the formats agree."""
    network = network.cpu().float().to(memory_format=torch.contiguous_format).eval()
    (out / "native").mkdir()
    (out / "network.cfg").write_text(for_opencv(text))
    weights.write(network, out / "native/network.weights")
    weights.write(network, out / "opencv.weights", for_opencv=True)
    pages = valid.squares(cfg.model.side)
    proof = _exported(network, pages[:PROOF], out)
    exact = cfg.fit.model_copy(update={"precision": "float32"})
    threshold = detection.best_threshold(_outcomes(exact, network, valid, cfg.model.side))
    return Description(
        served=SERVED,
        native={"native/network.weights": "native"},
        input={"shape": [None, cfg.model.side, cfg.model.side], "dtype": "uint8"},
        output={"kind": "boxes", "labels": LABELS},
        preprocessing=Convention(cfg.model.side, threshold),
        proof=proof,
    )


def _exported(network: Darknet, pages: NDArray[np.uint8], out: Path) -> Proof:
    """Write model.onnx; compare its boxes, and those of OpenCV on the Darknet files, with PyTorch's on real pages."""
    served = Served(network).eval()
    example = torch.from_numpy(pages)
    with torch.inference_mode():
        native = torch.cat([served(part) for part in torch.split(example, TOGETHER)]).numpy()
    exports.write(served, (example[:2],), out / "model.onnx", ["pages"], ["boxes"])
    files = {"files": {name: {"role": role} for name, role in SERVED.items()}}
    prove(native, RUNTIMES["onnxruntime"](out, files)(pages), TOLERANCE)
    return prove(native, RUNTIMES["opencv"](out, files)(pages), TOLERANCE)
