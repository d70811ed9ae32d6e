"""An ONNX file's fingerprint: blind to the names and the order of nodes, and to nothing else."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper, numpy_helper

from pipelines.models import exports
from tests.classifiers import random_network
from tests.families import digits


def renamed(model: onnx.ModelProto) -> None:
    """Every inner name another one."""
    inner = {name for node in model.graph.node for name in node.output} - {found.name for found in model.graph.output}
    inner |= {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        node.name = f"{node.op_type}__99"
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = f"other_{name}" if name in inner else name
    for tensor in model.graph.initializer:
        tensor.name = f"other_{tensor.name}"


def extended(model: onnx.ModelProto) -> None:
    """An operation on which nothing rests."""
    model.graph.node.append(helper.make_node("Relu", ["logits"], ["nowhere"]))


def heavier(model: onnx.ModelProto) -> None:
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weights[0, 0] += 1e-6
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "weights"))


def without_softmax(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Sigmoid"


def other_axis(model: onnx.ModelProto) -> None:
    model.graph.node[-1].attribute.append(helper.make_attribute("axis", 0))


def other_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = "picture"


@pytest.mark.parametrize(
    ("change", "same"),
    [(renamed, True), (extended, True), (heavier, False), (without_softmax, False), (other_axis, False), (other_input, False)],
)
def test_what_a_fingerprint_sees(tmp_path: Path, change: Callable[[onnx.ModelProto], None], same: bool) -> None:
    model = random_network(digits.TINY, 1)
    onnx.save(model, str(tmp_path / "before.onnx"))
    change(model)
    onnx.save(model, str(tmp_path / "after.onnx"))
    assert (tmp_path / "before.onnx").read_bytes() != (tmp_path / "after.onnx").read_bytes()
    assert (exports.fingerprint(tmp_path / "before.onnx") == exports.fingerprint(tmp_path / "after.onnx")) is same
