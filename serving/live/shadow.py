"""Compares the champion's answers with a challenger's: a share of them waits in a bounded queue, and a thread has them answered again.

The challenger is a process of its own (challenger.py; docs/decisions/0081). What finds no place in the queue is dropped and counted; what
was compared is recorded in the prediction store. Answers of jobs are not compared: their workers have no challenger.
"""

import atexit
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from prometheus_client import Gauge

from pipelines import predictions
from pipelines.registry import store as model_store
from serving.inputs.bodies import Body
from serving.live.challenger import Asked, Challenger, ChallengerError, Late
from serving.live.champion import Champion, Served
from serving.live.comparisons import DROPPED, Comparisons, Digests, Figures
from serving.live.recorder import chosen

logger = logging.getLogger("atelier.serving")
QUEUE, QUEUE_MB = 64, 64  # samples, and megabytes of bodies, that wait at most
INTERVAL = 0.5  # seconds between two polls of the pointers
LEAVING = 5.0  # seconds for the thread to end
PAUSE, GROWTH, LONGEST = 1.0, 4, 1800.0  # seconds until a challenger that failed is restarted, the factor for each failure, and the limit
RECENT = 3600.0  # seconds in which failures count

REFUSED = Gauge("atelier_shadow_refused", "1 where a worker's challenger does not answer.", ["family"], multiprocess_mode="livemax")

Pair = tuple[str, model_store.Pointer]  # a champion's digest, and its challenger's pointer


class Sample(NamedTuple):
    """What the champion of this digest has answered, and in how many seconds."""

    asked: Asked
    champion: str
    seconds: float


class Backoff:
    """When to restart what failed: after a pause that grows with each failure within the hour, whatever succeeded in between."""

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
    """Follows the challenger's pointer, and compares. No fault here reaches an answer."""

    def __init__(self, champion: Champion) -> None:
        self.family, self._champion = champion.family, champion
        self._share = 0.0  # above 0 once the challenger has loaded
        self._waiting: SimpleQueue[Sample] = SimpleQueue()
        self._offered = self._taken = 0  # bytes of bodies, each counted by one thread alone
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name=f"{self.family}-shadow")
        self._pair: Pair | None = None
        self._challenger: Challenger | None = None
        self._backoff, self._refused, self._fault, self._polled = Backoff(), "", "", -math.inf
        store = predictions.Store()
        self._comparisons, self._figures = Comparisons(self.family, store), Figures(self.family, store)

    def start(self) -> None:
        """Compare in a thread until close(), or the process's end."""
        self._thread.start()
        atexit.register(self.close)

    def offer(self, body: Body, served: Served, answer: dict[str, Any], seconds: float, arguments: Sequence[Any] = ()) -> None:
        """Queue an answer to be compared, if it is in the share and there is a place. `arguments` are JSON values."""
        if not self._share or not chosen(answer["prediction_id"], self._share):
            return
        if self._waiting.qsize() >= QUEUE or self._offered - self._taken + len(body.content) > QUEUE_MB * 1e6:
            return DROPPED.labels(self.family, "full").inc()
        self._offered += len(body.content)
        self._waiting.put(Sample(Asked(body, arguments, answer), served.pointer["model"]["digest"], seconds))

    def status(self) -> dict[str, Any] | None:
        """{"model", "challenge", "refused": why, or "", "asked": has it loaded} and the store's agreement(), as of a few seconds ago.

        None without a challenger, only "refused" where its pointer cannot be read. `samples` is None where the database does not answer.
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
                self._figures.refresh_in_time()
            except Exception as fault:
                if repr(fault) != self._fault:  # logged once, however long it lasts
                    logger.exception("a fault of the shadow of %s; answers go on", self.family)
                self._fault = repr(fault)
                self._closed.wait(INTERVAL)

    def _follow(self) -> None:
        """Start over where a pointer has moved, and restart where a pause is over."""
        if time.monotonic() - self._polled < INTERVAL:
            return
        self._polled = time.monotonic()
        served = self._champion.served
        champion, fault = served.pointer["model"]["digest"], ""
        try:
            pointer = model_store.challenger(self.family)
        except model_store.NoChampion as error:
            pointer, fault = None, str(error)
        pair = (champion, pointer) if pointer and pointer["model"]["digest"] != champion else None
        if pair != self._pair:
            self._switch(pair)
        if pair is None:
            self._refuse(fault)
        elif not self._share and (self._challenger or self._backoff.due):
            self._start(served, pair[1])

    def _switch(self, pair: Pair | None) -> None:
        self._end()
        self._pair, self._backoff = pair, Backoff()
        self._figures.select(pair and _digests(pair))
        self._refuse("")

    def _start(self, served: Served, pointer: model_store.Pointer) -> None:
        """Start the challenger, or use it once it has loaded; one that does not load, or does not fit, is refused."""
        try:
            if "absent" in pointer:
                raise ChallengerError(pointer["absent"])
            self._challenger = self._challenger or Challenger(self.family, pointer, served)
            if not self._challenger.ready():
                return
        except (ChallengerError, OSError) as fault:
            return self._fail(str(fault))
        self._refuse("")
        self._share = pointer["challenge"]["share"]
        logger.info("%s is challenged by %s", self.family, pointer["challenge"]["candidate"])

    def _fail(self, why: str) -> None:
        """End the challenger until the pause is over."""
        self._end()
        if not self._closed.is_set():
            self._backoff.failed()
            self._refuse(why)

    def _refuse(self, why: str) -> None:
        """Why the challenger is not asked, logged once; "" where it is, or there is none."""
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
        """The next sample; it is dropped where the champion or the challenger has changed since, or gave no verdict."""
        try:
            sample = self._waiting.get(timeout=INTERVAL / 2)
        except Empty:
            return
        self._taken += len(sample.asked.body.content)
        if self._pair is None or self._challenger is None or not self._share or sample.champion != self._pair[0]:
            return DROPPED.labels(self.family, "moved").inc()
        pair, verdict = _digests(self._pair), self._judged(self._challenger, sample.asked)
        if "late" in verdict:
            return DROPPED.labels(self.family, "late").inc()
        self._comparisons.add(sample.asked.answer["prediction_id"], pair, sample.seconds, verdict)

    def _judged(self, challenger: Challenger, asked: Asked) -> dict[str, Any]:
        """The challenger's verdict; its death is one, its silence, or the service's end, is none."""
        begun = time.monotonic()
        try:
            return challenger.judge(asked)
        except ChallengerError as fault:
            self._fail(str(fault))
            if isinstance(fault, Late) or self._closed.is_set():
                return {"late": True}
            return {"agrees": False, "confidence": None, "seconds": time.monotonic() - begun, "failed": str(fault)}


def _digests(pair: Pair) -> Digests:
    return pair[0], pair[1]["model"]["digest"]
