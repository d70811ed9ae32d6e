"""Pretrained weights by name: a .safetensors file with its hash, or torchvision's own. What is named and missing fails."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipelines import folders


class MissingWeights(FileNotFoundError):
    """Pretrained weights that are named and cannot be had, or are others than those."""


def take(network: nn.Module, called: str, weights: str, sha256: str | None, hub: Any) -> None:
    """Load `weights`: "none", "hub" (torchvision's `hub`), or a file with this hash; the network is `called` so. Raises MissingWeights."""
    if weights == "none":
        return
    try:
        network.load_state_dict(_hub(hub) if weights == "hub" else _file(Path(weights), str(sha256)))
    except RuntimeError as error:
        words = str(error).splitlines()[1:2] or [str(error)]
        raise MissingWeights(
            f"model.weights={weights} are not those of torchvision's {called} with its 1,000 classes ({words[0].strip()[:200]}). "
            "Name a file of its state_dict, 'hub' or 'none'."
        ) from error


def _hub(weights: Any) -> dict[str, Tensor]:
    """torchvision's own, its checksum in its address."""
    try:
        return dict(weights.get_state_dict(check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:
        raise MissingWeights(
            f"model.weights=hub: {weights.url} could not be had ({error}). Connect to the network, or set it to none."
        ) from error


def _file(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file."""
    found = folders.sha256(path) if path.is_file() else "no such file"
    if found != sha256:
        raise MissingWeights(
            f"model.weights={path} has SHA-256 {found}; model.weights_sha256 is {sha256}. Name the file that has it, 'hub' or 'none'."
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise MissingWeights(f"model.weights={path} is no .safetensors file ({error}). Save the tensors as one.") from error
