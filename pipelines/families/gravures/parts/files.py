"""Picture files of people: decoded and brought, or named where they cannot be."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from pipelines.datasets import archives, pictures
from pipelines.families.gravures.examples import CONVENTION
from pipelines.families.gravures.picture import Blank

WORKING_SIDE = 1024  # pixels: larger pictures are reduced while they are decoded


class BrokenPictures(ValueError):
    """Files that are no whole pictures, or have nothing on them, by name."""


def brought(files: Iterable[tuple[str, bytes]]) -> NDArray[np.uint8]:
    """Files (name, content) as pictures [n, 64, 64]. Raises BrokenPictures, naming all that are broken or blank."""
    found, broken = list[NDArray[np.uint8]](), dict[str, str]()
    for name, content in files:
        try:
            found.append(_one(content))
        except Exception as error:  # decoders raise what they like on broken bytes
            broken[name] = "blank" if isinstance(error, Blank) else pictures.fault(error)
    if broken:
        raise BrokenPictures(f"{len(broken)} files are broken or blank: {listed(broken)}. Replace them, or take them out.")
    return np.stack(found) if found else np.empty((0, CONVENTION.side, CONVENTION.side), np.uint8)


def _one(content: bytes) -> NDArray[np.uint8]:
    return CONVENTION.from_grey(pictures.decoded(pictures.opened(content), "L", WORKING_SIDE))


def listed(reasons: dict[str, str]) -> str:
    """Names with their reasons, the first twenty."""
    return archives.listed(f"{name} ({reason})" for name, reason in reasons.items())
