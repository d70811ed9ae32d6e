"""Records every answer from a thread: no answer waits for the database, or fails with it.

What cannot be written is counted in atelier_predictions_lost_total, by reason, and logged once. Answers wait for a database that is locked
or away, up to a limit.
"""

import gc
import hashlib
import json
import logging
import threading
import time
from collections import deque
from typing import Any, NamedTuple

from prometheus_client import Counter

from pipelines import predictions
from pipelines.configs import Predictions
from pipelines.databases import REASONS, NewerDatabase, NoDatabase
from pipelines.predictions import Row, Store

logger = logging.getLogger("atelier.serving")
PAUSE = 0.5  # seconds in which answers gather before they are written together
RETRY = 1.0  # seconds between two tries of what could not be written
PRUNED = 3600.0  # seconds between two deletions of what is too old
CLOSING = 5.0  # seconds to write what waits when the service ends
MOST, MOST_MB = 10_000, 64  # answers that wait, and what they hold in memory
BATCH = 500  # answers in one statement
SMALL = 16_384  # bytes: more are hashed in the thread, so that no answer waits for it
TRANSIENT = {"locked", "away"}  # reasons that may be gone in a second
FULL, FAULT, BUSY, NEWER = "disk full", "fault", "busy", "newer database"
COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

RECORDED = Counter("atelier_predictions_recorded_total", "Answers recorded.", ["family"])
LOST = Counter("atelier_predictions_lost_total", "Answers that were given and not recorded, by reason.", ["family", "reason"])


class Noted(NamedTuple):
    """An answer that waits to be written; `time` in seconds since 1970. No containers: the garbage collector would walk through them."""

    id: str
    version: int
    digest: str
    text: bytes
    time: float
    seconds: float
    content: bytes
    input: str | None
    size: int


class Recorder:
    """Records the answers of one family. note() never raises, and is called by one thread, the event loop's. Raises BadUrl."""

    def __init__(self, family: str, config: Predictions, store: Store | None = None) -> None:
        self.family, self.config, self.store = family, config, store or Store()
        self.place = self.store.place  # also validates the URL
        self._queue: deque[Noted] = deque()
        self._rows: list[Noted] = []  # of the next batch
        self._came = self._went = self._bytes_came = self._bytes_went = 0  # each counted by one thread alone
        self._wake, self._ending = threading.Event(), threading.Event()
        self._writer: threading.Thread | None = None
        self._fault = ""
        self._singly = 0  # rows to write one by one, after a batch failed on one of them
        self._pruned = float("-inf")
        for reason in (*REASONS, "away", FAULT, BUSY, NEWER):
            LOST.labels(family, reason)  # now: on a full disk Prometheus, which maps a file into memory, can add no label
        RECORDED.labels(family)

    def start(self) -> None:
        """Write in a thread until end()."""
        logger.info("%s: answers are recorded in %s", self.family, self.place)
        self._writer = threading.Thread(target=self._follow, daemon=True, name=f"{self.family}-predictions")
        self._writer.start()

    def note(self, content: bytes, answer: dict[str, Any], seconds: float, text: bytes | None = None) -> None:
        """Queue the answer to `content`, which took so many seconds; `text` is its JSON, where that exists already."""
        id, model = answer["prediction_id"], answer["model"]
        if not chosen(id, self.config.share):
            return
        try:
            text = as_json(answer) if text is None else text
        except (TypeError, ValueError) as fault:
            logger.warning("%s: an answer that is no JSON is not recorded: %s", self.family, fault)
            return self._lose(1, FAULT)
        light = len(content) <= SMALL
        stored = content if self.config.inputs or not light else b""
        size = len(stored) + len(text)
        if self._came - self._went >= MOST or self._bytes_came - self._bytes_went + size > MOST_MB * 1e6:
            return LOST.labels(self.family, self._fault or BUSY).inc()
        hashed = hashlib.sha256(content).hexdigest() if light else None
        self._queue.append(Noted(id, model["version"], model["digest"], text, time.time(), seconds, stored, hashed, size))
        self._came, self._bytes_came = self._came + 1, self._bytes_came + size
        if not self._wake.is_set():
            self._wake.set()

    def end(self) -> None:
        """Write what waits, for CLOSING seconds at most; count the rest as lost."""
        self._ending.set()
        self._wake.set()
        if self._writer:
            self._writer.join(CLOSING)
        if not (self._writer and self._writer.is_alive()):
            self._write()
        self._lose(self._came - self._went, self._fault or BUSY)
        self.store.close()

    def _follow(self) -> None:
        self._ending.wait(PAUSE)  # opening the database takes half a second of the interpreter, so the first answers come before it
        self._prune()
        gc.freeze()  # also what opening the database took (serving/endpoints.py)
        while not self._ending.is_set():
            self._wake.wait(RETRY if self._rows else PRUNED)
            self._wake.clear()
            self._ending.wait(PAUSE)
            self._write()

    def _write(self) -> None:
        """Write what waits, in batches, until one fails temporarily."""
        try:
            self._prune()
            while self._written():
                self._prune()
        except Exception:
            logger.exception("a fault of the recorder of %s; answers go on", self.family)

    def _written(self) -> bool:
        """Write one batch; is there another?"""
        while self._queue and len(self._rows) < BATCH:
            self._rows.append(self._queue.popleft())
        batch = self._rows[: 1 if self._singly else BATCH]
        fault = self._added(batch) if batch else ""
        if fault in TRANSIENT:
            return False
        if fault == FAULT and len(batch) > 1:
            self._singly = len(batch)
            return True
        self._lose(len(batch) if fault else 0, fault)
        self._singly = max(0, self._singly - 1)
        self._rows = self._rows[len(batch) :]
        self._went += len(batch)
        self._bytes_went += sum(noted.size for noted in batch)
        return bool(self._rows or self._queue)

    def _added(self, batch: list[Noted]) -> str:
        """Add a batch to the database; the reason where that fails, or ""."""
        try:
            rows = [_row(self.family, noted) for noted in batch]
            sent = {row["input"]: noted.content for row, noted in zip(rows, batch, strict=True)} if self.config.inputs else {}
            self.store.add(rows, sent)
        except NoDatabase as fault:
            return self._failed(fault.reason, str(fault))
        except NewerDatabase as fault:
            return self._failed(NEWER, str(fault))
        except Exception as fault:
            return self._failed(FAULT, f"{type(fault).__name__}: {fault}") if len(batch) == 1 else FAULT
        if self._fault:
            logger.info("%s: answers are recorded again", self.family)
        self._fault = ""
        RECORDED.labels(self.family).inc(len(batch))
        return ""

    def _failed(self, reason: str, text: str) -> str:
        if reason != self._fault:
            logger.warning("%s: answers are given and not recorded (%s): %s", self.family, reason, text)
            self._pruned = float("-inf") if reason == FULL else self._pruned  # pruning frees space
        self._fault = reason
        return reason

    def _lose(self, count: int, reason: str) -> None:
        if count:
            LOST.labels(self.family, reason).inc(count)

    def _prune(self) -> None:
        """Delete what is too old, every PRUNED seconds."""
        if self.config.days is None or time.monotonic() - self._pruned < PRUNED or self._fault in TRANSIENT or self._ending.is_set():
            return
        self._pruned = time.monotonic()
        try:
            self.store.prune(self.family, self.config.days)
        except Exception as fault:
            logger.warning("%s: old predictions were not deleted: %s", self.family, fault)


def chosen(id: str, share: float) -> bool:
    """Is an answer of this id in the sample? Ids end in random digits."""
    return int(id[-8:], 16) < share * 2**32


def _row(family: str, noted: Noted) -> Row:
    """A row of the database. Large bodies are hashed here, in the thread."""
    return {
        "id": noted.id,
        "family": family,
        "time": predictions.timestamp(noted.time),
        "version": noted.version,
        "digest": noted.digest,
        "input": noted.input or hashlib.sha256(noted.content).hexdigest(),
        "output": noted.text.decode(),
        "milliseconds": noted.seconds * 1000,
    }


def as_json(answer: Any) -> bytes:
    """An answer as compact JSON."""
    return COMPACT.encode(answer).encode()
