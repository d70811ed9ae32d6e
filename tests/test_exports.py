"""Exported ONNX files: a fingerprint that is blind to the names and the order of nodes, and a form that has neither of its own."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipelines.models import exports, graphs, inference
from tests.classifiers import random_network
from tests.conftest import ROOT
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


def shuffled(model: onnx.ModelProto, seed: int) -> None:
    """Another order of nodes, in which each still comes after what it reads, and of weights."""
    draw, nodes = np.random.default_rng(seed), list(model.graph.node)
    made = {name for node in nodes for name in node.output}
    found: list[onnx.NodeProto] = []
    while nodes:
        known = {name for node in found for name in node.output}
        ready = [node for node in nodes if not (set(node.input) & made) - known]
        found.append(ready[draw.integers(len(ready))])
        nodes.remove(found[-1])
    weights = [model.graph.initializer[place] for place in draw.permutation(len(model.graph.initializer))]
    model.graph.ClearField("node")
    model.graph.ClearField("initializer")
    model.graph.node.extend(found)
    model.graph.initializer.extend(weights)


@pytest.mark.parametrize("file", sorted(ROOT.glob("released/*/*.onnx")), ids=lambda file: file.parent.name)
def test_the_canonical_form_of_a_network_is_one_whatever_its_names_and_order(tmp_path: Path, file: Path) -> None:
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    shutil.copyfile(file, one)
    model = onnx.load(file)
    renamed(model)
    shuffled(model, 1)
    model.graph.node[0].doc_string, model.producer_version = "/home/someone/model.py, line 3", "of another machine"
    onnx.save(model, other)
    graphs.write_canonical(one)
    graphs.write_canonical(other)
    assert one.read_bytes() == other.read_bytes() != file.read_bytes()
    assert inference.session(one, 1).get_inputs()[0].name == onnx.load(file).graph.input[0].name
    graphs.write_canonical(one)
    assert one.read_bytes() == other.read_bytes()


def test_the_canonical_form_computes_the_same(tmp_path: Path) -> None:
    path, pixels = tmp_path / "model.onnx", np.random.default_rng(0).random((3, 28, 28, 1), np.float32)
    model = random_network(digits.TINY, 1)
    extended(model)
    onnx.save(model, str(path))
    before = inference.session(path, 1)
    graphs.write_canonical(path)
    given = {before.get_inputs()[0].name: pixels}
    assert "nowhere" not in str(onnx.load(path).graph)
    assert np.array_equal(before.run(None, given)[0], inference.session(path, 1).run(None, given)[0])


def test_a_body_reads_what_is_outside_by_its_new_name(tmp_path: Path) -> None:
    bodies = {}
    for name, operation in {"then_branch": "Add", "else_branch": "Sub"}.items():
        value = helper.make_tensor_value_info(f"{name}_out", onnx.TensorProto.FLOAT, [1])
        bodies[name] = helper.make_graph([helper.make_node(operation, ["doubled", "one"], [f"{name}_out"])], name, [], [value])
    nodes = [
        helper.make_node("Add", ["x", "x"], ["doubled"]),
        helper.make_node("Greater", ["x", "one"], ["large"]),
        helper.make_node("If", ["large"], ["y"], **bodies),
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    weight = numpy_helper.from_array(np.ones(1, np.float32), "one")
    model = helper.make_model(
        helper.make_graph(nodes, "branches", ends[:1], ends[1:], [weight]), ir_version=10, opset_imports=[helper.make_opsetid("", 20)]
    )
    onnx.save(model, str(tmp_path / "model.onnx"))
    graphs.write_canonical(tmp_path / "model.onnx")
    run = inference.session(tmp_path / "model.onnx", 1).run
    assert [run(None, {"x": np.full(1, x, np.float32)})[0].item() for x in (3, -1)] == [7, -3]
