"""FastAPI + uvicorn (uvloop, httptools) around the champion's Keras network, called the fast way: model(x), not model.predict."""

import io
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from fastapi import FastAPI, UploadFile
from PIL import Image

from benchmarks.peers.onnx_fastapi import ranked
from pipelines.families.digits.picture import Convention


def application() -> FastAPI:
    """POST /predict, multipart field `image`."""
    logits, convention, app = keras.saving.load_model(Path(os.environ["PEER_MODEL"], "native/model.keras")), Convention(), FastAPI()
    model = keras.Model(logits.input, keras.layers.Softmax()(logits.output))

    @app.post("/predict")
    async def predict(image: UploadFile) -> Any:
        grey = np.asarray(Image.open(io.BytesIO(await image.read())).convert("L"))
        pixels = convention.from_grey(grey)[None, ..., None].astype(np.float32) / convention.scale
        return ranked(np.asarray(model(pixels, training=False))[0])

    return app
