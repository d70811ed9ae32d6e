"""FastAPI + uvicorn (uvloop, httptools) around the champion's Keras network, called the fastest way: traced by tf.function."""

import io
import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from fastapi import FastAPI, UploadFile
from PIL import Image

from benchmarks.peers.onnx_fastapi import ranked
from pipelines.families.digits.picture import Convention


def application() -> FastAPI:
    """POST /predict, multipart field `image`."""
    logits, convention, app = keras.saving.load_model(os.environ["PEER_NETWORK"]), Convention(), FastAPI()
    model = tf.function(keras.Model(logits.input, keras.layers.Softmax()(logits.output)))

    @app.post("/predict")
    async def predict(image: UploadFile) -> Any:
        grey = np.asarray(Image.open(io.BytesIO(await image.read())).convert("L"))
        pixels = convention.from_grey(grey)[None, ..., None].astype(np.float32) / convention.scale
        return ranked(model(tf.constant(pixels), training=False).numpy()[0])

    return app
