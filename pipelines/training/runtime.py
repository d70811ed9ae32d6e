"""What every PyTorch training does alike: device, precision, parameter groups, learning rates, steps and averaged weights."""

import os
from math import cos, pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from pipelines import devices


def device() -> torch.device:
    """The GPU of this process (under torchrun its own), else the CPU."""
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        return torch.device("cuda", torch.cuda.current_device())
    alone = devices.processes() == 1  # gloo, which joins several processes without CUDA, has no MPS
    return torch.device("mps" if alone and torch.backends.mps.is_available() else "cpu")


def device_of(network: nn.Module) -> torch.device:
    """Where the weights of a network are."""
    return next(network.parameters()).device


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Mixed precision where `precision` is "bfloat16", nothing where it is "float32"."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable weights, then the biases and norms, which do not decay."""
    trainable = [value for value in network.parameters() if value.requires_grad]
    return [
        {"params": [value for value in trainable if value.ndim > 1], "weight_decay": weight_decay},
        {"params": [value for value in trainable if value.ndim <= 1], "weight_decay": 0.0},
    ]


def cosine(step: float, steps: float) -> float:
    """The share of the learning rate after `step` of `steps`: from 1 along half a cosine to a hundredth."""
    return 0.01 + 0.99 * (1 + cos(pi * step / steps)) / 2


def warmed_cosine(step: int, steps: int, warmup: int) -> float:
    """As cosine(), times a linear rise over the first `warmup` steps."""
    return min(1.0, (step + 1) / warmup) * cosine(step, steps)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """One learning rate for all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def step(loss: Tensor, network: nn.Module, optimizer: Optimizer, clip: float | None = None) -> None:
    """One step down the gradient, whose norm is cut to `clip`."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        nn.utils.clip_grad_norm_(network.parameters(), clip)
    optimizer.step()


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of weights and buffers; its decay rises to `decay` over the first updates."""

    def average(mean: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        now = min(decay, (1 + float(count)) / (10 + float(count)))
        return mean + (value - mean) * (1 - now)

    return AveragedModel(network, avg_fn=average, use_buffers=True)
