"""FastAPI + uvicorn (uvloop, httptools) around OpenCV on the Darknet files of the champion of signatures.

Pages are decoded in FastAPI's thread pool. A network of OpenCV answers one at a time, so a thread takes one that is free: either
there is one, on all cores, or one for each core. Both are measured.
"""

import os
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import cv2
import numpy as np
from fastapi import FastAPI, UploadFile

from benchmarks.peers.darknet import Answer, detector
from pipelines import devices


def one_network() -> FastAPI:
    """The network is on all cores."""
    return pooled(1)


def a_network_a_core() -> FastAPI:
    """Several pages at once, a core for each."""
    cv2.setNumThreads(1)
    return pooled(devices.cores())


def pooled(count: int) -> FastAPI:
    """POST /predict, multipart field `image`: boxes in pixels of the page that was sent."""
    app, free = FastAPI(), SimpleQueue[Answer]()
    for _ in range(count):
        free.put(detector(Path(os.environ["PEER_MODEL"])))

    @app.post("/predict")
    def predict(image: UploadFile) -> Any:
        page = cv2.imdecode(np.frombuffer(image.file.read(), np.uint8), cv2.IMREAD_COLOR)
        assert page is not None
        network = free.get()
        try:
            boxes = network(page)
        finally:
            free.put(network)
        height, width = page.shape[:2]
        pixels = boxes[:, :4] * (width, height, width, height)
        return {"prediction": pixels.round().astype(int).tolist(), "count": len(boxes), "scores": boxes[:, 4].tolist()}

    return app
