"""A wrong digit: the right one, kept in class folders, train/<digit>/<hash>."""

from pathlib import Path

from pipelines.families.digits.picture import Blank
from serving.feedback import routes as feedback_routes
from serving.feedback.store import Picture
from serving.live.champion import Served
from serving.problems import Refusal

CORRECTION = {"description": "the digit, 0 to 9 that the picture really shows; GET /flag lists them"}


def choices(served: Served) -> list[str]:
    """The ten digits."""
    return [str(label) for label in served.predictor.labels]


def read(word: str, picture: Picture, served: Served) -> str:
    """The digit. Raises Refusal 422, also of a picture with nothing on it."""
    try:
        served.predictor.convention.from_grey(picture.grey)
    except Blank as blank:
        raise Refusal(422, "blank", str(blank)) from blank
    return feedback_routes.chosen(word, choices(served))


def files(picture: Picture, digit: str, _: Path) -> dict[str, bytes]:
    """In the folder of its digit."""
    return {f"train/{digit}/{picture.name}": picture.content}
