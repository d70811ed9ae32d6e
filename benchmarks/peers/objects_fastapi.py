"""FastAPI + uvicorn (uvloop, httptools) around the champion of objects, in PyTorch or ONNX Runtime, with the same preprocessing as ours."""

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


def with_torch(threads: int = 1) -> FastAPI:
    """Around the network that was trained."""
    exported = Predictor(Path(os.environ["PEER_MODEL"]))
    return application(in_torch(exported, Path(os.environ["PEER_NETWORK"]), threads), exported)


def with_torch_on_all_cores() -> FastAPI:
    """The same, each answer shared out among the cores."""
    return with_torch(devices.cores())


def with_onnx() -> FastAPI:
    """Around the file that is served."""
    exported = Predictor(Path(os.environ["PEER_MODEL"]))
    return application(exported.predict, exported)


def application(predict: Answer, model: Predictor) -> FastAPI:
    """POST /predict, multipart field `image`."""
    app, convention, labels = FastAPI(), model.convention, model.labels

    @app.post("/predict")
    def predicted(image: UploadFile) -> Any:  # in FastAPI's thread pool: what computes must not hold its event loop
        rgb = np.asarray(Image.open(io.BytesIO(image.file.read())).convert("RGB"))
        return ranked(predict(convention.from_rgb(rgb)[None])[0], labels)

    return app


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
