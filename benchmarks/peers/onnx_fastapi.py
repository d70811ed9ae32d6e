"""FastAPI + uvicorn (uvloop, httptools) around the champion's ONNX file, with the same preprocessing as ours."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, UploadFile
from PIL import Image

from pipelines.families.digits.predict import Predictor


def application() -> FastAPI:
    """POST /predict, multipart field `image`."""
    predictor, app = Predictor(Path(os.environ["PEER_MODEL"])), FastAPI()

    @app.post("/predict")
    async def predict(image: UploadFile) -> Any:
        grey = np.asarray(Image.open(io.BytesIO(await image.read())).convert("L"))
        return ranked(predictor.predict(predictor.convention.from_grey(grey)[None])[0])

    return app


def ranked(probabilities: Any) -> dict[str, Any]:
    """The ten digits by likelihood."""
    ranking = [{"digit": int(digit), "confidence": float(probabilities[digit])} for digit in np.argsort(-probabilities)]
    return {"prediction": ranking[0]["digit"], "confidence": ranking[0]["confidence"], "ranking": ranking}
