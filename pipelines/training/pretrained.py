"""Pretrained weights: a .safetensors file with its hash, or torchvision's."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pipelines import folders


class MissingWeights(FileNotFoundError):
    """Pretrained weights that are missing, or others than the config names."""


def load(network: nn.Module, name: str, weights: str, sha256: str | None, hub: Any) -> None:
    """Load `weights` into a network of torchvision: "none", "hub" (its weights `hub`), or a file with this hash. Raises MissingWeights."""
    if weights == "none":
        return
    try:
        network.load_state_dict(_hub(hub) if weights == "hub" else _file(Path(weights), str(sha256)))
    except RuntimeError as error:
        words = (str(error).splitlines()[1:2] or [str(error)])[0].strip()[:200]
        raise MissingWeights(
            f"model.weights={weights} is no state_dict of torchvision's {name} with 1,000 classes ({words}). Name one, 'hub' or 'none'."
        ) from error


def _hub(weights: Any) -> dict[str, Tensor]:
    try:
        return dict(weights.get_state_dict(check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:
        raise MissingWeights(f"model.weights=hub: fetching {weights.url} failed ({error}). Connect to the network, or set none.") from error


def _file(path: Path, sha256: str) -> dict[str, Tensor]:
    found = folders.sha256(path) if path.is_file() else "no such file"
    if found != sha256:
        raise MissingWeights(
            f"model.weights={path} has SHA-256 {found}, not {sha256} (model.weights_sha256). Name that file, 'hub' or 'none'."
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise MissingWeights(f"model.weights={path} is no .safetensors file ({error}).") from error
