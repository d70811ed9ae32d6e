"""The champion's answers held against a challenger's: a share of them waits in a bounded queue, and a thread has them answered again.

The challenger is a process of its own (serving/live/challenger.py): in the service's it would take the interpreter, the threads for heavy
bodies and the renderers from those who wait, and its crash would be everybody's (docs/decisions/0081). A request pays for one look at a
number, and one place in the queue. What finds no place is dropped and counted; what was compared stands in the prediction store.
Answers of jobs (serving/ocr/tasks.py) are not compared: their workers are other processes, with no challenger beside them.
"""

import atexit
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from prometheus_client import Counter, Gauge, Histogram, Summary

from pipelines import predictions
from pipelines.databases import NewerDatabase, NoDatabase
from pipelines.registry import gate
from pipelines.registry import store as model_store
from serving import telemetry
from serving.inputs.bodies import Body
from serving.live.challenger import Asked, Challenger, Gone, Late
from serving.live.champion import Champion, Served
from serving.live.recorder import chosen

logger = logging.getLogger("atelier.serving")
QUEUE, QUEUE_MB = 64, 64  # samples, and megabytes of bodies, that wait at most
INTERVAL = 0.5  # seconds between two looks at the pointers
WRITING, KEPT = 1.0, 1000  # seconds that comparisons wait to be written together, and how many wait for a database that is away
FRESH = 5.0  # seconds between two looks at the store's figures
LEAVING = 5.0  # seconds for the thread to end
PAUSE, GROWTH, LONGEST = 1.0, 4, 1800.0  # seconds until a challenger that failed is begun again, times which each time more, at most
RECENT = 3600.0  # seconds: what failed longer ago counts no more

ONE, BOTH = ["family", "challenger"], ["family", "champion", "challenger"]  # 12 digits of their digests
COMPARED = Counter("atelier_shadow_answers_total", "The challenger's answers held against the champion's.", [*ONE, "verdict"])
DROPPED = Counter("atelier_shadow_dropped_total", "Answers that were not compared, or not recorded, by reason.", ["family", "reason"])
LATENCY = Histogram("atelier_shadow_seconds", "The challenger's time for an answer.", ONE, buckets=telemetry.SECONDS)
CONFIDENCE = Summary("atelier_shadow_confidence", "How sure the challenger is of its answers.", ONE)
SAMPLES = Gauge("atelier_shadow_samples", "Comparisons of the two that are recorded.", BOTH, multiprocess_mode="mostrecent")
AGREEMENT = Gauge("atelier_shadow_agreement", "The share of them that agrees.", BOTH, multiprocess_mode="mostrecent")
REFUSED = Gauge("atelier_shadow_refused", "1 where a worker's challenger does not answer.", ["family"], multiprocess_mode="livemax")


Digests = tuple[str, str]  # of a champion, and of a challenger
Pair = tuple[str, model_store.Pointer]  # a champion's digest, and its challenger's pointer


class Sample(NamedTuple):
    """What the champion of this digest has answered, and in how many seconds."""

    asked: Asked
    champion: str
    seconds: float


class Attempts:
    """When to begin again what failed: after a pause that grows with each time within the hour, however often it went well in between."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: list[float] = []

    def failed(self) -> None:
        now = self._clock()
        self._failed = [*(then for then in self._failed if now - then < RECENT), now]

    @property
    def due(self) -> bool:
        times = len(self._failed)
        return not times or self._clock() - self._failed[-1] >= min(PAUSE * GROWTH ** (times - 1), LONGEST)


class Shadow:
    """Follows the challenger's pointer, and compares. Nothing that goes wrong here reaches an answer."""

    def __init__(self, champion: Champion) -> None:
        self.family, self._champion = champion.family, champion
        self._share = 0.0
        self._waiting: SimpleQueue[Sample] = SimpleQueue()
        self._offered = self._taken = 0  # bytes of bodies, each counted by one thread alone
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"{self.family}-shadow")
        self._pair: Pair | None = None
        self._challenger: Challenger | None = None
        self._attempts, self._refused, self._fault, self._looked = Attempts(), "", "", -math.inf
        store = predictions.Store()
        self._comparisons, self._figures = _Comparisons(self.family, store), _Figures(self.family, store)

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
        """Who challenges, and how it goes: {"model", "challenge", "refused": why, or "", "asked": has it loaded} and the store's
        agreement(); None without one, and only "refused" where the pointer cannot be read.

        As it was found a few seconds ago: nothing is waited for. Where the database does not answer, `samples` is None.
        """
        if (pair := self._pair) is None:
            return {"refused": self._refused} if self._refused else None
        return {**pair[1], "refused": self._refused, "asked": self._share > 0, **self._figures.of(_digests(pair))}

    def close(self) -> None:
        """End the challenger, and write what was compared."""
        if self._closed.is_set():
            return
        self._closed.set()
        if challenger := self._challenger:
            challenger.end()
        self._thread.join(LEAVING)
        REFUSED.labels(self.family).set(0)
        self._comparisons.end()

    # The thread

    def _work(self) -> None:
        while not self._closed.is_set():
            try:
                self._follow()
                self._compare()
                self._comparisons.write_in_time()
                self._figures.look_in_time()
            except Exception as fault:
                self._tell(fault)
                self._closed.wait(INTERVAL)

    def _tell(self, fault: Exception) -> None:
        """In the log once, however long it lasts."""
        if repr(fault) != self._fault:
            logger.exception("a fault of the shadow of %s; answers go on", self.family)
        self._fault = repr(fault)

    def _follow(self) -> None:
        """Begin anew where a pointer has moved, and again where a pause is over."""
        if time.monotonic() - self._looked < INTERVAL:
            return
        self._looked = time.monotonic()
        served = self._champion.served
        pair, unread = self._pointed(served.pointer["model"]["digest"])
        if pair != self._pair:
            self._turn(pair)
        if pair is None:
            self._refuse(unread)
        elif not self._share and (self._challenger or self._attempts.due):
            self._begin(served, pair[1])

    def _pointed(self, champion: str) -> tuple[Pair | None, str]:
        """Who challenges this champion, if anybody; and why that cannot be read."""
        try:
            pointer = model_store.challenger(self.family)
        except model_store.NoChampion as fault:
            return None, str(fault)
        return (champion, pointer) if pointer and pointer["model"]["digest"] != champion else None, ""

    def _turn(self, pair: Pair | None) -> None:
        """To another pair, or to none."""
        self._end()
        self._pair, self._attempts = pair, Attempts()
        self._figures.follow(pair and _digests(pair))
        self._refuse("")

    def _begin(self, served: Served, pointer: model_store.Pointer) -> None:
        """Start the pair's challenger, and let it be asked once it has loaded; one that does not, or does not fit, is refused."""
        try:
            if not self._loaded(served, pointer):
                return
        except (Gone, OSError) as fault:
            return self._failed(str(fault))
        self._refuse("")
        self._share = pointer["challenge"]["share"]
        logger.info("%s is challenged by %s", self.family, pointer["challenge"]["candidate"])

    def _loaded(self, served: Served, pointer: model_store.Pointer) -> bool:
        if "absent" in pointer:
            raise Gone(pointer["absent"])
        self._challenger = self._challenger or Challenger(self.family, pointer, served)
        return self._challenger.ready()

    def _failed(self, why: str) -> None:
        """Ask it nothing more for a while, and say so."""
        self._end()
        if not self._closed.is_set():
            self._attempts.failed()
            self._refuse(why)

    def _refuse(self, why: str) -> None:
        """Why the challenger is not asked, in the log once; "" where it is, or nobody challenges."""
        if why and why != self._refused:
            logger.error("the challenger of %s is refused for a while, and the champion answers alone: %s", self.family, why)
        self._refused = why
        REFUSED.labels(self.family).set(bool(why))

    def _end(self) -> None:
        self._share = 0.0
        if self._challenger:
            self._challenger.end()
            self._challenger = None

    def _compare(self) -> None:
        """The next sample; one of a champion, or for a challenger, that has gone since is dropped, and so is one that was not judged."""
        try:
            sample = self._waiting.get(timeout=INTERVAL / 2)
        except Empty:
            return
        self._taken += len(sample.asked.body.content)
        if self._pair is None or self._challenger is None or not self._share or sample.champion != self._pair[0]:
            return DROPPED.labels(self.family, "moved").inc()
        pointer, verdict = self._pair[1], self._judged(self._challenger, sample.asked)
        if "late" in verdict:
            return DROPPED.labels(self.family, "late").inc()
        self._comparisons.add(sample, pointer, verdict)

    def _judged(self, challenger: Challenger, asked: Asked) -> dict[str, Any]:
        """The challenger's verdict; its death is one, its silence, or the service's end, is none."""
        begun = time.monotonic()
        try:
            return challenger.judge(asked)
        except Gone as gone:
            self._failed(str(gone))
            if isinstance(gone, Late) or self._closed.is_set():
                return {"late": True}
            return {"agrees": False, "confidence": None, "seconds": time.monotonic() - begun, "failed": str(gone)}


def _digests(pair: Pair) -> Digests:
    return pair[0], pair[1]["model"]["digest"]


class _Comparisons:
    """What was compared: counted at once, written together."""

    def __init__(self, family: str, store: predictions.Store) -> None:
        self.family, self._store = family, store
        self._rows: list[predictions.Row] = []
        self._written, self._fault = -math.inf, ""

    def add(self, sample: Sample, pointer: model_store.Pointer, verdict: dict[str, Any]) -> None:
        challenger = pointer["model"]["digest"]
        labels = self.family, challenger[:12]
        COMPARED.labels(*labels, "failed" if "failed" in verdict else "agrees" if verdict["agrees"] else "differs").inc()
        LATENCY.labels(*labels).observe(verdict["seconds"])
        if verdict["confidence"] is not None:
            CONFIDENCE.labels(*labels).observe(verdict["confidence"])
        row = {"id": sample.asked.answer["prediction_id"], "family": self.family, "time": predictions.timestamp(time.time())}
        pair = {"champion": sample.champion, "challenger": challenger, "champion_milliseconds": sample.seconds * 1000}
        told = {"agrees": verdict["agrees"], "confidence": verdict["confidence"], "milliseconds": verdict["seconds"] * 1000}
        self._rows.append({**row, **pair, **told})

    def write_in_time(self) -> None:
        if self._rows and time.monotonic() - self._written > WRITING:
            self._written = time.monotonic()
            self.write()

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
        except Exception:  # no row that can be kept: it must not hold up the others for ever
            self._rows = []
            self._lost(len(rows))
            raise
        else:
            self._rows, self._fault = [], ""

    def end(self) -> None:
        """Write what waits; what is left then is lost."""
        self.write()
        self._lost(len(self._rows))
        self._store.close()

    def _lost(self, count: int) -> None:
        if count:
            DROPPED.labels(self.family, "not recorded").inc(count)


class _Figures:
    """What the store says of one pair, of all workers: looked at by the shadow's thread, told to whoever asks, and to /metrics."""

    def __init__(self, family: str, store: predictions.Store) -> None:
        self.family, self._store = family, store
        self._pair: Digests | None = None
        self._found: tuple[Digests | None, dict[str, Any]] = None, {}
        self._looked = -math.inf

    def of(self, pair: Digests) -> dict[str, Any]:
        """agreement() and its 95 % interval, as they were found last; `samples` is None where the database did not answer."""
        known, found = self._found
        return found if known == pair else {"samples": 0}

    def follow(self, pair: Digests | None) -> None:
        """Look at another pair from now on, or at none; of the one before /metrics says no more than that."""
        if self._pair:
            self._tell(self._pair, 0, math.nan)
        self._pair, self._looked = pair, -math.inf

    def look_in_time(self) -> None:
        if self._pair and time.monotonic() - self._looked > FRESH:
            found = self._looked_up(*self._pair)
            self._found, self._looked = (self._pair, found), time.monotonic()
            if found["samples"] is not None:
                self._tell(self._pair, found["samples"], math.nan if found["agreement"] is None else found["agreement"])

    def _tell(self, pair: Digests, samples: int, agreement: float) -> None:
        labels = self.family, *(digest[:12] for digest in pair)
        SAMPLES.labels(*labels).set(samples)
        AGREEMENT.labels(*labels).set(agreement)

    def _looked_up(self, champion: str, challenger: str) -> dict[str, Any]:
        try:
            found = self._store.agreement(self.family, champion, challenger)
        except NoDatabase as absence:
            return {"samples": None, "absence": str(absence)}
        low, high = gate.interval(round((found["agreement"] or 0) * found["samples"]), found["samples"])
        return {**found, "low": low, "high": high}
