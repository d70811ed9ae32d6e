"""A wrong engraving: the right one, kept among its drawings, drawn/<class>/<hash>."""

from pathlib import Path

from pipelines.families.gravures.parts.index import KINDS
from pipelines.families.gravures.picture import Blank
from serving.feedback import routes as feedback_routes
from serving.feedback.store import Picture
from serving.live.champion import Served
from serving.problems import Refusal

CORRECTION = {"description": "the class of the engraving that the picture really shows; GET /flag lists them"}


def choices(served: Served) -> list[str]:
    """The classes that the model was trained with: an engraving that was added, or stands in the catalogue, has not drawings enough."""
    return sorted({entry.engraving for entry in served.predictor.space.entries if KINDS[entry.kind] == "class"})


def read(word: str, picture: Picture, served: Served) -> str:
    """The class. Raises Refusal 422, also of a picture with nothing on it."""
    try:
        served.predictor.convention.from_grey(picture.grey)
    except Blank as blank:
        raise Refusal(422, "blank", str(blank)) from blank
    return feedback_routes.chosen(word, choices(served))


def files(picture: Picture, label: str, _: Path) -> dict[str, bytes]:
    """Among the drawings of its class."""
    return {f"drawn/{label}/{picture.name}": picture.content}
