"""What is served: NumPy and ONNX Runtime, no training framework. Normalisation and mirroring are in the exported graph."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pipelines import devices
from pipelines.families.objects.picture import Convention
from pipelines.models import manifests


def session(path: Path) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on all cores, a batch at a time; a thread with nothing to do leaves its core to others."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = devices.cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class Predictor:
    """A model folder that answers."""

    def __init__(self, folder: Path) -> None:
        self.manifest = manifests.verified(folder)
        self.labels: list[str] = self.manifest["output"]["labels"]
        self.convention = Convention(**self.manifest["preprocessing"])
        self._session = session(manifests.file(folder, self.manifest, "model"))
        self._input = self._session.get_inputs()[0].name

    def warm(self) -> None:
        """Answer once, so that the first real request finds everything loaded."""
        self.predict(np.zeros((1, self.convention.side, self.convention.side, 3), np.uint8))

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures [n, 32, 32, 3] of 0 to 255 -> probabilities [n, classes]."""
        probabilities: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        return probabilities
