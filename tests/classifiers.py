"""The smallest classifier of pictures: one random layer, as ONNX; no training framework."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from pipelines.models import manifests


class Tiny(NamedTuple):
    """The smallest classifier of a family, one random layer: what its graph takes, how strong the layer is, and what its manifest says."""

    input: str
    kind: int
    shape: tuple[int, ...]
    strength: float
    labels: list[Any]
    convention: Any


def network(tiny: Tiny, out: Path, seed: int) -> manifests.Description:
    """One random layer and softmax."""
    (out / "native").mkdir(parents=True)
    (out / "native/weights").write_bytes(b"resumed from, never served")
    onnx.save(random_network(tiny, seed), str(out / "model.onnx"))
    return manifests.Description(
        served={"model.onnx": "model"},
        native={"native/weights": "native"},
        input={"shape": [None, *(side for side in tiny.shape if side > 1)], "dtype": "uint8"},
        output={"kind": "probabilities", "labels": tiny.labels},
        preprocessing=tiny.convention,
        proof=manifests.Proof(256, 0.0, 1e-4),
    )


def random_network(tiny: Tiny, seed: int) -> onnx.ModelProto:
    """Pictures [n, ...] -> softmax of one random layer [n, labels]."""
    size = (int(np.prod(tiny.shape)), len(tiny.labels))
    weights = (tiny.strength * np.random.default_rng(seed).normal(size=size)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", [tiny.input], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["numbers"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    pictures = helper.make_tensor_value_info(tiny.input, tiny.kind, ["n", *tiny.shape])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", size[1]])
    initial = helper.make_tensor("weights", TensorProto.FLOAT, size, weights.tobytes(), raw=True)
    graph = helper.make_graph(nodes, "tiny", [pictures], [answer], [initial])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def answer(prediction: Any) -> dict[str, Any]:
    """A service's answer without its provenance."""
    return {"prediction": prediction, "confidence": 0.9}
