"""The thread of a service that retries lost jobs, deletes old results, and where there is a broker hands ids over to it."""

import logging
import threading
import time

from prometheus_client import Gauge

from pipelines import processes
from pipelines.databases import NoDatabase
from serving.jobs.backlog import MOST, Backlog
from serving.jobs.broker import Broker

logger = logging.getLogger("atelier.serving")
INTERVAL = 1.0  # seconds between two polls
OVERDUE = 5.0  # seconds until a job that was handed over and not begun counts as lost while the broker holds no id
OVERDUE_AMONG_OTHERS = 600.0  # the same, while it holds others
SWEEP_INTERVAL = 600.0  # seconds

JOBS = Gauge("atelier_jobs", "Jobs that are not final.", ["family", "state"], multiprocess_mode="mostrecent")
UP = "Does the broker of jobs answer? 1 or 0; without BROKER_URL there is none, and no figure."
BROKER = Gauge("atelier_broker_up", UP, ["family"], multiprocess_mode="mostrecent")


class Dispatcher:
    """Several of them, one in each process of a service, do no harm: the database decides who hands over what."""

    def __init__(self, backlog: Backlog, broker: Broker | None = None) -> None:
        self.backlog, self.broker = backlog, broker
        self._woken, self._polled, self._swept, self._reached = threading.Event(), -INTERVAL, 0.0, True

    def start(self) -> None:
        """Start the daemon thread."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.backlog.family}-jobs").start()

    def wake(self) -> None:
        """Hand a new job over at once; workers that poll find it without."""
        if self.broker:
            self._woken.set()

    def _watch(self) -> None:
        while True:
            woken = self._woken.wait(INTERVAL)
            self._woken.clear()
            try:
                self.step(woken)
                self._reached = True
            except NoDatabase as absence:
                if self._reached:
                    logger.error("jobs wait: %s", absence)
                self._reached = False
            except Exception:
                logger.exception("the dispatcher of %s failed; it tries again in a second", self.backlog.family)

    def step(self, woken: bool) -> None:
        """Hand over new jobs when woken, or poll(): however many jobs come, it polls every INTERVAL."""
        polled = time.monotonic() - self._polled < INTERVAL
        if self.broker and woken and polled and not self.broker.away:
            return self._hand_over(self.broker)
        self.poll()

    def poll(self) -> None:
        """Retry lost jobs, hand over what is due, update the metrics, delete old results now and then."""
        self._polled = time.monotonic()
        if lost := self.backlog.retry_lost(processes.gone):
            logger.warning("%s jobs were at workers that died", lost)
        if self.broker:
            self._poll_broker(self.broker)
        for state, count in self.backlog.counts().items():
            JOBS.labels(self.backlog.family, state).set(count)
        if time.monotonic() - self._swept > SWEEP_INTERVAL or not self._swept:
            self._swept = time.monotonic()
            self.backlog.sweep()

    def _poll_broker(self, broker: Broker) -> None:
        waiting = broker.waiting()
        BROKER.labels(self.backlog.family).set(broker.away is None)
        if waiting is None:
            return
        if waiting <= MOST:  # more ids than jobs: many twice already
            self._take_back_overdue(OVERDUE_AMONG_OTHERS if waiting else OVERDUE)
        self._hand_over(broker)

    def _take_back_overdue(self, seconds: float) -> None:
        if lost := self.backlog.take_back_overdue(seconds):
            logger.warning("%s jobs were handed to the broker %g s ago, and are not begun: they are handed over again", lost, seconds)

    def _hand_over(self, broker: Broker) -> None:
        while ids := self.backlog.hand_over():
            if left := broker.send(ids):
                return self.backlog.take_back(left)
