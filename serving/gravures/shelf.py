"""What stands beside a model: its catalogue in SQL, the lenses that bear each engraving, kept at hand for a while, and its pictures."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from pipelines.databases import NoDatabase
from serving.gravures import catalogue
from serving.gravures.catalogue import Catalogue, Catalogues, NotBrought
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
    """Opens the database, and migrates it. Raises NoDatabase where it is away. Each model is answered of its own catalogue."""

    def __init__(self) -> None:
        self.catalogues, self.pictures = Catalogues(catalogue.url()), Pictures()
        self._bearing: dict[tuple[str, str], Bearing] = {}  # by catalogue and engraving

    def bring(self, predictor: Any) -> None:
        """The catalogue that a model was trained with, into the database."""
        self.catalogues.bring(_sha256(predictor), predictor.catalogue)
        now = time.monotonic()
        self._bearing = {key: known for key, known in self._bearing.copy().items() if known.until > now}

    async def asked(self, predictor: Any, work: Callable[..., Result], *words: Any) -> Result:
        """work(the model's catalogue, *words), in a thread: a database may take its time. Raises Refusal 503 where it is away."""
        try:
            return await asyncio.to_thread(self._asked, predictor, work, *words)
        except NoDatabase as away:
            raise Refusal(503, "no database", str(away)) from away

    def _asked(self, predictor: Any, work: Callable[..., Result], *words: Any) -> Result:
        own = self.catalogues.of(_sha256(predictor))
        try:
            return work(own, *words)
        except NotBrought:  # others have been brought, and this one is still served
            self.bring(predictor)
            return work(own, *words)

    async def bearing(self, predictor: Any, engravings: Iterable[str]) -> dict[str, Bearing]:
        """The lenses of each engraving; the database is asked where they are not at hand. Raises Refusal 503."""
        of, memory, now = _sha256(predictor), self._bearing, time.monotonic()
        found = {name: memory.get((of, name)) for name in engravings}
        if missing := [name for name, known in found.items() if known is None or known.until < now]:
            told = await self.asked(predictor, _borne, missing)
            memory |= {(of, name): bearing for name, bearing in told.items()}
            found |= told
        return found  # type: ignore[return-value]


def _sha256(predictor: Any) -> str:
    """Of the catalogue that a model serves."""
    return str(next(entry["sha256"] for entry in predictor.manifest["files"].values() if entry["role"] == "catalogue"))


def _borne(own: Catalogue, engravings: list[str]) -> dict[str, Bearing]:
    return {name: _told(own.bearing(name)) for name in engravings}


def _told(lenses: list[dict[str, Any]]) -> Bearing:
    return Bearing([{key: lens[key] for key in TOLD} for lens in lenses[:LENSES]], len(lenses), time.monotonic() + FRESH)
