"""The served detector: one of three runtimes, and OpenCV's non-maximum suppression. No training framework.

`serving.runtime` in the family's config chooses: openvino and onnxruntime read model.onnx, opencv the Darknet files.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines import configs, devices
from pipelines.families.signatures.picture import Convention
from pipelines.models import inference, manifests

LEAST = 0.01  # score of a raw box that counts; `convention.threshold` is that of an answer
MOST = 100  # boxes of a page
Pages = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Run = Callable[[Pages], Boxes]


def onnxruntime_run(folder: Path, manifest: manifests.Manifest) -> Run:
    """ONNX Runtime on all cores."""
    session = inference.session(manifests.file(folder, manifest, "model"))
    return lambda pages: session.run(None, {"pages": pages})[0]


def openvino_run(folder: Path, manifest: manifests.Manifest) -> Run:
    """OpenVINO on all cores, in float32: with bfloat16, its default where the processor has it, boxes move by more than a hundredth."""
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": devices.cores()}
    model = openvino.compile_model(manifests.file(folder, manifest, "model"), "CPU", options)
    output = model.output(0)
    return lambda pages: model(pages)[output]


def opencv_run(folder: Path, manifest: manifests.Manifest) -> Run:
    """OpenCV on the Darknet files."""
    network = cv2.dnn.readNetFromDarknet(*(str(manifests.file(folder, manifest, role)) for role in ("cfg", "weights")))
    names = network.getUnconnectedOutLayersNames()
    return lambda pages: np.stack([_heads(network, names, page) for page in pages])


def _heads(network: cv2.dnn.Net, names: Sequence[str], page: NDArray[np.uint8]) -> Boxes:
    """One page through the network: [boxes, 5] of cx, cy, w, h, score."""
    network.setInput(cv2.dnn.blobFromImage(cv2.cvtColor(page, cv2.COLOR_GRAY2RGB), 1 / 255))
    rows = np.concatenate([head.reshape(-1, head.shape[-1]) for head in network.forward(names)])
    return rows[:, [0, 1, 2, 3, 5]]  # OpenCV's class score is already objectness times class


RUNTIMES = {"onnxruntime": onnxruntime_run, "openvino": openvino_run, "opencv": opencv_run}


class Predictor:
    """A detector from a model folder, on a named runtime or that of the family's config."""

    def __init__(self, folder: Path, runtime: str | None = None) -> None:
        self.manifest = manifests.verified(folder)
        self.labels: list[str] = self.manifest["output"]["labels"]
        self.convention = Convention(**self.manifest["preprocessing"])
        self.runtime = runtime or str(configs.serving("signatures").runtime)
        self._run = RUNTIMES[self.runtime](folder, self.manifest)

    def predict(self, pages: Pages) -> list[Boxes]:
        """Boxes [k, 5] of each page [n, side, side]: x, y, w, h as fractions of the page, and score, the best first."""
        squares = pages if pages.shape[1] == self.convention.side else np.stack([self.convention.from_grey(page) for page in pages])
        return [nms(boxes, self.convention.overlap) for boxes in self._run(squares)]


def nms(boxes: Boxes, overlap: float) -> Boxes:
    """Non-maximum suppression of one page's raw boxes [m, 5] (cx, cy, w, h, score) -> [k, 5] (x, y, w, h, score), within the page."""
    likely = boxes[boxes[:, 4] >= LEAST]
    low = np.clip(likely[:, :2] - likely[:, 2:4] / 2, 0, 1)
    high = np.clip(likely[:, :2] + likely[:, 2:4] / 2, 0, 1)
    found = np.concatenate([low, high - low, likely[:, 4:5]], 1).astype(np.float32)
    chosen = cv2.dnn.NMSBoxes(found[:, :4].tolist(), found[:, 4].tolist(), LEAST, overlap)
    return found[np.asarray(chosen, int)[:MOST]] if len(chosen) else found[:0]
