"""Every answer is noted on its way out, and a thread of its own writes what was noted: no answer waits for the database, or fails with it.

What cannot be written is counted in atelier_predictions_lost_total, by reason, and told in the log once. A database that is locked or
away is waited for, as long as there is room.
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
from pipelines.databases import NewerDatabase, NoDatabase
from pipelines.predictions import Row, Store

logger = logging.getLogger("atelier.serving")
PAUSE = 0.5  # seconds in which answers gather before they are written together
RETRY = 1.0  # seconds between two tries of what could not be written
PRUNED = 3600.0  # seconds between two looks for what is too old
FAREWELL = 5.0  # seconds for what waits, when the service ends
MOST, MOST_MB = 10_000, 64  # answers that wait, and what they hold in memory
BATCH = 500  # answers in one statement
SMALL = 16_384  # bytes: hashing more takes longer than an answer may be held up for
PASSING = {"locked", "away"}  # reasons that may be gone in a second

RECORDED = Counter("atelier_predictions_recorded_total", "Answers recorded.", ["family"])
LOST = Counter("atelier_predictions_lost_total", "Answers that were given and not recorded, by reason.", ["family", "reason"])


class Noted(NamedTuple):
    """An answer on its way to the database: what it was, by which model, when, in seconds since 1970, how long it took, and to what.

    It holds words and numbers alone: dictionaries that wait would have the garbage collector walk through them, while requests wait.
    """

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
    """Records the answers of one family, as its page asks. note() is for one thread, that of the service's loop; it never raises."""

    def __init__(self, family: str, asked: Predictions, store: Store | None = None) -> None:
        self.family, self.asked, self.store = family, asked, store or Store()
        self._queue: deque[Noted] = deque()
        self._rows: list[tuple[Row, Noted]] = []  # the writer's: as they go into the database
        self._came = self._went = self._bytes_came = self._bytes_went = 0  # each counted by one thread alone
        self._wake, self._ending = threading.Event(), threading.Event()
        self._writer: threading.Thread | None = None
        self._fault = ""
        self._lost, self._pruned = 0, float("-inf")

    def follow(self) -> None:
        """Write from a thread of its own, until end(). Raises BadUrl."""
        logger.info("%s: answers are recorded in %s", self.family, self.store.place)
        self._writer = threading.Thread(target=self._follow, daemon=True, name=f"{self.family}-predictions")
        self._writer.start()

    def note(self, content: bytes, answer: dict[str, Any], seconds: float, text: bytes | None = None) -> None:
        """Have an answer recorded that was given to `content` after so many seconds; `text` is its JSON, where that was made already."""
        id, model = answer["prediction_id"], answer["model"]
        if not chosen(id, self.asked.share):
            return
        text = rendered(answer) if text is None else text
        light = len(content) <= SMALL
        kept = content if self.asked.inputs or not light else b""
        size = len(kept) + len(text)
        if self._came - self._went >= MOST or self._bytes_came - self._bytes_went + size > MOST_MB * 1e6:
            return LOST.labels(self.family, self._fault or "busy").inc()
        hashed = hashlib.sha256(content).hexdigest() if light else None
        self._queue.append(Noted(id, model["version"], model["digest"], text, time.time(), seconds, kept, hashed, size))
        self._came, self._bytes_came = self._came + 1, self._bytes_came + size
        if not self._wake.is_set():
            self._wake.set()

    def end(self) -> None:
        """Write what waits, for a few seconds at most; what is left then is lost, and counted."""
        self._ending.set()
        self._wake.set()
        if self._writer:
            self._writer.join(FAREWELL)
        if not (self._writer and self._writer.is_alive()):
            self._write()
        self._lose(self._came - self._went, self._fault or "busy")
        self.store.close()

    def _follow(self) -> None:
        self._prune()
        gc.freeze()  # what it took to open the database stays too (serving/endpoints.py)
        while not self._ending.is_set():
            self._wake.wait(RETRY if self._rows else PRUNED)
            self._wake.clear()
            self._ending.wait(PAUSE)
            self._write()
            self._prune()

    def _write(self) -> None:
        """What waits, in batches, until one is refused for the time being."""
        while self._queue or self._rows:
            self._take()
            batch = self._rows[:BATCH]
            fault = self._added(batch)
            if fault in PASSING:
                return
            self._rows = self._rows[BATCH:]
            self._went += len(batch)
            self._bytes_went += sum(noted.size for _, noted in batch)

    def _take(self) -> None:
        """The next of the queue, as rows."""
        while self._queue and len(self._rows) < BATCH:
            noted = self._queue.popleft()
            self._rows.append((_row(self.family, noted), noted))

    def _added(self, batch: list[tuple[Row, Noted]]) -> str:
        """Nothing, or why the database has not taken a batch; where that will not pass, its answers are lost."""
        rows = [row for row, _ in batch]
        inputs = {row["input"]: noted.content for row, noted in batch} if self.asked.inputs else {}
        try:
            self.store.add(rows, inputs)
        except NoDatabase as fault:
            self._failed(fault.reason, str(fault), len(batch))
        except NewerDatabase as fault:
            self._failed("newer database", str(fault), len(batch))
        except Exception as fault:
            self._failed("fault", f"{type(fault).__name__}: {fault}", len(batch))
        else:
            self._recorded(len(batch))
        return self._fault

    def _failed(self, reason: str, words: str, count: int) -> None:
        if reason != self._fault:
            logger.warning("%s: answers are given and not recorded (%s): %s", self.family, reason, words)
        self._fault = reason
        if reason not in PASSING:
            self._lose(count, reason)

    def _lose(self, count: int, reason: str) -> None:
        if count:
            LOST.labels(self.family, reason).inc(count)

    def _recorded(self, count: int) -> None:
        if self._fault:
            logger.info("%s: answers are recorded again", self.family)
        self._fault = ""
        RECORDED.labels(self.family).inc(count)

    def _prune(self) -> None:
        """Forget what is too old, now and then."""
        if self.asked.days is None or time.monotonic() - self._pruned < PRUNED or self._fault:
            return
        self._pruned = time.monotonic()
        try:
            self.store.prune(self.family, self.asked.days)
        except Exception as fault:
            logger.warning("%s: old predictions are not forgotten: %s", self.family, fault)


def chosen(id: str, share: float) -> bool:
    """Is an answer of this id in the share? Ids end at random, so that a share of them is one of the answers."""
    return int(id[-8:], 16) < share * 2**32


def _row(family: str, noted: Noted) -> Row:
    """As the database has it. A heavy body is hashed here, where nobody waits."""
    return {
        "id": noted.id,
        "family": family,
        "time": predictions.moment(noted.time),
        "version": noted.version,
        "digest": noted.digest,
        "input": noted.input or hashlib.sha256(noted.content).hexdigest(),
        "output": noted.text.decode(),
        "milliseconds": noted.seconds * 1000,
    }


def rendered(answer: Any) -> bytes:
    """An answer as JSON, the way it is answered."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
