"""The smallest encoder of engravings: a random rotation of a coarse view of the picture, as ONNX, with its index; no training framework."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image, ImageDraw

from pipelines import folders
from pipelines.families.gravures import examples
from pipelines.families.gravures.parts import index
from pipelines.families.gravures.parts.index import Entry
from pipelines.models import manifests

SIDE, CELL, DIMENSIONS = examples.CONVENTION.side, 4, 256
CELLS = (SIDE // CELL) ** 2
SHAPES = ("bar", "circle", "cross", "square", "triangle", "wave")
Pictures = NDArray[np.uint8]


class Little(NamedTuple):
    """A few engravings: their classes, drawings of each, and a catalogue."""

    classes: list[str]
    drawn: Pictures
    labels: NDArray[np.int64]
    catalogue: dict[str, Any]
    catalogue_images: Pictures


def network(out: Path, seed: int) -> manifests.Description:
    """The files of a tiny encoder: its weights differ by `seed`."""
    (out / "native").mkdir(parents=True)
    (out / "native/weights").write_bytes(b"resumed from, never served")
    onnx.save(random_encoder(seed), str(out / "model.onnx"))
    known = little()
    folders.write(out / "catalogue.json", json.dumps(known.catalogue) + "\n")
    entries, pictures = indexed(known)
    index.write(out, entries, embedded(out / "model.onnx", pictures), folders.sha256(out / "model.onnx"))
    return manifests.Description(
        served={"model.onnx": "model", "index.npy": "vectors", "index.json": "index", "catalogue.json": "catalogue"},
        native={"native/weights": "native"},
        input={"shape": [None, SIDE, SIDE], "dtype": "uint8"},
        output={"kind": "embedding", "dimensions": DIMENSIONS},
        preprocessing=examples.CONVENTION,
        proof=manifests.Proof(256, 0.0, 1e-4),
    )


def indexed(known: Little) -> tuple[list[Entry], Pictures]:
    """Every drawing and every picture of the catalogue."""
    drawn = [Entry(known.classes[label], "drawn", None) for label in known.labels]
    found = [Entry(row["picture"], "catalogue", f"catalogue/{row['picture']}") for row in known.catalogue["pictures"]]
    return drawn + found, np.concatenate([known.drawn, known.catalogue_images])


def embedded(model: Path, pictures: Pictures) -> NDArray[np.float32]:
    """[n, 256], as ONNX Runtime answers."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"pictures": pictures})[0]


def little() -> Little:
    """Six shapes drawn three times each, and a picture of each in the catalogue, with lenses that bear it."""
    random = np.random.default_rng(0)
    drawn = np.stack([drawing(shape, random) for shape in SHAPES for _ in range(3)])
    pictures = [f"gravure_{number:04}.png" for number in range(len(SHAPES))]
    catalogue = {
        "pictures": [
            {"picture": name, "class": shape, "shapes": [shape], "letters": []} for name, shape in zip(pictures, SHAPES, strict=True)
        ],
        "lenses": [
            {"verre_id": 187 + number, "name": f"lens {number}", "index_code": "15", "picture": pictures[number % len(pictures)]}
            for number in range(2 * len(pictures))
        ],
        "classes": {shape: {"shapes": [shape], "letters": []} for shape in SHAPES},
    }
    return Little(list(SHAPES), drawn, np.repeat(np.arange(len(SHAPES)), 3), catalogue, np.stack([drawing(s, random) for s in SHAPES]))


def drawing(shape: str, random: np.random.Generator) -> Pictures:
    """One of the shapes, light on black, its points moved a little."""
    corners = {
        "bar": [(6, 32), (58, 32)],
        "circle": [(32 + 26 * np.cos(turn), 32 + 26 * np.sin(turn)) for turn in np.linspace(0, 2 * np.pi, 25)],
        "cross": [(6, 32), (58, 32), (32, 32), (32, 6), (32, 58)],
        "square": [(6, 6), (58, 6), (58, 58), (6, 58), (6, 6)],
        "triangle": [(6, 58), (58, 58), (32, 6), (6, 58)],
        "wave": [(x, 32 + 20 * np.sin(x / 6)) for x in range(6, 59, 2)],
    }[shape]
    paper = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(paper).line([tuple(np.add(corner, random.normal(0, 0.7, 2))) for corner in corners], 255, 3, joint="curve")
    return np.asarray(paper)


def random_encoder(seed: int) -> onnx.ModelProto:
    """Pictures [n, side, side] -> embeddings [n, 256] of length 1, a rotation of the coarse picture: similar ones stay similar."""
    nodes = [
        helper.make_node("Cast", ["pictures"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "channel"], ["planes"]),
        helper.make_node("AveragePool", ["planes"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["turned"]),
        helper.make_node("Add", ["turned", "biases"], ["moved"]),  # a black picture has a direction too
        helper.make_node("LpNormalization", ["moved"], ["embeddings"], axis=1, p=2),
    ]
    pictures = helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["n", SIDE, SIDE])
    answer = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", DIMENSIONS])
    graph = helper.make_graph(nodes, "tiny", [pictures], [answer], constants(seed))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def constants(seed: int) -> list[onnx.TensorProto]:
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.normal(size=(CELLS, DIMENSIONS)))
    return [
        tensor("weights", turn),
        tensor("biases", random.normal(size=DIMENSIONS)),
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
    ]


def tensor(name: str, values: NDArray[np.float64]) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, values.shape, values.astype(np.float32).tobytes(), raw=True)
