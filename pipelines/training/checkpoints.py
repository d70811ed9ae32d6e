"""Checkpoints of PyTorch modules and optimizers between two epochs: safetensors, never a pickle."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

Parts = Mapping[str, nn.Module | Optimizer]


def save(folder: Path, parts: Parts) -> None:
    """Write <name>.safetensors for each part: a module's tensors, or an optimizer's as <parameter>.<name>."""
    for name, part in parts.items():
        save_file(contiguous(_moments(part) if isinstance(part, Optimizer) else part.state_dict()), folder / f"{name}.safetensors")


def load(folder: Path, parts: Parts) -> None:
    """Load what save() wrote. The learning rates of an optimizer stay those of the config."""
    for name, part in parts.items():
        tensors = load_file(folder / f"{name}.safetensors")
        part.load_state_dict(_state(part, tensors) if isinstance(part, Optimizer) else tensors)


def contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous, as the file format demands."""
    return {name: value.contiguous() for name, value in tensors.items()}


def _moments(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"].items()
    return {f"{index}.{name}": value for index, values in state for name, value in values.items() if value is not None}


def _state(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> dict[str, object]:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    return {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
