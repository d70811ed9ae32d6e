"""The canonical form of an ONNX graph: two exports of one network are the same bytes, whatever an exporter's counters and order were."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TypeVar

import onnx

Part = TypeVar("Part", onnx.NodeProto, onnx.TensorProto)
COUNTED = re.compile(r"unk__\d+|s\d+")  # free dimensions that an exporter has numbered


def write_canonical(path: Path) -> None:
    """Rewrite a file in canonical form."""
    path.write_bytes(canonical(onnx.load(path)))


def canonical(model: onnx.ModelProto) -> bytes:
    """The file of a model, which is changed: nodes in the order in which the outputs need them, names by position, nothing of its making.

    What no output needs is left out. Names of inputs and outputs stay, and within bodies of loops those that are made there.
    """
    nodes = _ordered(model.graph)
    _rename(model.graph, nodes)
    _rename_dimensions(model.graph)
    for part in (model, model.graph, *nodes, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    del model.graph.value_info[:]  # runtimes infer it
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.opset_import.sort(key=lambda found: found.domain)
    model.ClearField("producer_version")
    return model.SerializeToString(deterministic=True)


def _ordered(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """A copy of each node that an output needs, after those that it needs itself, in the order of its inputs."""
    makers = {name: place for place, node in enumerate(graph.node) for name in node.output if name}
    found = dict[int, onnx.NodeProto]()
    pending = [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while pending:
        place = pending[-1]
        needed = [makers[name] for name in _used(graph.node[place]) if name in makers]
        if missing := [each for each in needed if each not in found]:
            pending.extend(reversed(missing))
        else:
            found.setdefault(place, _copied(graph.node[place]))
            pending.pop()
    return list(found.values())


def _copied(part: Part) -> Part:
    copy = type(part)()
    copy.CopyFrom(part)
    return copy


def _used(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, also within its bodies."""
    yield from node.input
    for body in _bodies(node):
        yield from chain.from_iterable(map(_used, body.node))
        yield from (value.name for value in body.output)


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    return [body for attribute in node.attribute for body in ([attribute.g] if attribute.HasField("g") else attribute.graphs)]


def _rename(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Give nodes, values and weights the names of their positions; weights are put in the order of their first use."""
    names = {value.name: value.name for value in (*graph.input, *graph.output)} | {"": ""}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    used = dict.fromkeys(value.name for value in graph.output if value.name in weights)
    for position, node in enumerate(nodes):
        node.name = f"{node.op_type}_{position}"
        for place, name in enumerate(_used(node)):
            if name in weights:
                used[name] = None
                names.setdefault(name, f"{node.name}.{place}")
        names |= {name: f"{node.name}:{place}" for place, name in enumerate(node.output) if name not in names}
        _rename_node(node, names)
    stored = [_copied(weights[name]) for name in used]
    for tensor in stored:
        tensor.name = names[tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(stored)


def _rename_node(node: onnx.NodeProto, names: dict[str, str]) -> None:
    """Rename what it reads and gives, and sort its attributes; names that a body has made itself stay."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    node.attribute.sort(key=lambda attribute: attribute.name)
    for attribute in node.attribute:
        if attribute.HasField("t"):
            attribute.t.ClearField("name")
    for body in _bodies(node):
        for inner in body.node:
            _rename_node(inner, names)
        for value in body.output:
            value.name = names.get(value.name, value.name)


def _rename_dimensions(graph: onnx.GraphProto) -> None:
    numbered = dict[str, str]()
    for value in (*graph.input, *graph.output):
        for size in value.type.tensor_type.shape.dim:
            if COUNTED.fullmatch(size.dim_param):
                size.dim_param = numbered.setdefault(size.dim_param, f"d{len(numbered)}")
