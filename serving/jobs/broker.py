"""Celery over RabbitMQ, which carries ids of jobs to workers where BROKER_URL names one; without it workers poll the table of jobs.

Celery takes a third of a second to import: it waits until a broker is asked for.
"""

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from serving.jobs.backlog import Backlog

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger("atelier.serving")
Result = TypeVar("Result")
TASK = "atelier.job"
PATIENCE = 5  # seconds for a broker to answer
SCHEMES = ("amqp", "amqps")


class BadBroker(ValueError):
    """BROKER_URL names no broker of a kind that is known."""


def url() -> str:
    """Where the broker is; empty where there is none. Raises BadBroker."""
    address = os.environ.get("BROKER_URL") or ""
    if address and address.partition("://")[0] not in SCHEMES:
        raise BadBroker(
            "BROKER_URL (it is not shown: a password may be in it) is no broker that is known here. "
            "Set amqp://<name>:<password>@<host>/<virtual host>, or nothing: workers then poll the table of jobs."
        )
    return address


def application(backlog: Backlog) -> "Celery":
    """Celery for the jobs of this backlog; nothing is connected yet. Raises BadBroker.

    The queue bears the backlog's own name: projects that share a RabbitMQ do not take each other's jobs.
    """
    from celery import Celery
    from kombu import Queue

    app = Celery(f"atelier-{backlog.family}", set_as_current=False)
    name = f"atelier-{backlog.family}-{backlog.name}"
    app.conf.update(
        broker_url=url(),
        broker_transport_options={"confirm_publish": True},
        broker_heartbeat=0,  # a worker that computes answers none; TCP tells who has died
        broker_connection_timeout=PATIENCE,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        task_queues=[Queue(name, routing_key=name)],
        task_default_queue=name,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app


class Broker:
    """The broker as who hands over sees it. `away` says why it does not answer; None: it does, or has not been asked."""

    def __init__(self, app: "Celery") -> None:
        self.app = app
        self.away: str | None = None
        self._producer: Any = None

    def hand(self, ids: Iterable[str]) -> list[str]:
        """Give it these ids. Returns those that it has not taken: it is away."""
        left = list(ids)

        def given(producer: Any) -> None:
            while left:
                self.app.send_task(TASK, [left[0]], task_id=left[0], producer=producer, retry=False, confirm_timeout=PATIENCE)
                left.pop(0)

        self._asked(given)
        return left

    def waiting(self) -> int | None:
        """How many ids it holds that no worker has; None: it is away. A queue that is not there is made."""
        queue = self.app.amqp.queues[self.app.conf.task_default_queue]
        return self._asked(lambda producer: int(queue(producer.channel).queue_declare().message_count))

    def _asked(self, work: Callable[[Any], Result]) -> Result | None:
        """work(a producer, connected); None where that goes wrong, whatever the reason: the broker is away."""
        try:
            if self._producer is None:
                connection = self.app.connection_for_write()
                connection.transport_options |= {"read_timeout": PATIENCE, "write_timeout": PATIENCE}
                self._producer = self.app.amqp.Producer(connection.connect() and connection, auto_declare=False)
            found = work(self._producer)
        except Exception as error:
            self._lose()
            self._say(f"{type(error).__name__}: {error}")
            return None
        self._say(None)
        return found

    def _lose(self) -> None:
        lost, self._producer = self._producer, None
        if lost is not None:
            with suppress(Exception):  # it may be half dead
                lost.connection.collect(PATIENCE)

    def _say(self, away: str | None) -> None:
        """Into the log, when it goes and when it comes back."""
        if away and not self.away:
            logger.error("the broker is away, and jobs wait: %s", away)
        if self.away and not away:
            logger.info("the broker is back")
        self.away = away
