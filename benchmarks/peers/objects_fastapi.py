"""FastAPI + uvicorn (uvloop, httptools) around the champion of objects, in PyTorch or ONNX Runtime, with the same preprocessing as ours.

A handler in FastAPI's thread pool answers several at once and leaves the event loop alone; one on the loop answers more requests a second
where each takes all cores, and lets others wait long. Both are measured.
"""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import FastAPI, UploadFile
from numpy.typing import NDArray
from PIL import Image

from pipelines import devices
from pipelines.families.objects.predict import Predictor
from pipelines.families.objects.settings import Model

TOP = 3  # classes in an answer
Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]  # a picture [1, 32, 32, 3] -> probabilities [1, classes]


def torch_in_threads() -> FastAPI:
    """Around the network that was trained: several pictures at once, a core for each."""
    return pooled(*_torch(1))


def torch_on_the_loop() -> FastAPI:
    """The same, one picture after another, each on all cores."""
    return looped(*_torch(devices.cores()))


def onnx_in_threads() -> FastAPI:
    """Around the file that is served, on all cores."""
    return pooled(*_onnx())


def onnx_on_the_loop() -> FastAPI:
    """The same, one picture after another."""
    return looped(*_onnx())


def _torch(threads: int) -> tuple[Answer, Predictor]:
    exported = Predictor(Path(os.environ["PEER_MODEL"]))
    return in_torch(exported, Path(os.environ["PEER_NETWORK"]), threads), exported


def _onnx() -> tuple[Answer, Predictor]:
    exported = Predictor(Path(os.environ["PEER_MODEL"]))
    return exported.predict, exported


def pooled(predict: Answer, model: Predictor) -> FastAPI:
    """POST /predict, multipart field `image`, answered in FastAPI's thread pool."""
    app = FastAPI()

    @app.post("/predict")
    def predicted(image: UploadFile) -> Any:
        return answered(image.file.read(), predict, model)

    return app


def looped(predict: Answer, model: Predictor) -> FastAPI:
    """The same, answered on the event loop."""
    app = FastAPI()

    @app.post("/predict")
    async def predicted(image: UploadFile) -> Any:
        return answered(await image.read(), predict, model)

    return app


def answered(content: bytes, predict: Answer, model: Predictor) -> dict[str, Any]:
    """A picture's three likeliest classes."""
    rgb = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return ranked(predict(model.convention.from_rgb(rgb)[None])[0], model.labels)


def ranked(probabilities: NDArray[np.float32], labels: list[str]) -> dict[str, Any]:
    """The three likeliest classes."""
    top = [{"class": labels[index], "confidence": float(probabilities[index])} for index in np.argsort(-probabilities)[:TOP]]
    return {"prediction": top[0]["class"], "confidence": top[0]["confidence"], "top3_predictions": top}


def in_torch(exported: Predictor, weights: Path, threads: int) -> Answer:
    """The same network in PyTorch: channels last, a picture and its mirror image as one batch: the fastest eager way."""
    import torch
    from safetensors.torch import load_file

    from pipelines.families.objects import model

    torch.set_num_threads(threads)
    recipe = exported.manifest["config"]
    network = model.build(Model.model_construct(**recipe["model"] | {"weights": "none"}), len(exported.labels), [0.0] * 3, [1.0] * 3).eval()
    network.load_state_dict(load_file(weights))  # the data's mean and deviation are in it
    network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def logits(pictures: NDArray[np.uint8]) -> torch.Tensor:
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
        return network(torch.cat([images, images.flip(3)])).mean(0, keepdim=True) if recipe["fit"]["mirrored"] else network(images)

    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    sharpness = tempered(logits(grey).numpy(), exported.predict(grey))
    return lambda pictures: (logits(pictures) * sharpness).softmax(1).numpy()


def tempered(logits: NDArray[np.float32], probabilities: NDArray[np.float32]) -> float:
    """What the exported file multiplies logits by before its softmax: only there it stands."""
    return float(np.log(probabilities).std() / logits.std())
