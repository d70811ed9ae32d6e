"""Train with PyTorch, export to ONNX, and prove that both give the same answers. One path for CPU, CUDA and MPS.

Pictures live on the device as bytes, augmentation is drawn there for a whole epoch at once: no loader, no workers.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from pipelines import calibration, cards
from pipelines.configs import Config
from pipelines.families.objects import model as models
from pipelines.families.objects.examples import CONVENTION, Split, classes, load
from pipelines.families.objects.predict import session
from pipelines.families.objects.settings import Fit
from pipelines.manifests import Description, Proof, prove
from pipelines.trainings import Training

TOLERANCE = 1e-3  # of a probability, between PyTorch and ONNX Runtime
PROOF = 256  # pictures of the validation split
JUDGED = 1000  # pictures of validation at once


class Pictures(NamedTuple):
    """A split on the device: [n, 3, 32, 32] bytes and [n] labels."""

    images: Tensor
    labels: Tensor


def fit(cfg: Config, data: Path, out: Path, log: Training) -> Description:
    """Train to `cfg.fit.epochs`, from the last checkpoint where there is one; write model.onnx and native/model.safetensors.

    Raises MissingWeights, or NotProven when the exported model does not answer as the native one does.
    """
    torch.manual_seed(cfg.seed)
    names, card, device = classes(data), cards.read(data), _device()
    train, valid = (_placed(load(data, split), device) for split in ("train", "valid"))
    network = models.build(cfg.model, len(names), card["mean"], card["deviation"]).to(device)
    network.to(memory_format=torch.channels_last)
    _train(cfg, network, train, valid, log)
    (out / "native").mkdir()
    save_file(_packed(network.state_dict()), out / "native/model.safetensors")
    return Description(
        served={"model.onnx": "model"},
        native={"native/model.safetensors": "safetensors"},
        input={"shape": [None, CONVENTION.side, CONVENTION.side, 3], "dtype": "uint8"},
        output={"kind": "probabilities", "labels": names},
        preprocessing=CONVENTION,
        proof=_export(cfg, network, valid, out / "model.onnx"),
    )


def _device() -> torch.device:
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return torch.device(next((kind for kind, there in kinds.items() if there), "cpu"))


def _placed(split: Split, device: torch.device) -> Pictures:
    images = torch.from_numpy(np.ascontiguousarray(split.images.transpose(0, 3, 1, 2)))
    return Pictures(images.to(device), torch.from_numpy(split.labels.astype(np.int64)).to(device))


def _train(cfg: Config, network: models.Network, train: Pictures, valid: Pictures, log: Training) -> None:
    optimizer = _optimizer(cfg.fit, network)
    if log.checkpoint:
        _resume(network, optimizer, log.checkpoint)
    elif cfg.model.network == "fast":
        network.whiten(train.images[:5000])
    step: nn.Module = torch.compile(network) if cfg.fit.compiled else network  # type: ignore[assignment]
    for epoch in range(len(log.history) + 1, cfg.fit.epochs + 1):
        figures = _epoch(cfg, step, optimizer, train, epoch)
        right = (_logits(cfg, network, valid.images).argmax(1) == valid.labels).float().mean()
        log.epoch({**figures, "valid_accuracy": float(right)}, lambda folder: _keep(network, optimizer, folder))


def _epoch(cfg: Config, network: nn.Module, optimizer: torch.optim.Optimizer, train: Pictures, epoch: int) -> dict[str, float]:
    """One walk over all pictures, in an order and with distortions that seed and epoch decide: a resumed training sees the same."""
    random = torch.Generator().manual_seed(cfg.seed * 100_000 + epoch)
    images = _augmented(cfg, train.images, random, epoch)
    order = torch.randperm(len(train.labels), generator=random).to(images.device)
    batches = torch.split(order, cfg.fit.batch)[: max(1, len(order) // cfg.fit.batch)]
    loss_of = nn.CrossEntropyLoss(label_smoothing=cfg.fit.label_smoothing)
    network.train()
    losses = right = 0.0
    for index, rows in enumerate(tqdm(batches, desc=f"{cfg.candidate} {epoch}/{cfg.fit.epochs}", unit="batch", mininterval=1)):
        _set_rate(cfg.fit, optimizer, (epoch - 1 + index / len(batches)) / cfg.fit.epochs)
        labels = train.labels[rows]
        with _autocast(cfg.fit, images.device):
            logits = network(images[rows].to(torch.float32, memory_format=torch.channels_last))
            loss = loss_of(logits.float(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses, right = losses + loss.detach(), right + (logits.detach().argmax(1) == labels).float().mean()
    return {"loss": float(losses) / len(batches), "accuracy": float(right) / len(batches)}


def _autocast(fit: Fit, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=fit.precision == "bfloat16")


def _optimizer(fit: Fit, network: nn.Module) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum; biases and norms do not decay."""
    learned = [value for value in network.parameters() if value.requires_grad]
    groups = [
        {"params": [value for value in learned if value.ndim > 1], "weight_decay": fit.weight_decay},
        {"params": [value for value in learned if value.ndim <= 1], "weight_decay": 0.0},
    ]
    if fit.optimizer == "adam":
        return torch.optim.AdamW(groups, fit.learning_rate)
    return torch.optim.SGD(groups, fit.learning_rate, momentum=fit.momentum, nesterov=fit.momentum > 0)


def _set_rate(fit: Fit, optimizer: torch.optim.Optimizer, done: float) -> None:
    """Constant, or up in a line to `peak` of the way and down in a line to nothing."""
    share = 1.0 if fit.schedule == "constant" else min(done / fit.peak, (1 - done) / (1 - fit.peak))
    for group in optimizer.param_groups:
        group["lr"] = fit.learning_rate * max(share, 0.01)


def _augmented(cfg: Config, images: Tensor, random: torch.Generator, epoch: int) -> Tensor:
    """Shifted by up to `crop` pixels, the border mirrored, and flipped: [n, 3, 32, 32] in channels-last order."""
    count, side = len(images), CONVENTION.side
    shifts = torch.randint(-cfg.fit.crop, cfg.fit.crop + 1, (2, count, 1), generator=random)
    rows, columns = (_mirrored(torch.arange(side) + shift, side) for shift in shifts)
    flipped = _flipped(cfg, count, random, epoch)[:, None]
    columns = torch.where(flipped, side - 1 - columns, columns)
    pictures = torch.arange(count)[:, None, None].to(images.device)
    return images[pictures, :, rows[:, :, None].to(images.device), columns[:, None, :].to(images.device)].permute(0, 3, 1, 2)


def _mirrored(position: Tensor, side: int) -> Tensor:
    position = position.abs()
    return torch.where(position < side, position, 2 * (side - 1) - position)


def _flipped(cfg: Config, count: int, random: torch.Generator, epoch: int) -> Tensor:
    """Which pictures are mirrored this time: drawn each epoch, or drawn once and then in turn, so that both sides are seen equally."""
    if cfg.fit.flips == "none":
        return torch.zeros(count, dtype=torch.bool)
    if cfg.fit.flips == "random":
        return torch.rand(count, generator=random) < 0.5
    first = torch.rand(count, generator=torch.Generator().manual_seed(cfg.seed)) < 0.5
    return first ^ bool(epoch % 2)


def _logits(cfg: Config, network: nn.Module, images: Tensor) -> Tensor:
    """[n, classes], as they will be served: averaged with those of the mirrored picture where the page says so."""
    network.eval()
    with torch.inference_mode(), _autocast(cfg.fit, images.device):
        return torch.cat([_both(cfg.fit, network, part.float()).float() for part in torch.split(images, JUDGED)])


def _both(fit: Fit, network: nn.Module, pictures: Tensor) -> Tensor:
    return (network(pictures) + network(pictures.flip(3))) / 2 if fit.mirrored else network(pictures)


class Served(nn.Module):
    """Pictures [n, 32, 32, 3] of bytes -> probabilities [n, classes], tempered."""

    def __init__(self, fit: Fit, network: nn.Module, sharpness: float) -> None:
        super().__init__()
        self.fit, self.network, self.sharpness = fit, network, sharpness

    def forward(self, pictures: Tensor) -> Tensor:
        return (_both(self.fit, self.network, pictures.permute(0, 3, 1, 2).float()) * self.sharpness).softmax(1)


def _export(cfg: Config, network: nn.Module, valid: Pictures, path: Path) -> Proof:
    """Write what is served as ONNX; its answers on real pictures are held against PyTorch's."""
    sharpness = 1 / calibration.temperature(_logits(cfg, network, valid.images).cpu().numpy(), valid.labels.cpu().numpy())
    served = Served(cfg.fit, network, sharpness).cpu().eval()
    pictures = valid.images[:PROOF].cpu().permute(0, 2, 3, 1).contiguous()
    with torch.inference_mode():
        native = served(pictures).numpy()
    shapes = ({0: "n"},)
    torch.onnx.export(served, (pictures[:2],), path, input_names=["pictures"], dynamo=True, dynamic_shapes=shapes, external_data=False)
    answering = session(path)
    return prove(native, answering.run(None, {"pictures": pictures.numpy()})[0], TOLERANCE)


def _keep(network: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    """A checkpoint: the network's tensors, and the optimizer's as <parameter>.<name>."""
    save_file(_packed(network.state_dict()), folder / "model.safetensors")
    state = {f"{index}.{name}": value for index, values in optimizer.state_dict()["state"].items() for name, value in values.items()}
    save_file(_packed(state), folder / "optimizer.safetensors")


def _packed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As the file format wants them: in the plain order of dimensions, whatever the order on the device."""
    return {name: value.contiguous() for name, value in tensors.items()}


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
    network.load_state_dict(load_file(folder / "model.safetensors"))
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in load_file(folder / "optimizer.safetensors").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
