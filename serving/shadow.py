"""The champion's answers held against a challenger's: a share of them waits in a bounded queue, and a thread has them answered again.

The challenger is a process of its own (serving/challenger.py): in the service's it would take the interpreter, the threads for heavy
bodies and the renderers from those who wait, and its crash would be everybody's (docs/decisions.md). A request pays for one look at a
number, and one place in the queue. What finds no place is dropped and counted; what was compared stands in the prediction store.
"""

import atexit
import logging
import math
import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, Summary

from pipelines import gate, predictions, stores
from pipelines.databases import NewerDatabase, NoDatabase
from serving import telemetry
from serving.bodies import Body
from serving.challenger import Asked, Challenger, Gone
from serving.champion import Champion, Served
from serving.recording import chosen

logger = logging.getLogger("atelier.serving")
QUEUE, QUEUE_MB = 64, 64  # samples, and megabytes of bodies, that wait at most
INTERVAL = 0.5  # seconds between two looks at the pointers
WRITING, KEPT = 1.0, 1000  # seconds that comparisons wait to be written together, and how many wait for a database that is away
FRESH = 5.0  # seconds: the store's figures are not asked for more often
LEAVING = 5.0  # seconds for the thread to end
TRIES = 3  # times in a row that the challenger may end, or be stuck, before it is given up

PAIR = ["family", "challenger"]  # 12 digits of its digest
COMPARED = Counter("atelier_shadow_answers_total", "The challenger's answers held against the champion's.", [*PAIR, "verdict"])
DROPPED = Counter("atelier_shadow_dropped_total", "Answers that were not compared, or not recorded, by reason.", ["family", "reason"])
LATENCY = Histogram("atelier_shadow_seconds", "The challenger's time for an answer.", PAIR, buckets=telemetry.SECONDS)
CONFIDENCE = Summary("atelier_shadow_confidence", "How sure the challenger is of its answers.", PAIR)
SAMPLES = Gauge("atelier_shadow_samples", "Comparisons with this champion that are recorded.", PAIR, multiprocess_mode="mostrecent")
AGREEMENT = Gauge("atelier_shadow_agreement", "The share of them that agrees.", PAIR, multiprocess_mode="mostrecent")
REFUSED = Gauge("atelier_shadow_refused", "1 where the challenger does not answer.", ["family"], multiprocess_mode="mostrecent")


class Sample(NamedTuple):
    """What the champion of this digest has answered, and in how many seconds."""

    asked: Asked
    champion: str
    seconds: float


class Shadow:
    """Follows the challenger's pointer, and compares. Nothing that goes wrong here reaches an answer."""

    def __init__(self, champion: Champion) -> None:
        self.family, self._champion = champion.family, champion
        self._share = 0.0
        self._waiting: SimpleQueue[Sample] = SimpleQueue()
        self._offered = self._taken = 0  # bytes of bodies, each counted by one thread alone
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"{self.family}-shadow")
        self._pair: tuple[str, stores.Pointer] | None = None
        self._challenger: Challenger | None = None
        self._refused, self._failures, self._looked = "", 0, -math.inf
        self._record = _Record(self.family)

    def follow(self) -> None:
        """Compare from a thread of its own until close(), or the process's end."""
        self._thread.start()
        atexit.register(self.close)

    def offer(self, body: Body, served: Served, answer: dict[str, Any], seconds: float, words: Sequence[Any] = ()) -> None:
        """Let an answer that was given be compared, if it is one of the share: at once, whatever becomes of it. `words` are JSON's."""
        if not self._share or not chosen(answer["prediction_id"], self._share):
            return
        if self._waiting.qsize() >= QUEUE or self._offered - self._taken + len(body.content) > QUEUE_MB * 1e6:
            return DROPPED.labels(self.family, "full").inc()
        self._offered += len(body.content)
        self._waiting.put(Sample(Asked(body, words, answer), served.pointer["model"]["digest"], seconds))

    def standing(self) -> dict[str, Any] | None:
        """Who challenges, and how it goes: {"model", "challenge", "refused": why, or ""} and the store's agreement(); None without one.

        Asks a database: not for an event loop. Where that does not answer, `samples` is None.
        """
        pair = self._pair
        if pair is None:
            return None
        champion, pointer = pair
        return {**pointer, "refused": self._refused, **self._record.figures(champion, pointer["model"]["digest"])}

    def close(self) -> None:
        """End the challenger, and write what was compared."""
        if self._closed.is_set():
            return
        self._closed.set()
        if challenger := self._challenger:
            challenger.end()
        self._thread.join(LEAVING)
        self._record.end()

    # The thread

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow()
                self._compare()
                self._record.write_in_time()
            except Exception:
                logger.exception("a fault of the shadow of %s; answers go on", self.family)
                self._closed.wait(INTERVAL)

    def _follow(self) -> None:
        """Begin anew where a pointer has moved."""
        if time.monotonic() - self._looked < INTERVAL:
            return
        self._looked = time.monotonic()
        served, pointer = self._champion.served, stores.challenger(self.family)
        digest = served.pointer["model"]["digest"]
        pair = (digest, pointer) if pointer and pointer["model"]["digest"] != digest else None
        if pair != self._pair:
            self._pair, self._failures = pair, 0
            self._begin(served, pointer)

    def _begin(self, served: Served, pointer: stores.Pointer | None) -> None:
        """Start the pair's challenger; one that does not load, or does not fit, is refused."""
        self._end()
        self._refuse("")
        if pointer is None or self._pair is None:
            return
        if absent := pointer.get("absent"):
            return self._refuse(absent)
        self._challenger = Challenger(self.family, pointer, served)
        try:
            refused = self._challenger.refused()
        except Gone as gone:
            refused = f"it does not load: {gone}"
        if refused:
            return self._refuse(refused)
        self._share = pointer["challenge"]["share"]
        logger.info("%s is challenged by %s", self.family, pointer["challenge"]["candidate"])

    def _refuse(self, why: str) -> None:
        """Ask the challenger nothing more, and say so; "" takes that back."""
        if why and not self._closed.is_set():
            self._end()
            logger.error("the challenger of %s is refused, and the champion answers alone: %s", self.family, why)
        self._refused = why
        REFUSED.labels(self.family).set(bool(why))

    def _end(self) -> None:
        self._share = 0.0
        if self._challenger:
            self._challenger.end()
            self._challenger = None

    def _compare(self) -> None:
        """The next sample; one of a champion, or for a challenger, that has gone since is dropped."""
        try:
            sample = self._waiting.get(timeout=INTERVAL / 2)
        except Empty:
            return
        self._taken += len(sample.asked.body.content)
        if self._pair is None or self._challenger is None or sample.champion != self._pair[0]:
            return DROPPED.labels(self.family, "moved").inc()
        pointer, begun = self._pair[1], time.monotonic()
        try:
            verdict = self._challenger.judge(sample.asked)
            self._failures = 0
        except Gone as gone:
            if self._closed.is_set():
                return
            verdict = {"agrees": False, "confidence": None, "seconds": time.monotonic() - begun, "failed": str(gone)}
            self._again(pointer, str(gone))
        self._record.add(sample, pointer, verdict)

    def _again(self, pointer: stores.Pointer, gone: str) -> None:
        """Start it again; one that keeps ending is refused."""
        self._failures += 1
        logger.error("the challenger of %s failed on an answer: %s", self.family, gone)
        if self._failures >= TRIES:
            return self._refuse(f"{gone}, {TRIES} times in a row")
        self._begin(self._champion.served, pointer)


class _Record:
    """What was compared: counted at once, written together, and asked for now and then."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._store = predictions.Store()
        self._lock = threading.Lock()
        self._rows: list[predictions.Row] = []
        self._written, self._fault = -math.inf, ""
        self._told: tuple[str, str] | None = None  # champion and challenger, of whom more was written since /metrics was told
        self._pair, self._found, self._asked = ("", ""), dict[str, Any](), -math.inf

    def add(self, sample: Sample, pointer: stores.Pointer, verdict: dict[str, Any]) -> None:
        challenger = pointer["model"]["digest"]
        labels = self.family, challenger[:12]
        COMPARED.labels(*labels, "failed" if "failed" in verdict else "agrees" if verdict["agrees"] else "differs").inc()
        LATENCY.labels(*labels).observe(verdict["seconds"])
        if verdict["confidence"] is not None:
            CONFIDENCE.labels(*labels).observe(verdict["confidence"])
        row = {"id": sample.asked.answer["prediction_id"], "family": self.family, "time": predictions.moment(time.time())}
        pair = {"champion": sample.champion, "challenger": challenger, "champion_milliseconds": sample.seconds * 1000}
        told = {"agrees": verdict["agrees"], "confidence": verdict["confidence"], "milliseconds": verdict["seconds"] * 1000}
        self._rows.append({**row, **pair, **told})

    def write_in_time(self) -> None:
        if self._rows and time.monotonic() - self._written > WRITING:
            self._written = time.monotonic()
            self.write()
        if self._told and time.monotonic() - self._asked > FRESH:
            self._tell(self._told)

    def write(self) -> None:
        """What waits; where the database does not take it, it waits on, as long as it is not too much."""
        rows = self._rows
        if not rows:
            return
        try:
            self._store.compare(rows)
        except (NoDatabase, NewerDatabase) as absence:
            self._rows = rows[-KEPT:]
            self._lost(len(rows) - len(self._rows))
            if str(absence) != self._fault:
                logger.warning("comparisons of %s wait to be recorded, the last %d of them: %s", self.family, KEPT, absence)
            self._fault = str(absence)
        else:
            self._rows, self._fault, self._told = [], "", (rows[-1]["champion"], rows[-1]["challenger"])

    def end(self) -> None:
        """Write what waits; what is left then is lost."""
        self.write()
        self._lost(len(self._rows))
        self._store.close()

    def _lost(self, count: int) -> None:
        if count:
            DROPPED.labels(self.family, "not recorded").inc(count)

    def _tell(self, pair: tuple[str, str]) -> None:
        """The store's figures at /metrics."""
        found, self._told = self.figures(*pair), None
        if found["samples"]:
            SAMPLES.labels(self.family, pair[1][:12]).set(found["samples"])
            AGREEMENT.labels(self.family, pair[1][:12]).set(found["agreement"])

    def figures(self, champion: str, challenger: str) -> dict[str, Any]:
        """The store's agreement() and its 95 % interval, not older than FRESH; `samples` is None where the database does not answer."""
        with self._lock:
            if self._pair != (champion, challenger) or time.monotonic() - self._asked > FRESH:
                self._pair, self._found = (champion, challenger), self._figures(champion, challenger)
                self._asked = time.monotonic()
            return self._found

    def _figures(self, champion: str, challenger: str) -> dict[str, Any]:
        try:
            found = self._store.agreement(self.family, champion, challenger)
        except NoDatabase as absence:
            return {"samples": None, "absence": str(absence)}
        low, high = gate.interval(round((found["agreement"] or 0) * found["samples"]), found["samples"])
        return {**found, "low": low, "high": high}
