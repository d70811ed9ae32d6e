"""What is served: NumPy and ONNX Runtime, no training framework. Normalisation and mirroring are in the exported graph."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.families.objects.picture import Convention
from pipelines.models import inference, manifests


class Predictor:
    """A loaded model folder."""

    def __init__(self, folder: Path) -> None:
        self.manifest = manifests.verified(folder)
        self.labels: list[str] = self.manifest["output"]["labels"]
        self.convention = Convention(**self.manifest["preprocessing"])
        self._session = inference.session(manifests.file(folder, self.manifest, "model"))
        self._input = self._session.get_inputs()[0].name

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Images [n, 32, 32, 3] of 0 to 255 -> probabilities [n, classes]."""
        probabilities: NDArray[np.float32] = self._session.run(None, {self._input: batch})[0]
        return probabilities
