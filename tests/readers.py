"""The smallest reader: a random layer on a coarse view of each step along the line, as ONNX; no training framework."""

import json
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipelines.families.ocr import examples
from pipelines.models import manifests

HEIGHT, STEP, PARTS = examples.CONVENTION.height, 4, 4  # pixels; a step is looked at in so many parts, one below the other
SYMBOLS = 1 + len(examples.ALPHABET)
STRENGTH = 100.0  # of the layer: ink says something, another line something else, and surely, so that no page is tried turned


def network(out: Path, seed: int) -> manifests.Description:
    """The files of a tiny reader: its weights differ by `seed`."""
    (out / "native").mkdir(parents=True)
    (out / "native/weights").write_bytes(b"resumed from, never served")
    (out / "alphabet.json").write_text(json.dumps([*examples.ALPHABET]))
    onnx.save(random_reader(seed), str(out / "model.onnx"))
    return manifests.Description(
        served={"model.onnx": "model", "alphabet.json": "alphabet"},
        native={"native/weights": "native"},
        input={"shape": [None, None, None], "dtype": "uint8"},
        output={"kind": "text"},
        preprocessing=examples.CONVENTION,
        proof=manifests.Proof(256, 0.0, 1e-4),
    )


def random_reader(seed: int) -> onnx.ModelProto:
    """Pictures [n, 32, W] -> log-probabilities [n, W / 4, 96] of a character at each step, the first of none; white paper says nothing."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["white", "numbers"], ["ink"]),
        helper.make_node("Div", ["ink", "white"], ["share"]),
        helper.make_node("Unsqueeze", ["share", "one"], ["plane"]),
        helper.make_node("AveragePool", ["plane"], ["parts"], kernel_shape=[HEIGHT // PARTS, STEP], strides=[HEIGHT // PARTS, STEP]),
        helper.make_node("Squeeze", ["parts", "one"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["steps"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["steps", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "biases"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["logprobs"], axis=-1),
    ]
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", HEIGHT, "width"])
    logprobs = helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["n", "steps", SYMBOLS])
    graph = helper.make_graph(nodes, "tiny", [pictures], [logprobs], constants(seed))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constants(seed: int) -> list[onnx.TensorProto]:
    random = np.random.default_rng(seed)
    return [
        tensor("weights", STRENGTH * random.normal(size=(PARTS, SYMBOLS))),
        tensor("biases", np.eye(1, SYMBOLS)[0]),
        tensor("white", np.array(255.0)),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
    ]


def tensor(name: str, values: NDArray[np.float64]) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, values.shape, values.astype(np.float32).tobytes(), raw=True)
