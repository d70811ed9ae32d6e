"""The smallest detector: a random layer on a coarse view of the page, as ONNX and as Darknet's files; no training framework."""

import struct
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from pipelines.families.signatures import examples
from pipelines.models import manifests

SIDE, CELLS, BOXES = examples.CONVENTION.side, 13, 8
STRENGTH = 0.002  # of the layer: ink moves the boxes, and does not drown them
CFG = f"""[net]
batch=1
width={SIDE}
height={SIDE}
channels=3

[maxpool]
size={SIDE // CELLS}
stride={SIDE // CELLS}

[convolutional]
filters=18
size=1
stride=1
pad=1
activation=linear

[yolo]
mask=0,1,2
anchors=40,20, 90,40, 180,60
classes=1
num=3
scale_x_y=1.05
"""


def network(out: Path, seed: int) -> manifests.Description:
    """The files of a tiny detector: its weights differ by `seed`."""
    (out / "native").mkdir(parents=True)
    (out / "native/network.weights").write_bytes(b"resumed from, never served")
    (out / "network.cfg").write_text(CFG)
    (out / "opencv.weights").write_bytes(darknet(seed))
    onnx.save(random_detector(seed), str(out / "model.onnx"))
    return manifests.Description(
        served={"model.onnx": "model", "network.cfg": "cfg", "opencv.weights": "weights"},
        native={"native/network.weights": "native"},
        input={"shape": [None, SIDE, SIDE], "dtype": "uint8"},
        output={"kind": "boxes", "labels": examples.LABELS},
        preprocessing=examples.CONVENTION,
        proof=manifests.Proof(256, 0.0, 1e-4),
    )


def darknet(seed: int) -> bytes:
    """Header, biases and weights of the one layer."""
    values = np.random.default_rng(seed).normal(size=18 + 18 * 3).astype("<f4")
    return struct.pack("<iiiq", 0, 2, 5, 0) + values.tobytes()


def random_detector(seed: int) -> onnx.ModelProto:
    """Pages [n, side, side] -> boxes [n, 8, 5] of cx, cy, w, h, score, each from 0 to 1; white paper counts as nothing."""
    nodes = [
        helper.make_node("Cast", ["pages"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["white", "numbers"], ["ink"]),
        helper.make_node("Unsqueeze", ["ink", "channel"], ["planes"]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[SIDE // CELLS] * 2, strides=[SIDE // CELLS] * 2),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "biases"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["shares"]),
        helper.make_node("Reshape", ["shares", "rows"], ["boxes"]),
    ]
    pages = helper.make_tensor_value_info("pages", TensorProto.UINT8, ["n", SIDE, SIDE])
    boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", BOXES, 5])
    graph = helper.make_graph(nodes, "tiny", [pages], [boxes], constants(seed))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constants(seed: int) -> list[onnx.TensorProto]:
    random = np.random.default_rng(seed)
    biases = random.normal(size=(BOXES, 5))
    biases[:, 2:4] -= 2  # boxes of about a tenth of the page
    return [
        tensor("weights", STRENGTH * random.normal(size=(CELLS * CELLS, BOXES * 5))),
        tensor("biases", biases.reshape(-1)),
        tensor("white", np.array(255.0)),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("rows", TensorProto.INT64, [3], [0, BOXES, 5]),
    ]


def tensor(name: str, values: NDArray[np.float64]) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, values.shape, values.astype(np.float32).tobytes(), raw=True)
