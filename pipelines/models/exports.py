"""Exported ONNX files: reproducible bytes, and a fingerprint of what they compute."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import numpy_helper

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
    bare(path)


def bare(path: Path) -> None:
    """Remove paths, stack traces and names of modules, so that the same network gives the same bytes on any machine."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in model.graph.initializer:
        del value.metadata_props[:]
    onnx.save(model, path)


def fingerprint(path: Path) -> str:
    """SHA-256 over operations, attributes, weights and edges: two files with the same one compute the same.

    Only the names of inputs and outputs count, as exporters number nodes in an order that varies. Operations that no output depends on
    do not count; bodies of loops count as written.
    """
    model = onnx.load(path)
    known = {tensor.name: _tensor(tensor) for tensor in model.graph.initializer} | {"": ""}
    known |= {value.name: _hash(value.SerializeToString(deterministic=True)) for value in model.graph.input if value.name not in known}
    for node in model.graph.node:  # in topological order, by the standard
        own = _node(node, [known[name] for name in node.input])
        known |= {name: _hash(own, str(place)) for place, name in enumerate(node.output) if name}
    versions = sorted(f"{found.domain} {found.version}" for found in model.opset_import)
    return _hash(
        *versions, *(part for value in model.graph.output for part in (value.SerializeToString(deterministic=True), known[value.name]))
    )


def _node(node: onnx.NodeProto, inputs: list[str]) -> str:
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return _hash(node.domain, node.op_type, *inputs, *attributes)


def _tensor(tensor: onnx.TensorProto) -> str:
    values = numpy_helper.to_array(tensor)
    return _hash(str(values.dtype), str(values.shape), values.tobytes())


def _hash(*parts: str | bytes) -> str:
    """SHA-256 over the parts and their lengths, so that no two lists of parts collide."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
