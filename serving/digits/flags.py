"""The correction of a digit, stored in class folders, train/<digit>/<hash>."""

from pathlib import Path

from serving.digits import answers
from serving.feedback import routes as feedback_routes
from serving.feedback.store import Picture
from serving.inputs import pictures
from serving.live.champion import Served

CORRECTION = {"description": "the digit, 0 to 9 that the picture really shows; GET /flag lists them"}


def choices(served: Served) -> list[str]:
    """The ten digits."""
    return [str(label) for label in served.predictor.labels]


def read(word: str, picture: Picture, served: Served) -> str:
    """The digit. Raises Refusal 422, also for a blank image."""
    answers.normalised(pictures.inked(picture.opened), served)
    return feedback_routes.chosen(word, choices(served))


def files(picture: Picture, digit: str, _: Path) -> dict[str, bytes]:
    """In the folder of its digit."""
    return {f"train/{digit}/{picture.name}": picture.content}
