"""What is served: NumPy and ONNX Runtime, no training framework."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.parts.ctc import Ctc
from pipelines.families.ocr.parts.generation import Generator
from pipelines.families.ocr.parts.readings import Reading
from pipelines.families.ocr.picture import Convention
from pipelines.models import manifests
from pipelines.models.manifests import Manifest


def runtime(folder: Path, manifest: Manifest) -> Ctc | Generator:
    """What reads the files of a model folder, by their roles."""
    roles = {entry["role"] for entry in manifest["files"].values()}
    return Generator(folder, manifest) if "decoder" in roles else Ctc(folder, manifest)


class Predictor:
    """A model folder that reads lines."""

    def __init__(self, folder: Path) -> None:
        self.manifest = manifests.verified(folder)
        self.convention = Convention(**self.manifest["preprocessing"])
        self._runtime = runtime(folder, self.manifest)

    def predict(self, batch: NDArray[np.uint8]) -> list[Reading]:
        """Lines [n, height, W] as Convention.from_grey brings them -> what each says. Lines of another size are brought first."""
        return self._runtime.read(batch if self._fits(batch) else np.stack([self.convention.from_grey(line) for line in batch]))

    def _fits(self, batch: NDArray[np.uint8]) -> bool:
        height, width = batch.shape[1:]
        return height == self.convention.height and (width == self.convention.widest or not self.convention.stretched)
