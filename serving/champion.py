"""The model that is served: loaded, verified, warmed, and swapped when the pointer moves."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel

from pipelines import configs, families, ledger, stores
from serving import telemetry
from serving.batches import Batches

logger = logging.getLogger("atelier.serving")
INTERVAL = 1.0  # seconds between two looks at the pointer


class Origin(BaseModel):
    """Where an answer comes from. `make lineage of=<family>@v<version>` walks on from here."""

    family: str
    version: int
    digest: str
    data: str
    commit: str | None
    run_id: str


class Served(NamedTuple):
    """One loaded model; a request keeps the one it began with."""

    predictor: Any
    pointer: stores.Pointer
    batches: Batches


def settle(family: str) -> None:
    """Bring store and pointer up to date with the ledger. Where they are, MLflow is not loaded: it takes seconds. Raises NoChampion."""
    if _settled(families.known(family)):
        return stores.say_released(family)
    from pipelines import registry

    registry.reconcile(family)
    stores.pointed(family)


def _settled(family: str) -> bool:
    """Was the pointer written for the decision that stands, and does the store hold what it names, undamaged?"""
    stands = ledger.decision(ledger.read(family))
    try:
        pointer = stores.pointed(family)
    except stores.NoChampion:
        return False
    return pointer.get("decision", {}).get("hash") == (stands and stands["hash"]) and stores.holds(
        pointer["tag"], pointer["model"]["digest"]
    )


class Champion:
    """The champion of a family, followed live. Raises NoChampion or BrokenModel at the start, with the remedy.

    `beside(predictor)` does what a family needs done before a model stands, such as bringing what it serves into a database.
    """

    def __init__(self, family: str, beside: Callable[[Any], object] | None = None) -> None:
        self.family, self._beside = family, beside
        self._served = self._loaded()
        self._refused: stores.Pointer | None = None

    def follow(self) -> None:
        """Watch the pointer from a thread of its own, as long as the process lives."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.family}-pointer").start()

    @property
    def served(self) -> Served:
        return self._served

    def _loaded(self) -> Served:
        pointer = stores.pointed(self.family)
        predictor = families.part(self.family, "predict").Predictor(stores.location(pointer["tag"]))
        predictor.warm()
        if self._beside:
            self._beside(predictor)
        telemetry.VERSION.labels(self.family).set(pointer["model"]["version"])
        return Served(predictor, pointer, Batches(predictor.predict, configs.serving(self.family).batch, self.family))

    def _watch(self) -> None:
        while True:
            time.sleep(INTERVAL)
            self.look()

    def look(self) -> None:
        """Swap when the pointer has moved; a new model that does not load, or none, leaves the old one in place, and is logged once."""
        pointer = self._pointed()
        if pointer == self._served.pointer:
            self._refused = None
        if pointer in (self._served.pointer, self._refused):
            return
        try:
            self._served = self._loaded()
            logger.info("%s now serves version %s", self.family, self._served.pointer["model"]["version"])
        except Exception:
            self._refused = pointer
            standing = self._served.pointer["model"]["version"]
            logger.exception("%s keeps serving version %s: the new one does not load", self.family, standing)

    def _pointed(self) -> stores.Pointer:
        """The pointer, or an empty one where there is none."""
        try:
            return stores.pointed(self.family)
        except stores.NoChampion:
            return {}


def signature(served: Served) -> dict[str, Any]:
    """What every answer carries: a name of its own, and where it comes from."""
    return {"prediction_id": uuid.uuid4().hex, "model": served.pointer["model"]}


def traced(answer: dict[str, Any]) -> list[str]:
    """The same as a person reads it: lines that say where an answer comes from and how to walk on."""
    model = {key: str(value)[:12] for key, value in answer["model"].items()}
    origin = f"{model['family']} version {model['version']}, digest {model['digest']}, data {model['data']}, commit {model['commit']}"
    return [f"From {origin}.", f"Walk back to the data: make lineage of={model['family']}@v{model['version']}"]
