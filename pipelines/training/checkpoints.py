"""What a PyTorch training keeps of its modules and optimizer between two epochs: safetensors, never a pickle."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

Kept = Mapping[str, nn.Module | Optimizer]


def keep(folder: Path, parts: Kept) -> None:
    """Write <name>.safetensors for each part: a module's tensors, or an optimizer's as <parameter>.<name>."""
    for name, part in parts.items():
        save_file(packed(_moments(part) if isinstance(part, Optimizer) else part.state_dict()), folder / f"{name}.safetensors")


def resume(folder: Path, parts: Kept) -> None:
    """Put back what keep() wrote. An optimizer's rates are its page's, not the file's."""
    for name, part in parts.items():
        tensors = load_file(folder / f"{name}.safetensors")
        part.load_state_dict(_state(part, tensors) if isinstance(part, Optimizer) else tensors)


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As the file format wants them: in the plain order of dimensions, whatever the order on the device."""
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
