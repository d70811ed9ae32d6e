"""The served reader: NumPy and ONNX Runtime, no training framework."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts.ctc import Ctc, Reading
from pipelines.families.ocr.parts.generation import Generator
from pipelines.families.ocr.picture import Convention
from pipelines.models import manifests
from pipelines.models.manifests import Manifest


def runtime(folder: Path, manifest: Manifest) -> Ctc | Generator:
    """The runtime of a model folder, by the roles of its files."""
    roles = {entry["role"] for entry in manifest["files"].values()}
    return Generator(folder, manifest) if "decoder" in roles else Ctc(folder, manifest)


class Predictor:
    """A model folder that reads lines."""

    def __init__(self, folder: Path) -> None:
        self.manifest = manifests.verified(folder)
        self.convention = Convention(**self.manifest["preprocessing"])
        self._runtime = runtime(folder, self.manifest)

    def predict(self, batch: NDArray[np.uint8]) -> list[Reading]:
        """Readings of lines [n, height, W], preprocessed by Convention.from_grey; lines of another size are preprocessed first."""
        height, width = batch.shape[1:]
        fits = height == self.convention.height and (width == self.convention.widest or not self.convention.stretched)
        return self._runtime.read(batch if fits else np.stack([self.convention.from_grey(line) for line in batch]))
