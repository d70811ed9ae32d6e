"""Exported ONNX files, and a fingerprint of what they compute."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from pipelines.models import graphs

if TYPE_CHECKING:
    from torch import nn


def write(
    module: "nn.Module",
    examples: tuple[Any, ...],
    path: Path,
    inputs: Sequence[str],
    outputs: Sequence[str] | None = None,
    shapes: tuple[Any, ...] = ({0: "n"},),
) -> None:
    """Export a PyTorch module, traced on `examples`; `shapes` names the free dimensions of each, by default the first alone."""
    import torch

    names: dict[str, Any] = {"input_names": inputs, "output_names": outputs}
    torch.onnx.export(module, examples, path, dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False, **names)
    graphs.write_canonical(path)


def fingerprint(path: Path) -> str:
    """SHA-256 of the canonical form: two files with the same one compute the same."""
    return hashlib.sha256(graphs.canonical(onnx.load(path))).hexdigest()
