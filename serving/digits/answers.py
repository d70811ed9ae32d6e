"""What digits takes and answers."""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from pipelines.configs import Serving
from pipelines.families.digits.picture import Blank, Convention
from serving.inputs import bodies, pictures
from serving.live.champion import Origin, Served, provenance, provenance_lines
from serving.problems import Refusal

SIDE = Convention().side
Number = Annotated[float, Field(ge=0, le=Convention().scale, allow_inf_nan=False)]
Row = Annotated[list[Number], Field(min_length=SIDE, max_length=SIDE)]


class Pixels(BaseModel):
    """28 rows of 28 numbers in the MNIST convention, light ink on black: 0 to 255, or 0 to 1 when none is above 1."""

    model_config = ConfigDict(extra="forbid", strict=True)
    image: Annotated[list[Row], Field(min_length=SIDE, max_length=SIDE)]

    def grey(self) -> NDArray[np.uint8]:
        """[28, 28] of 0 to 255."""
        values = np.array(self.image)
        return np.rint(values * (Convention().scale if values.max() <= 1 else 1)).astype(np.uint8)


class Rank(BaseModel):
    """A digit and its probability."""

    digit: int
    confidence: float


class Answer(BaseModel):
    """The most probable digit, all ten by probability, and the model that answered."""

    prediction: int
    confidence: float
    ranking: list[Rank]
    prediction_id: str
    model: Origin


def read(body: bodies.Body, served: Served, limits: Serving) -> NDArray[np.uint8]:
    """Numbers as they are, an image normalised: [28, 28]. Raises Refusal."""
    if body.json:
        return inked(bodies.parsed(body.content, Pixels).grey(), served)
    return normalised(pictures.inked(pictures.opened(body.content, limits.limit_megapixels)), served)


def inked(image: NDArray[np.uint8], served: Served) -> NDArray[np.uint8]:
    """Numbers [28, 28] as they are. Raises Refusal 422 where they are blank."""
    if np.ptp(image) < served.predictor.convention.contrast:
        raise Refusal(422, "blank", f"The 28 x 28 numbers are blank: from {image.min()} to {image.max()} of 255. Send a digit.")
    return image


def normalised(grey: NDArray[np.uint8], served: Served) -> NDArray[np.uint8]:
    """A grey image [height, width] as the model takes it. Raises Refusal 422 where it is blank."""
    try:
        image: NDArray[np.uint8] = served.predictor.convention.from_grey(grey)
    except Blank as blank:
        raise Refusal(422, "blank", str(blank)) from blank
    return image


async def predict(body: bodies.Body, served: Served, limits: Serving) -> dict[str, Any]:
    """The answer for one body. Raises Refusal."""
    return answer(await served.batches.answer(await bodies.process(read, body, served, limits)), served)


def answer(probabilities: NDArray[np.float32], served: Served) -> dict[str, Any]:
    """Rank the ten digits by their probabilities [10]."""
    ranking = [{"digit": served.predictor.labels[index], "confidence": float(probabilities[index])} for index in np.argsort(-probabilities)]
    return {"prediction": ranking[0]["digit"], "confidence": ranking[0]["confidence"], "ranking": ranking, **provenance(served)}


def agrees(answer: dict[str, Any], other: dict[str, Any]) -> bool:
    """Do two models predict the same digit?"""
    return bool(answer["prediction"] == other["prediction"])


def confidence(answer: dict[str, Any]) -> float | None:
    """The confidence of the prediction."""
    return float(answer["confidence"])


def result(answer: dict[str, Any]) -> str:
    """The digit. `make batch` counts answers by it."""
    return str(answer["prediction"])


def as_text(answer: dict[str, Any]) -> str:
    """An answer as text: the ranking as bars, and the model."""
    rows = [f"  {rank['digit']}  {rank['confidence']:7.2%}  {'█' * round(rank['confidence'] * 40)}" for rank in answer["ranking"]]
    return "\n".join([f"It is a {answer['prediction']}.", *rows, *provenance_lines(answer)])
