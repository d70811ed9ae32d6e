"""The correction of a class, stored in class folders, train/<class>/<hash>."""

from pathlib import Path

from serving.feedback import routes as feedback_routes
from serving.feedback.store import Picture
from serving.live.champion import Served

CORRECTION = {"description": "the class that the picture really shows; GET /flag lists them"}


def choices(served: Served) -> list[str]:
    """The classes of the model."""
    return [str(label) for label in served.predictor.labels]


def read(word: str, _: Picture, served: Served) -> str:
    """The class. Raises Refusal 422."""
    return feedback_routes.chosen(word, choices(served))


def files(picture: Picture, label: str, _: Path) -> dict[str, bytes]:
    """In the folder of its class."""
    return {f"train/{label}/{picture.name}": picture.content}
