"""The model that is served: loaded, verified, checked on its golden example, and swapped when the pointer moves."""

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
INTERVAL = 0.2  # seconds between two polls of the pointer
SOON, LATER = 0.5, 30.0  # seconds until a rejected version is tried again: at first, doubled each time, and at most
Stamp = tuple[int, int, int] | None  # inode, bytes, nanoseconds
REASONS: dict[type[Exception], str] = {
    store.NoChampion: "no valid pointer",
    store.NotStored: "not in the store",
    manifests.BrokenModel: "incomplete or altered",
    signing.Unsigned: "not signed",
    signing.BadSignature: "signature does not match",
    selfcheck.NotAsExpected: "golden example failed",
    databases.NoDatabase: "database unreachable",
    handover.Crashed: "crashed a worker",
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
    """One loaded model; a request uses the one it began with to its end."""

    predictor: Any
    pointer: store.Pointer
    batches: Batches


class Rejected(NamedTuple):
    """A version that did not load: a reason for clients, the error, its files then, the time (monotonic) and the pause before a retry."""

    pointer: store.Pointer
    reason: str
    why: str
    files: list[Stamp]
    tried: float
    pause: float


def update_store(family: str) -> None:
    """Bring store and pointer up to date with the ledger. Where they are, MLflow is not loaded: it takes seconds. Raises NoChampion."""
    if _up_to_date(discovery.validate(family)):
        return store.print_if_released(family)
    reconcile.reconcile(family)
    store.read_pointer(family)


def _up_to_date(family: str) -> bool:
    """Do the pointers follow the ledger, and does the store hold the champion, undamaged, with its golden example?"""
    lines = ledger.read(family)
    decision = ledger.decision(lines)
    try:
        pointer, challenger = store.read_pointer(family), store.challenger(family) or {}
    except store.NoChampion:
        return False
    current = pointer.get("decision", {}).get("hash") == (decision and decision["hash"])
    current = current and challenger.get("challenge") == ledger.challenger(lines)
    return current and store.holds(pointer["tag"], pointer["model"]["digest"]) and store.has_example(pointer["tag"])


class Champion:
    """The champion of a family, swapped when its pointer moves. Raises as load() does.

    `prepare(predictor)` is what a family does before a model serves, such as filling a database.
    """

    def __init__(self, family: str, prepare: Callable[[Any], object] | None = None) -> None:
        self.family, self._prepare = family, prepare
        self._rejected: Rejected | None = None
        self._ended = threading.Event()
        self._read: tuple[Stamp, store.Pointer] = None, {}
        self._served = self._first()

    def start(self) -> None:
        """Watch the pointer from a daemon thread until end()."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.family}-pointer").start()

    def end(self) -> None:
        """Follow the pointer no longer."""
        self._ended.set()

    @property
    def served(self) -> Served:
        return self._served

    @property
    def rejected(self) -> dict[str, Any] | None:
        """{"version", "reason": a word or two for clients, "why": the error, which may name a server} of a rejected version, if any."""
        if (rejected := self._rejected) is None:
            return None
        return {"version": rejected.pointer.get("model", {}).get("version"), "reason": rejected.reason, "why": rejected.why}

    def _first(self) -> Served:
        """Load the version that the pointer names; where it is rejected, the one that the other workers of the service serve."""
        try:
            return self._load_guarded(self._pointer())
        except Exception as fault:
            if (current := handover.read()) is None:
                raise
            self._served = self._load(current)
            self._reject(self._read[1], fault)
            return self._served

    def _watch(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self.poll()
            except Exception as fault:
                with suppress(Exception):
                    self._reject({}, fault)
            telemetry.REFUSED.labels(self.family).set(self._rejected is not None)

    def poll(self) -> None:
        """Swap when the pointer has moved. A version that does not load, or answers its golden example differently, is rejected, and the
        old one serves on; it is tried again when its files have changed, and after a pause. A pointer that names the same model only
        replaces the old pointer.
        """
        try:
            pointer = self._pointer()
        except store.NoChampion as absence:
            return self._reject({}, absence)
        served = self._served.pointer
        if (pointer["tag"], pointer["model"]["digest"]) != (served["tag"], served["model"]["digest"]):
            if self._due(pointer):
                self._try(pointer)
            return
        self._rejected = None
        if pointer != served:
            self._served = self._served._replace(pointer=pointer)
            handover.note(pointer)

    def _try(self, pointer: store.Pointer) -> None:
        begun = time.monotonic()
        try:
            self._served = self._load_guarded(pointer)
        except Exception as fault:
            return self._reject(pointer, fault)
        self._rejected = None
        seconds = round(time.monotonic() - begun, 3)
        logger.info("%s now serves version %s", self.family, pointer["model"]["version"], extra={"facts": {"seconds": seconds}})

    def _load_guarded(self, pointer: store.Pointer) -> Served:
        with handover.trying(pointer, _files(pointer)):
            return self._load(pointer)

    def _load(self, pointer: store.Pointer) -> Served:
        served = load(self.family, pointer, self._prepare)
        telemetry.VERSION.labels(self.family).set(pointer["model"]["version"])
        handover.note(pointer)
        return served

    def _reject(self, pointer: store.Pointer, fault: Exception) -> None:
        """Store why, and log it once, however often it is tried."""
        why = phrases.one_line(fault)
        reason = next((reason for kind, reason in REASONS.items() if isinstance(fault, kind)), "does not load")
        known = self._rejected if self._rejected and self._rejected.pointer == pointer else None
        pause = min(2 * known.pause, LATER) if known else SOON
        self._rejected = Rejected(pointer, reason, why, _files(pointer), time.monotonic(), pause)
        if known is None or known.why != why:
            old = self._served.pointer["model"]["version"]
            logger.error("%s keeps serving version %s: the new one does not serve: %s", self.family, old, why, exc_info=fault)

    def _due(self, pointer: store.Pointer) -> bool:
        """Is this version to be tried: not rejected, or its files have changed, or the pause is over?"""
        rejected = self._rejected
        if rejected is None or rejected.pointer != pointer:
            return True
        return rejected.files != _files(pointer) or time.monotonic() - rejected.tried > rejected.pause

    def _pointer(self) -> store.Pointer:
        """The pointer, read again when its file has changed. Raises NoChampion."""
        stamp = _stamp(store.pointer_path(self.family))
        if stamp is None or stamp != self._read[0]:
            self._read = stamp, store.read_pointer(self.family)
        return self._read[1]


def load(family: str, pointer: store.Pointer, prepare: Callable[[Any], object] | None = None, folder: Path | None = None) -> Served:
    """The model that a pointer names, from the store or a copy of its `folder`, checked on its golden example and warm by that.

    Raises NotStored, BrokenModel, NotAsExpected, Unsigned, BadSignature, or what `prepare` raises.
    """
    folder = folder or store.location(pointer["tag"])
    signing.check(folder)
    predictor = discovery.part(family, "predict").Predictor(folder)
    digest, expected = predictor.manifest["digest"], pointer["model"]["digest"]
    if digest != expected:
        raise manifests.BrokenModel(
            f"{folder} of {pointer['tag']} has the digest {digest[:12]}, the pointer {expected[:12]}. "
            f"`make serve family={family}` repairs both."
        )
    selfcheck.check(predictor, folder)
    if prepare:
        prepare(predictor)
    return Served(predictor, pointer, Batches(predictor.predict, configs.serving(family).batch, family))


def _files(pointer: store.Pointer) -> list[Stamp]:
    """The stamps of all files in the folder of the model that a pointer names."""
    return [_stamp(path) for path in checksums.files(store.folder_of(pointer["tag"]))] if pointer else []


def _stamp(path: Path) -> Stamp:
    """Changes when a file is replaced or written; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def provenance(served: Served) -> dict[str, Any]:
    """What every answer carries: a new id, and the model that gave it."""
    return {"prediction_id": predictions.new_id(), "model": served.pointer["model"]}


def provenance_lines(answer: dict[str, Any]) -> list[str]:
    """The model that gave an answer, and the command that follows it to its data, as lines of text."""
    model = {key: str(value)[:12] for key, value in answer["model"].items()}
    origin = f"{model['family']} version {model['version']}, digest {model['digest']}, data {model['data']}, commit {model['commit']}"
    return [f"From {origin}.", f"Walk back to the data: make lineage of={model['family']}@v{model['version']}"]
