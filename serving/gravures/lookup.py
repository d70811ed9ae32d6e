"""The catalogue of each model in SQL, the lenses that bear each engraving, cached for a while, and the images of engravings."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from pipelines.databases import NoDatabase
from serving.gravures import catalogue
from serving.gravures.catalogue import Catalogue, Catalogues, NotStored
from serving.gravures.images import Pictures
from serving.pools import BoundedPool
from serving.problems import Refusal

Result = TypeVar("Result")
LENSES = 20  # of an engraving, in an answer
FRESH = 30.0  # seconds: how late a change in the database may show
POOL = BoundedPool(4, 256, "catalogue", "asking the catalogue")
KEYS = ("verre_id", "name", "index_code", "index")


class LensList(NamedTuple):
    """The first lenses that bear an engraving, their number, and until when this is valid."""

    lenses: list[dict[str, Any]]
    total: int
    until: float


class Lookup:
    """The catalogues and pictures that answers need; opens and migrates the database. Raises NoDatabase where it is away."""

    def __init__(self) -> None:
        self.catalogues, self.pictures = Catalogues(catalogue.url()), Pictures()
        self._cache: dict[tuple[str, str], LensList] = {}  # by catalogue and engraving

    def store(self, predictor: Any) -> None:
        """Store the catalogue of a model in the database."""
        self.catalogues.store(_sha256(predictor), predictor.catalogue)
        now = time.monotonic()
        self._cache = {key: known for key, known in self._cache.copy().items() if known.until > now}

    async def query(self, predictor: Any, work: Callable[..., Result], *words: Any) -> Result:
        """work(the catalogue of this model, *words), in a thread. Raises Refusal 503 where the database is away."""
        try:
            return await POOL.run(self._query, predictor, work, *words)
        except NoDatabase as away:
            raise Refusal(503, "no database", str(away)) from away

    def _query(self, predictor: Any, work: Callable[..., Result], *words: Any) -> Result:
        own = self.catalogues.of(_sha256(predictor))
        try:
            return work(own, *words)
        except NotStored:  # others have been stored since, and this one is still served
            self.store(predictor)
            return work(own, *words)

    async def lenses_with(self, predictor: Any, engravings: Sequence[str]) -> dict[str, LensList]:
        """The lenses of each engraving, from the cache or the database. Raises Refusal 503."""
        of, cache, now = _sha256(predictor), self._cache, time.monotonic()
        found = {name: known for name in engravings if (known := cache.get((of, name))) and known.until >= now}
        if missing := [name for name in engravings if name not in found]:
            queried = await self.query(predictor, _lenses_with, missing)
            cache |= {(of, name): lenses for name, lenses in queried.items()}
            found |= queried
        return found


def _sha256(predictor: Any) -> str:
    """The SHA-256 of the catalogue that a model serves."""
    return str(next(entry["sha256"] for entry in predictor.manifest["files"].values() if entry["role"] == "catalogue"))


def _lenses_with(own: Catalogue, engravings: list[str]) -> dict[str, LensList]:
    found = {name: own.lenses_with(name) for name in engravings}
    until = time.monotonic() + FRESH
    first = {name: [{key: lens[key] for key in KEYS} for lens in lenses[:LENSES]] for name, lenses in found.items()}
    return {name: LensList(first[name], len(lenses), until) for name, lenses in found.items()}
