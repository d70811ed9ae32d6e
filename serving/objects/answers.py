"""What objects takes and answers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pipelines.configs import Serving
from serving.inputs import bodies, pictures
from serving.inputs.bodies import Body
from serving.live.champion import Origin, Served, provenance, provenance_lines
from serving.many import Failure

TOP = 3  # classes in an answer


class Rank(BaseModel):
    """A class and its probability."""

    label: str = Field(alias="class")
    confidence: float


class Answer(BaseModel):
    """The most probable class, the three most probable, and the model that answered."""

    success: bool
    prediction: str
    confidence: float
    top3_predictions: list[Rank]
    prediction_id: str
    model: Origin


class Answers(BaseModel):
    """An answer or a problem for each image, in order, all from one model."""

    results: list[Answer | Failure]
    model: Origin


def read(body: Body, served: Served, limits: Serving) -> NDArray[np.uint8]:
    """An image normalised to [32, 32, 3]. Raises Refusal."""
    rgb = pictures.colour(pictures.opened(body.content, limits.limit_megapixels))
    image: NDArray[np.uint8] = served.predictor.convention.from_rgb(rgb)
    return image


async def predict(body: Body, served: Served, limits: Serving) -> dict[str, Any]:
    """The answer for one body. Raises Refusal."""
    return answer(await served.batches.answer(await bodies.process(read, body, served, limits)), served)


def answer(probabilities: NDArray[np.float32], served: Served) -> dict[str, Any]:
    """Rank the classes by their probabilities [n]."""
    names = served.predictor.labels
    top = [{"class": names[index], "confidence": float(probabilities[index])} for index in np.argsort(-probabilities)[:TOP]]
    return {
        "success": True,
        "prediction": top[0]["class"],
        "confidence": top[0]["confidence"],
        "top3_predictions": top,
        **provenance(served),
    }


def agrees(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Do two models predict the same class?"""
    return bool(answer["prediction"] == other["prediction"])


def confidence(answer: dict[str, Any]) -> float | None:
    """The confidence of the prediction."""
    return float(answer["confidence"])


def result(answer: dict[str, Any]) -> str:
    """The class. `make batch` counts answers by it."""
    return str(answer["prediction"])


def as_text(answer: dict[str, Any]) -> str:
    """An answer as text: the ranking as bars, and the model."""
    rows = [
        f"  {rank['class']:12} {rank['confidence']:7.2%}  {'█' * round(rank['confidence'] * 40)}" for rank in answer["top3_predictions"]
    ]
    return "\n".join([f"It is: {answer['prediction']}.", *rows, *provenance_lines(answer)])
