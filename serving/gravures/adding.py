"""`make gravures-add`, `make gravures-remove`: an engraving from one image, without training."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.datasets import pictures
from pipelines.families.gravures.parts import additions
from pipelines.families.gravures.picture import Blank
from pipelines.families.gravures.predict import Predictor
from pipelines.registry import reconcile, store
from serving.inputs import pictures as inputs

FAMILY = "gravures"
NEAREST = 3  # engravings that are reported


class NoPicture(ValueError):
    """A file that is missing, no image, or blank."""


def add(name: str, image: Path) -> str:
    """Add an engraving by an image, and report the nearest ones. Raises NoPicture, NoChampion or as additions.add()."""
    additions.checked(name)
    grey = decoded(image)
    predictor = Predictor(champion())
    try:
        picture = predictor.convention.from_grey(grey)
    except Blank as blank:
        raise NoPicture(f"{image}: {blank}") from None
    nearest = predictor.nearest(predictor.predict(picture[None])[0], NEAREST)
    added = additions.add(name, picture, {entry.engraving for entry in predictor.space.entries})
    rows = [f"  {match.similarity:.2f}  {match.engraving} ({match.kind})" for match in nearest]
    return "\n".join([f"{added} is added; running services find it from now on. The nearest to it:", *rows])


def remove(name: str) -> str:
    """Remove an added engraving."""
    additions.remove(name)
    return f"{name} is removed."


def decoded(image: Path) -> NDArray[np.uint8]:
    """The ink of an image file on even paper [height, width]. Raises NoPicture."""
    if not image.is_file():
        raise NoPicture(f"{image} is not a file. Name an image: make gravures-add name=star image=star.png")
    try:
        with Image.open(image, formats=pictures.FORMATS) as picture:
            return inputs.inked(picture)
    except Exception as error:  # decoders raise all kinds of errors on broken bytes
        raise NoPicture(f"{image} cannot be decoded ({error}). Allowed are {', '.join(pictures.FORMATS)}.") from error


def champion() -> Path:
    """The folder of the served version, fetched where this machine has not served yet. Raises NoChampion."""
    try:
        return store.location(store.read_pointer(FAMILY)["tag"])
    except (store.NoChampion, store.NotStored):
        reconcile.reconcile(FAMILY)
    return store.location(store.read_pointer(FAMILY)["tag"])
