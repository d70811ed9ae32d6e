"""Exported ONNX files: without what their exporter tells of the machine, and what they compute, whatever their nodes are called."""

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
    """Take out paths, stack traces and names of modules: the same network is the same bytes, wherever it was exported."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in model.graph.initializer:
        del value.metadata_props[:]
    onnx.save(model, path)


def fingerprint(path: Path) -> str:
    """SHA-256 over operations, attributes, weights and how they hang together; names count for what goes in and out alone.

    Exporters name nodes by counting, in an order that varies from run to run. Two files with the same one compute the same. Operations
    on which no output rests do not count; bodies of loops count as written.
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
    """Over the parts and their lengths, so that no two lists of parts are one."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()
