"""What is done for the backlog beside the requests: lost jobs begun again, old results swept, and where there is a broker, ids to it."""

import logging
import threading
import time

from prometheus_client import Gauge

from pipelines import processes
from pipelines.databases import NoDatabase
from serving.jobs.backlog import MOST, Backlog
from serving.jobs.broker import Broker

logger = logging.getLogger("atelier.serving")
INTERVAL = 1.0  # seconds between two looks
MISSED = 5.0  # seconds that a job may be handed over and not begun while the broker holds no id
FORGOTTEN = 600.0  # the same, while it holds others: an id may have got lost alone
SWEPT = 600.0  # seconds between two sweeps

JOBS = Gauge("atelier_jobs", "Jobs that are not final.", ["family", "state"], multiprocess_mode="mostrecent")
UP = "Does the broker of jobs answer? 1 or 0; without BROKER_URL there is none, and no figure."
BROKER = Gauge("atelier_broker_up", UP, ["family"], multiprocess_mode="mostrecent")


class Keeper:
    """A thread of the service. Two of them, in two processes of a service, do no harm: the database decides who hands over what."""

    def __init__(self, backlog: Backlog, broker: Broker | None = None) -> None:
        self.backlog, self.broker = backlog, broker
        self._woken, self._looked, self._swept, self._reached = threading.Event(), -INTERVAL, 0.0, True

    def follow(self) -> None:
        """Begin, for as long as the process lives."""
        threading.Thread(target=self._watch, daemon=True, name=f"{self.backlog.family}-jobs").start()

    def wake(self) -> None:
        """There is a new job: a broker is told at once, a worker that polls finds it."""
        if self.broker:
            self._woken.set()

    def _watch(self) -> None:
        while True:
            woken = self._woken.wait(INTERVAL)
            self._woken.clear()
            try:
                self.turn(woken)
                self._reached = True
            except NoDatabase as absence:
                self._say(absence)
            except Exception:
                logger.exception("the jobs of %s are not looked after; the next look is in a second", self.backlog.family)

    def turn(self, woken: bool) -> None:
        """Hand over what is new, or look; the one does not keep the other from its turn, however many jobs come."""
        looked = time.monotonic() - self._looked < INTERVAL
        if self.broker and woken and looked and not self.broker.away:
            return self._hand_over(self.broker)
        self.look()

    def _say(self, absence: NoDatabase) -> None:
        if self._reached:
            logger.error("jobs wait: %s", absence)
        self._reached = False

    def look(self) -> None:
        """Put right what has come of workers and of the broker, hand over what is due, and tell the metrics."""
        self._looked = time.monotonic()
        if lost := self.backlog.lost(processes.gone):
            logger.warning("%s jobs were at workers that died", lost)
        if self.broker:
            self._look_at(self.broker)
        self._tell()
        self._sweep()

    def _look_at(self, broker: Broker) -> None:
        held = broker.waiting()
        BROKER.labels(self.backlog.family).set(broker.away is None)
        if held is not None:
            self._missed(held)
            self._hand_over(broker)

    def _missed(self, held: int) -> None:
        if held > MOST:  # more ids than jobs: many twice, and they are not made thrice
            return
        seconds = FORGOTTEN if held else MISSED
        if missed := self.backlog.missed(seconds):
            logger.warning("%s jobs were handed to the broker %g s ago, and are not begun: they are handed over again", missed, seconds)

    def _hand_over(self, broker: Broker) -> None:
        while ids := self.backlog.hand():
            if left := broker.hand(ids):
                return self.backlog.take_back(left)

    def _tell(self) -> None:
        for state, count in self.backlog.counts().items():
            JOBS.labels(self.backlog.family, state).set(count)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept > SWEPT or not self._swept:
            self._swept = time.monotonic()
            self.backlog.sweep()
