"""What a shadow found: each comparison of the champion's answer with the challenger's, and their agreement in the prediction store."""

import logging
import math
import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary

from pipelines import predictions
from pipelines.databases import NewerDatabase, NoDatabase
from pipelines.registry import gate
from serving import telemetry

logger = logging.getLogger("atelier.serving")
WRITING, STORED = 1.0, 1000  # seconds between two writes, and how many comparisons wait for a database that is away
FRESH = 5.0  # seconds between two reads of the store's figures

ONE, BOTH = ["family", "challenger"], ["family", "champion", "challenger"]  # 12 digits of their digests
COMPARED = Counter("atelier_shadow_answers_total", "The challenger's answers compared with the champion's.", [*ONE, "verdict"])
DROPPED = Counter("atelier_shadow_dropped_total", "Answers that were not compared, or not recorded, by reason.", ["family", "reason"])
LATENCY = Histogram("atelier_shadow_seconds", "The challenger's time for an answer.", ONE, buckets=telemetry.SECONDS)
CONFIDENCE = Summary("atelier_shadow_confidence", "The challenger's confidence in its answers.", ONE)
SAMPLES = Gauge("atelier_shadow_samples", "Comparisons of the two that are recorded.", BOTH, multiprocess_mode="mostrecent")
AGREEMENT = Gauge("atelier_shadow_agreement", "The share of them that agrees.", BOTH, multiprocess_mode="mostrecent")

Digests = tuple[str, str]  # of a champion, and of a challenger


class Comparisons:
    """Counts each comparison at once, and writes them together."""

    def __init__(self, family: str, store: predictions.Store) -> None:
        self.family, self._store = family, store
        self._rows: list[predictions.Row] = []
        self._written, self._fault = -math.inf, ""

    def add(self, id: str, pair: Digests, seconds: float, verdict: dict[str, Any]) -> None:
        """The verdict on the answer of this id, which took the champion so many seconds."""
        labels = self.family, pair[1][:12]
        COMPARED.labels(*labels, "failed" if "failed" in verdict else "agrees" if verdict["agrees"] else "differs").inc()
        LATENCY.labels(*labels).observe(verdict["seconds"])
        if verdict["confidence"] is not None:
            CONFIDENCE.labels(*labels).observe(verdict["confidence"])
        self._rows.append(
            {
                "id": id,
                "family": self.family,
                "time": predictions.timestamp(time.time()),
                "champion": pair[0],
                "challenger": pair[1],
                "champion_milliseconds": seconds * 1000,
                "agrees": verdict["agrees"],
                "confidence": verdict["confidence"],
                "milliseconds": verdict["seconds"] * 1000,
            }
        )

    def write_in_time(self) -> None:
        """Write what waits, every WRITING seconds."""
        if time.monotonic() - self._written > WRITING:
            self._written = time.monotonic()
            self.write()

    def write(self) -> None:
        """Write what waits; where the database does not answer, the last STORED of them go on waiting."""
        if not (rows := self._rows):
            return
        try:
            self._store.compare(rows)
            self._rows, self._fault = [], ""
        except (NoDatabase, NewerDatabase) as absence:
            self._rows = rows[-STORED:]
            self._drop(len(rows) - len(self._rows))
            if str(absence) != self._fault:
                logger.warning("comparisons of %s wait to be recorded, the last %d of them: %s", self.family, STORED, absence)
            self._fault = str(absence)
        except Exception:  # a row that cannot be stored must not hold up the others for ever
            self._rows = []
            self._drop(len(rows))
            raise

    def end(self) -> None:
        """Write what waits; what is left then is lost."""
        self.write()
        self._drop(len(self._rows))
        self._store.close()

    def _drop(self, count: int) -> None:
        if count:
            DROPPED.labels(self.family, "not recorded").inc(count)


class Figures:
    """The store's agreement of one pair, over all workers: read by the shadow's thread, for the page and /metrics."""

    def __init__(self, family: str, store: predictions.Store) -> None:
        self.family, self._store = family, store
        self._pair: Digests | None = None
        self._found: tuple[Digests | None, dict[str, Any]] = None, {}
        self._polled = -math.inf

    def of(self, pair: Digests) -> dict[str, Any]:
        """agreement() and its 95 % interval, as they were read last; `samples` is None where the database did not answer."""
        known, found = self._found
        return found if known == pair else {"samples": 0}

    def select(self, pair: Digests | None) -> None:
        """Read the figures of this pair from now on, or of none; the gauges of the previous pair are reset."""
        if self._pair:
            self._publish(self._pair, 0, math.nan)
        self._pair, self._polled = pair, -math.inf

    def refresh_in_time(self) -> None:
        """Read them again, every FRESH seconds."""
        if self._pair and time.monotonic() - self._polled > FRESH:
            found = self._read(*self._pair)
            self._found, self._polled = (self._pair, found), time.monotonic()
            if found["samples"] is not None:
                self._publish(self._pair, found["samples"], math.nan if found["agreement"] is None else found["agreement"])

    def _publish(self, pair: Digests, samples: int, agreement: float) -> None:
        labels = self.family, *(digest[:12] for digest in pair)
        SAMPLES.labels(*labels).set(samples)
        AGREEMENT.labels(*labels).set(agreement)

    def _read(self, champion: str, challenger: str) -> dict[str, Any]:
        try:
            found = self._store.agreement(self.family, champion, challenger)
        except NoDatabase as absence:
            return {"samples": None, "absence": str(absence)}
        low, high = gate.interval(round((found["agreement"] or 0) * found["samples"]), found["samples"])
        return {**found, "low": low, "high": high}
