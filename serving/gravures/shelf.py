"""What stands beside the model: the catalogue in SQL, the lenses that bear each engraving, kept at hand for a while, and its pictures."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from pipelines.databases import NoDatabase
from serving.gravures import catalogue
from serving.gravures.catalogue import Catalogue
from serving.gravures.shown import Pictures
from serving.problems import Refusal

Result = TypeVar("Result")
LENSES = 20  # of an engraving, in an answer
FRESH = 30.0  # seconds: a lens that somebody has changed in the database is told by then
TOLD = ("verre_id", "name", "index_code", "index")


class Bearing(NamedTuple):
    """The first lenses that bear an engraving, and how many do; until when this is told."""

    lenses: list[dict[str, Any]]
    total: int
    until: float


class Shelf:
    """Opens the database, and migrates it. Raises NoDatabase where it is away."""

    def __init__(self) -> None:
        self.catalogue, self.pictures = Catalogue(catalogue.url()), Pictures()
        self._bearing: dict[str, Bearing] = {}

    def bring(self, predictor: Any) -> None:
        """The catalogue that a model was trained with, into the database."""
        self.catalogue.bring(predictor.catalogue)
        self._bearing.clear()

    async def bearing(self, engravings: Iterable[str]) -> dict[str, Bearing]:
        """The lenses of each engraving; the database is asked where they are not at hand. Raises Refusal 503."""
        found = {name: self._bearing.get(name) for name in engravings}
        now = time.monotonic()
        if missing := [name for name, known in found.items() if known is None or known.until < now]:
            found |= await looked(self._looked, missing)
        return found  # type: ignore[return-value]

    def _looked(self, engravings: list[str]) -> dict[str, Bearing]:
        found = {name: _told(self.catalogue.bearing(name)) for name in engravings}
        self._bearing |= found
        return found


def _told(lenses: list[dict[str, Any]]) -> Bearing:
    return Bearing([{key: lens[key] for key in TOLD} for lens in lenses[:LENSES]], len(lenses), time.monotonic() + FRESH)


async def looked(work: Callable[..., Result], *words: Any) -> Result:
    """work(*words) in a thread: a database may take its time. Raises Refusal 503 where it is away."""
    try:
        return await asyncio.to_thread(work, *words)
    except NoDatabase as away:
        raise Refusal(503, "no database", str(away)) from away
