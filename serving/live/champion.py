"""The model that is served: loaded and verified, held against its stored example, and swapped when the pointer moves."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from pipelines import configs, databases, discovery, phrases, predictions
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests, selfcheck, signing
from pipelines.registry import reconcile, store
from serving import telemetry
from serving.live import handover
from serving.live.batches import Batches

logger = logging.getLogger("atelier.serving")
INTERVAL = 0.2  # seconds between two looks at the pointer
SOON, LATER = 0.5, 30.0  # seconds after which a version that was refused is tried again: at first, then twice as long each time, at most
Stamp = tuple[int, int, int] | None  # inode, bytes, nanoseconds
REASONS: dict[type[Exception], str] = {
    store.NoChampion: "no pointer that can be followed",
    store.NotStored: "not in the store",
    manifests.BrokenModel: "incomplete or altered",
    signing.Unsigned: "not signed",
    signing.BadSignature: "signed otherwise",
    selfcheck.NotAsExpected: "answers its example otherwise",
    databases.NoDatabase: "database away",
    handover.Crashed: "ends the process",
}


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
    pointer: store.Pointer
    batches: Batches


class FailedLoad(NamedTuple):
    """A version that the pointer names, and that does not serve: the fault in a word or two and in whole words, its files when it was
    tried, when that was (monotonic), and for how many seconds it is left alone.
    """

    pointer: store.Pointer
    reason: str
    why: str
    files: list[Stamp]
    tried: float
    pause: float


def settle(family: str) -> None:
    """Bring store and pointer up to date with the ledger. Where they are, MLflow is not loaded: it takes seconds. Raises NoChampion."""
    if _settled(discovery.validate(family)):
        return store.print_if_released(family)
    reconcile.reconcile(family)
    store.read_pointer(family)


def _settled(family: str) -> bool:
    """Do the pointers follow the ledger, and does the store hold what the champion's names, undamaged, with its example?"""
    lines = ledger.read(family)
    stands = ledger.decision(lines)
    try:
        pointer, challenger = store.read_pointer(family), store.challenger(family) or {}
    except store.NoChampion:
        return False
    challenged = challenger.get("challenge") == ledger.challenger(lines)
    follows = challenged and pointer.get("decision", {}).get("hash") == (stands and stands["hash"])
    return follows and store.holds(pointer["tag"], pointer["model"]["digest"]) and store.has_example(pointer["tag"])


class Champion:
    """The champion of a family, followed live. Raises at the start what stands in the way of it, with the remedy (see `loaded`).

    `beside(predictor)` does what a family needs done before a model stands, such as bringing what it serves into a database.
    """

    def __init__(self, family: str, beside: Callable[[Any], object] | None = None) -> None:
        self.family, self._beside = family, beside
        self._refused: FailedLoad | None = None
        self._read: tuple[Stamp, store.Pointer] = None, {}
        self._served = self._first()

    def follow(self) -> None:
        """Watch the pointer from a thread of its own, as long as the process lives."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.family}-pointer").start()

    @property
    def served(self) -> Served:
        return self._served

    @property
    def refused(self) -> dict[str, Any] | None:
        """The version that the pointer names and that does not serve: {"version", "reason": a word or two for everybody, "why": the whole
        words, in which a server's name may stand}; None where it serves.
        """
        if (refused := self._refused) is None:
            return None
        return {"version": refused.pointer.get("model", {}).get("version"), "reason": refused.reason, "why": refused.why}

    def _first(self) -> Served:
        """What the pointer names; a worker that begins anew beside others takes what they serve where that is refused."""
        try:
            return self._tried(self._pointed())
        except Exception as fault:
            if (stands := handover.read()) is None:
                raise
            self._served = self._loaded(stands)
            self._refuse(self._read[1], fault)
            return self._served

    def _watch(self) -> None:
        """Whatever goes wrong with one look, the next one comes."""
        while True:
            time.sleep(INTERVAL)
            try:
                self.look()
            except Exception as fault:
                with suppress(Exception):
                    self._refuse({}, fault)
            telemetry.REFUSED.labels(self.family).set(self._refused is not None)

    def look(self) -> None:
        """Swap when the pointer has moved. A version that does not load, or answers its stored example otherwise, is refused, and the
        old one serves on; it is tried again when its files have changed, and after a while: a database may be back. Where only words of
        the pointer are others, the model stays as it is.
        """
        try:
            pointer = self._pointed()
        except store.NoChampion as absence:
            return self._refuse({}, absence)
        if _same(pointer, self._served.pointer):
            self._refused = None
            self._reworded(pointer)
        elif self._untried(pointer):
            self._try(pointer)

    def _reworded(self, pointer: store.Pointer) -> None:
        if pointer != self._served.pointer:
            self._served = self._served._replace(pointer=pointer)
            handover.note(pointer)

    def _try(self, pointer: store.Pointer) -> None:
        begun = time.monotonic()
        try:
            self._served = self._tried(pointer)
        except Exception as fault:
            return self._refuse(pointer, fault)
        self._refused = None
        seconds = round(time.monotonic() - begun, 3)
        logger.info("%s now serves version %s", self.family, pointer["model"]["version"], extra={"facts": {"seconds": seconds}})

    def _tried(self, pointer: store.Pointer) -> Served:
        with handover.trying(pointer, _files(pointer)):
            return self._loaded(pointer)

    def _loaded(self, pointer: store.Pointer) -> Served:
        served = loaded(self.family, pointer, self._beside)
        telemetry.VERSION.labels(self.family).set(pointer["model"]["version"])
        handover.note(pointer)
        return served

    def _refuse(self, pointer: store.Pointer, fault: Exception) -> None:
        """Keep why for whoever asks; the log has it once, however often it is tried."""
        known, why = self._refused, phrases.one_line(fault)
        again = known is not None and known.pointer == pointer
        pause = min(2 * known.pause, LATER) if known and again else SOON
        self._refused = FailedLoad(pointer, _reason(fault), why, _files(pointer), time.monotonic(), pause)
        if known is None or not again or known.why != why:
            old = self._served.pointer["model"]["version"]
            logger.error("%s keeps serving version %s: the new one does not serve: %s", self.family, old, why, exc_info=fault)

    def _untried(self, pointer: store.Pointer) -> bool:
        """Is this worth a try: not refused, or refused with other files, or long ago?"""
        refused = self._refused
        if refused is None or refused.pointer != pointer:
            return True
        return refused.files != _files(pointer) or time.monotonic() - refused.tried > refused.pause

    def _pointed(self) -> store.Pointer:
        """The pointer, read again when its file is another one. Raises NoChampion."""
        stamp = _stamp(store.pointer_path(self.family))
        if stamp is None or stamp != self._read[0]:
            self._read = stamp, store.read_pointer(self.family)
        return self._read[1]


def loaded(family: str, pointer: store.Pointer, beside: Callable[[Any], object] | None = None) -> Served:
    """What a pointer names, once it has answered its stored example, and is warm by that.

    Raises NotStored, BrokenModel, NotAsExpected, Unsigned or BadSignature where signatures are asked for, or what `beside` raises.
    """
    folder = store.location(pointer["tag"])
    signing.check(folder)
    predictor = discovery.part(family, "predict").Predictor(folder)
    _named(predictor.manifest["digest"], pointer)
    selfcheck.check(predictor, folder)
    if beside:
        beside(predictor)
    return Served(predictor, pointer, Batches(predictor.predict, configs.serving(family).batch, family))


def _same(one: store.Pointer, other: store.Pointer) -> bool:
    """Do both name the same model as the same version? Then only words around it differ."""
    return (one["tag"], one["model"]["digest"]) == (other["tag"], other["model"]["digest"])


def _named(digest: str, pointer: store.Pointer) -> None:
    """What is answered must be what the answer names. Raises BrokenModel."""
    if digest != pointer["model"]["digest"]:
        raise manifests.BrokenModel(
            f"{pointer['tag']} in the model store has the digest {digest[:12]}, and the pointer names {pointer['model']['digest'][:12]}. "
            f"`make serve family={pointer['model']['family']}` mends both."
        )


def _reason(fault: Exception) -> str:
    """In a word or two, for everybody."""
    return next((reason for kind, reason in REASONS.items() if isinstance(fault, kind)), "does not load")


def _files(pointer: store.Pointer) -> list[Stamp]:
    """Of the model that a pointer names, with all that lies beside it: others when any was put there again."""
    return [_stamp(path) for path in checksums.files(store.folder_of(pointer["tag"]))] if pointer else []


def _stamp(path: Path) -> Stamp:
    """Another one when a file is replaced or written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def signature(served: Served) -> dict[str, Any]:
    """What every answer carries: a name of its own, and where it comes from."""
    return {"prediction_id": predictions.new_id(), "model": served.pointer["model"]}


def traced(answer: dict[str, Any]) -> list[str]:
    """The same as a person reads it: lines that say where an answer comes from and how to walk on."""
    model = {key: str(value)[:12] for key, value in answer["model"].items()}
    origin = f"{model['family']} version {model['version']}, digest {model['digest']}, data {model['data']}, commit {model['commit']}"
    return [f"From {origin}.", f"Walk back to the data: make lineage of={model['family']}@v{model['version']}"]
