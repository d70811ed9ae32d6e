"""A worker over RabbitMQ: Celery delivers the ids of jobs."""

import logging
import time
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject
from celery.worker import state
from celery.worker.consumer import Consumer

from pipelines.databases import NoDatabase
from serving import telemetry
from serving.jobs import broker

logger = logging.getLogger("atelier.serving")
PAUSE = 1.0  # seconds until a broker or a database that is away is asked again


class PatientConsumer(Consumer):
    """Asks every second for a broker that is away: Celery's own pauses grow to half a minute."""

    def ensure_connected(self, conn: Any) -> Any:
        """The connection, once the broker answers."""

        def absent(error: Exception, _: float) -> None:
            if not self.broker_connection_retry_attempt:
                logger.error("the broker is away, and the worker waits for it: %s", error)
            self.broker_connection_retry_attempt += 1

        conn.ensure_connection(absent, None, PAUSE, 0, callback=state.maybe_shutdown)
        self.first_connection_attempt, self.broker_connection_retry_attempt = False, 0
        return conn


def consume(app: Celery, name: str, work: Callable[[str], Any], leave: Callable[[], None]) -> int:
    """Call work(id) for each id until a signal ends it, then leave(). Returns the exit status."""

    def job(id: str) -> None:  # Celery inspects its signature: no lambda
        receive(work, id)

    app.task(name=broker.TASK)(job)
    signals.setup_logging.connect(lambda **_: log_as_json(), weak=False)
    signals.worker_shutting_down.connect(lambda **_: leave(), weak=False)
    quiet = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True, "quiet": True, "loglevel": "WARNING"}
    worker = app.Worker(pool_cls="solo", concurrency=1, consumer_cls=PatientConsumer, hostname=f"{name}@localhost", **quiet)
    worker.start()
    return int(worker.exitcode or 0)


def receive(work: Callable[[str], Any], id: str) -> None:
    """Do the job of this id. Raises Reject where the database is away: the broker keeps the id."""
    try:
        work(id)
    except NoDatabase as absence:
        logger.error("a job waits: %s", absence)
        time.sleep(PAUSE)
        raise Reject(str(absence), requeue=True) from None


def log_as_json() -> None:
    """As the service does; of Celery only warnings."""
    telemetry.log_as_json()
    celery = logging.getLogger("celery")
    celery.handlers, celery.propagate = logging.getLogger("atelier").handlers, False
    celery.setLevel(logging.WARNING)
