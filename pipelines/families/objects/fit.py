"""Train with PyTorch, export to ONNX, and prove that both give the same probabilities.

Images stay on the device as bytes and are augmented there, an epoch at a time, without a loader or workers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, distributed, nn
from torch.nn import parallel
from tqdm import tqdm

from pipelines import devices
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.families.objects import model as models
from pipelines.families.objects.examples import CONVENTION, Split, classes, load
from pipelines.families.objects.settings import Fit
from pipelines.models import exports, inference
from pipelines.models.manifests import Description, Proof, prove
from pipelines.training import calibration, checkpoints, runtime
from pipelines.training.session import Training

TOLERANCE = 1e-3  # of a probability, between PyTorch and ONNX Runtime
PROOF = 256  # images of the validation split
JUDGED = 1000  # images of validation at once
WHITENED = 5000  # images that the whitening layer is computed from
GREY = 120  # of a square that is cut out: about the mean of photographs


class Pictures(NamedTuple):
    """A split on the device: [n, 3, 32, 32] bytes and [n] labels."""

    images: Tensor
    labels: Tensor


def fit(cfg: Config, data: Path, out: Path, log: Training) -> Description:
    """Train to `cfg.fit.epochs`, from the last checkpoint if there is one; write model.onnx and native/model.safetensors.

    Raises MissingWeights or NotProven.
    """
    network, valid = _trained(cfg, data, _joined(), log)
    (out / "native").mkdir()
    save_file(checkpoints.contiguous(network.state_dict()), out / "native/model.safetensors")
    return Description(
        served={"model.onnx": "model"},
        native={"native/model.safetensors": "safetensors"},
        input={"shape": [None, CONVENTION.side, CONVENTION.side, 3], "dtype": "uint8"},
        output={"kind": "probabilities", "labels": classes(data)},
        preprocessing=CONVENTION,
        proof=_export(cfg, network, valid, out / "model.onnx"),
    )


def share(cfg: Config, data: Path, under_way: Callable[[], Training]) -> None:
    """Another process of the same training under torchrun: its part of every batch, nothing written."""
    _trained(cfg, data, _joined(), under_way())


def _joined() -> torch.device:
    """The device of this process, once all processes of torchrun have joined."""
    device = runtime.device()
    if devices.processes() > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def _placed(split: Split, device: torch.device) -> Pictures:
    images = torch.from_numpy(np.ascontiguousarray(split.images.transpose(0, 3, 1, 2)))
    return Pictures(images.to(device), torch.from_numpy(split.labels.astype(np.int64)).to(device))


def _trained(cfg: Config, data: Path, device: torch.device, log: Training) -> tuple[models.Network, Pictures]:
    """The network after its last epoch, and the validation split on its device."""
    torch.manual_seed(cfg.seed)
    card = cards.read(data)
    train, valid = (_placed(load(data, split), device) for split in ("train", "valid"))
    network = models.build(cfg.model, len(classes(data)), card["mean"], card["deviation"]).to(device)
    network.to(memory_format=torch.channels_last)
    _train(cfg, network, train, valid, log)
    if distributed.is_initialized():
        distributed.destroy_process_group()
    return network, valid


def _train(cfg: Config, network: models.Network, train: Pictures, valid: Pictures, log: Training) -> None:
    optimizer = _optimizer(cfg.fit, network)
    parts: checkpoints.Parts = {"model": network, "optimizer": optimizer}
    if log.checkpoint:
        checkpoints.load(log.checkpoint, parts)
    elif cfg.model.network == "fast":
        network.whiten(train.images[:: max(1, len(train.images) // WHITENED)])  # from all of the split: it may be sorted by class
    stepped = _shared(network)
    for epoch in log.remaining(cfg.fit.epochs):
        figures = _epoch(cfg, stepped, optimizer, train, epoch)
        if devices.rank() == 0:
            right = (_logits(cfg.fit, network, valid.images).argmax(1) == valid.labels).float().mean()
            log.epoch({**figures, "valid_accuracy": float(right)}, lambda folder: checkpoints.save(folder, parts))


def _shared(network: nn.Module) -> nn.Module:
    """The network, or one that shares gradients, and on CUDA batch statistics, among the processes of torchrun."""
    if not distributed.is_initialized():
        return network
    if next(network.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return parallel.DistributedDataParallel(network)


def _epoch(cfg: Config, network: nn.Module, optimizer: torch.optim.Optimizer, train: Pictures, epoch: int) -> dict[str, float]:
    """One pass over all images; seed and epoch determine order and augmentation, so that a resumed training sees the same."""
    torch.manual_seed((cfg.seed * 100_000 + epoch) * devices.processes() + devices.rank())  # dropout differs between processes
    random = torch.Generator().manual_seed(cfg.seed * 100_000 + epoch)
    images = _augmented(cfg, train.images, random, epoch)
    order = torch.randperm(len(train.labels), generator=random).to(images.device)
    batches = torch.split(order, cfg.fit.batch)[: max(1, len(order) // cfg.fit.batch)]
    network.train()
    sums = torch.zeros(2, device=images.device)
    bar = tqdm(batches, desc=f"{cfg.candidate} {epoch}/{cfg.fit.epochs}", unit="batch", mininterval=1, disable=devices.rank() > 0)
    for index, batch in enumerate(bar):
        _set_rate(cfg.fit, optimizer, (epoch - 1 + index / len(batches)) / cfg.fit.epochs)
        rows = _own(batch)
        sums += _step(cfg.fit, network, optimizer, images[rows], train.labels[rows])
    if distributed.is_initialized():
        distributed.all_reduce(sums)
        sums /= distributed.get_world_size()
    loss, accuracy = (sums / len(batches)).tolist()
    return {"loss": loss, "accuracy": accuracy}


def _own(batch: Tensor) -> Tensor:
    """The rows of a batch that this process trains on."""
    return batch[devices.rank() :: distributed.get_world_size()] if distributed.is_initialized() else batch


def _step(fit: Fit, network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> Tensor:
    """One step down the gradient; [loss, accuracy] before it."""
    with runtime.autocast(fit.precision, images.device):
        logits = network(images.to(torch.float32, memory_format=torch.channels_last))
    loss = nn.CrossEntropyLoss(label_smoothing=fit.label_smoothing)(logits.float(), labels)
    runtime.step(loss, network, optimizer)
    return torch.stack([loss.detach(), (logits.detach().argmax(1) == labels).float().mean()])


def _optimizer(fit: Fit, network: nn.Module) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum; biases and norms do not decay."""
    weights, biases = runtime.parameter_groups(network, fit.weight_decay)
    groups = [{**weights, "times": 1.0}, {**biases, "times": fit.bias_rate}]
    if fit.optimizer == "adam":
        return torch.optim.AdamW(groups, fit.learning_rate)
    return torch.optim.SGD(groups, fit.learning_rate, momentum=fit.momentum, nesterov=fit.momentum > 0)


def _set_rate(fit: Fit, optimizer: torch.optim.Optimizer, done: float) -> None:
    """Constant, or linear up to the share `peak` of the training and linear down to a hundredth."""
    share = 1.0 if fit.schedule == "constant" else min(done / fit.peak, (1 - done) / (1 - fit.peak))
    for group in optimizer.param_groups:
        group["lr"] = fit.learning_rate * group["times"] * max(share, 0.01)


def _augmented(cfg: Config, images: Tensor, random: torch.Generator, epoch: int) -> Tensor:
    """Shifted by up to `crop` pixels, flipped, a square cut out: [n, 3, 32, 32] in channels-last order."""
    count, side = len(images), CONVENTION.side
    shifts = torch.randint(-cfg.fit.crop, cfg.fit.crop + 1, (2, count, 1), generator=random)
    places = torch.arange(side) + shifts
    rows, columns = _reflected(places, side)
    flipped = _flipped(cfg, count, random, epoch)[:, None]
    columns = torch.where(flipped, side - 1 - columns, columns)
    pictures = torch.arange(count)[:, None, None].to(images.device)
    moved = images[pictures, :, rows[:, :, None].to(images.device), columns[:, None, :].to(images.device)]
    if cfg.fit.border == "zeros":
        down, across = (places >= 0) & (places < side)
        moved = moved * (down[:, :, None] & across[:, None, :])[..., None].to(images.device)
    if cfg.fit.cutout:
        moved = torch.where(_square(cfg.fit.cutout, count, random).to(images.device), GREY, moved)
    return moved.permute(0, 3, 1, 2)


def _square(edge: int, count: int, random: torch.Generator) -> Tensor:
    """[n, 32, 32, 1] booleans, true in one square of each image.

    Source: DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
    """
    first = torch.randint(0, CONVENTION.side - edge + 1, (2, count, 1), generator=random)
    along = torch.arange(CONVENTION.side)
    down, across = (along >= first) & (along < first + edge)
    return (down[:, :, None] & across[:, None, :])[..., None]


def _reflected(position: Tensor, side: int) -> Tensor:
    position = position.abs()
    return torch.where(position < side, position, 2 * (side - 1) - position)


def _flipped(cfg: Config, count: int, random: torch.Generator, epoch: int) -> Tensor:
    """Which images are mirrored: random in each epoch, or random once and then alternating, so that both sides are seen equally."""
    if cfg.fit.flips == "none":
        return torch.zeros(count, dtype=torch.bool)
    if cfg.fit.flips == "random":
        return torch.rand(count, generator=random) < 0.5
    first = torch.rand(count, generator=torch.Generator().manual_seed(cfg.seed)) < 0.5
    return first ^ bool(epoch % 2)


def _logits(fit: Fit, network: nn.Module, images: Tensor) -> Tensor:
    """[n, classes], averaged with those of the mirrored image where `fit.mirrored` is set."""
    network.eval()
    with torch.inference_mode(), runtime.autocast(fit.precision, images.device):
        return torch.cat([_both(fit, network, part.float()).float() for part in torch.split(images, JUDGED)])


def _both(fit: Fit, network: nn.Module, pictures: Tensor) -> Tensor:
    return (network(pictures) + network(pictures.flip(3))) / 2 if fit.mirrored else network(pictures)


class Served(nn.Module):
    """Images [n, 32, 32, 3] of bytes -> calibrated probabilities [n, classes]."""

    def __init__(self, fit: Fit, network: nn.Module, sharpness: float) -> None:
        super().__init__()
        self.fit, self.network, self.sharpness = fit, network, sharpness

    def forward(self, pictures: Tensor) -> Tensor:
        return (_both(self.fit, self.network, pictures.permute(0, 3, 1, 2).float()) * self.sharpness).softmax(1)


def _export(cfg: Config, network: nn.Module, valid: Pictures, path: Path) -> Proof:
    """Write the calibrated network as ONNX; compare its probabilities of real images with those of PyTorch."""
    exact = cfg.fit.model_copy(update={"precision": "float32"})
    sharpness = 1 / calibration.temperature(_logits(exact, network, valid.images).cpu().numpy(), valid.labels.cpu().numpy())
    served = Served(cfg.fit, network, sharpness).cpu().eval()
    pictures = valid.images[:PROOF].cpu().permute(0, 2, 3, 1).contiguous()
    with torch.inference_mode():
        native = served(pictures).numpy()
    exports.write(served, (pictures[:2],), path, ["pictures"])
    return prove(native, inference.session(path).run(None, {"pictures": pictures.numpy()})[0], TOLERANCE)
