"""BentoML as its documentation shows it: a class, `@bentoml.api`, a picture in; around the champion's ONNX file."""

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from PIL.Image import Image

from benchmarks.peers.onnx_fastapi import ranked
from pipelines.families.digits.predict import Predictor


@bentoml.service(http={"host": "127.0.0.1"})
class Stock:
    """POST /predict, multipart field `image`."""

    def __init__(self) -> None:
        self.predictor = Predictor(Path(os.environ["PEER_MODEL"]))

    @bentoml.api
    async def predict(self, image: Image) -> dict[str, Any]:
        """Rank the ten digits."""
        grey = self.predictor.convention.from_grey(np.asarray(image.convert("L")))
        return ranked(self.predictor.predict(grey[None])[0])
