"""The correction of an engraving: the right class, stored as drawn/<class>/<hash>."""

from pathlib import Path

from pipelines.families.gravures.parts.index import KINDS
from serving.feedback import routes as feedback_routes
from serving.feedback.store import Picture
from serving.gravures import answers
from serving.inputs import pictures
from serving.live.champion import Served

CORRECTION = {"description": "the class of the engraving that the picture really shows; GET /flag lists them"}


def choices(served: Served) -> list[str]:
    """The classes that the model was trained on; added engravings and those of the catalogue have too few drawings."""
    return sorted({entry.engraving for entry in served.predictor.space.entries if KINDS[entry.kind] == "class"})


def read(word: str, picture: Picture, served: Served) -> str:
    """The class. Raises Refusal 422, also for a blank image."""
    answers.normalised(pictures.inked(picture.opened), served)
    return feedback_routes.chosen(word, choices(served))


def files(picture: Picture, label: str, _: Path) -> dict[str, bytes]:
    """Among the drawings of its class."""
    return {f"drawn/{label}/{picture.name}": picture.content}
