"""What is served: NumPy and ONNX Runtime, no training framework."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.families.digits.picture import Convention
from pipelines.models import inference, manifests

THREADS = 1  # the network is too small to share out


class Predictor:
    """A loaded model folder."""

    def __init__(self, folder: Path) -> None:
        self.manifest = manifests.verified(folder)
        self.labels: list[int] = self.manifest["output"]["labels"]
        self.convention = Convention(**self.manifest["preprocessing"])
        self._session = inference.session(manifests.file(folder, self.manifest, "model"), THREADS)
        self._input = self._session.get_inputs()[0].name

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images [n, 28, 28] of 0 to 255 in the MNIST convention -> probabilities [n, 10]."""
        pixels = batch[..., None].astype(np.float32) / self.convention.scale
        probabilities: NDArray[np.float32] = self._session.run(None, {self._input: pixels})[0]
        return probabilities
