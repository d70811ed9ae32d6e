"""Celery over RabbitMQ, which delivers ids of jobs to workers where BROKER_URL names one; without it workers poll the table of jobs.

Celery takes a third of a second to import, so it is imported only where there is a broker.
"""

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pipelines.errors import BadSetting
from serving.jobs.backlog import Backlog

if TYPE_CHECKING:
    from celery import Celery

logger = logging.getLogger("atelier.serving")
Result = TypeVar("Result")
TASK = "atelier.job"
PATIENCE = 5  # seconds for a broker to answer


def url() -> str:
    """The broker's address; empty where there is none. Raises BadSetting."""
    address = os.environ.get("BROKER_URL") or ""
    if address and not address.startswith(("amqp://", "amqps://")):
        raise BadSetting(
            "BROKER_URL (not shown: it may hold a password) is not an AMQP address. "
            "Set amqp://<name>:<password>@<host>/<virtual host>, or nothing: workers then poll the table of jobs."
        )
    return address


def application(backlog: Backlog) -> "Celery":
    """Celery for the jobs of this backlog, not connected yet. Raises BadSetting.

    The queue has the backlog's name in its own: projects that share a RabbitMQ do not take each other's jobs.
    """
    from celery import Celery
    from kombu import Queue

    app = Celery(f"atelier-{backlog.family}", set_as_current=False)
    name = f"atelier-{backlog.family}-{backlog.name}"
    app.conf.update(
        broker_url=url(),
        broker_transport_options={"confirm_publish": True},
        broker_heartbeat=0,  # a worker that computes answers none; TCP notices who has died
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
    """The broker as the dispatcher uses it. `away` says why it does not answer; None: it does, or has not been asked."""

    def __init__(self, app: "Celery") -> None:
        self.app = app
        self.away: str | None = None
        self._producer: Any = None

    def send(self, ids: Iterable[str]) -> list[str]:
        """Send these ids; returns those that it has not accepted."""
        left = list(ids)

        def send_all(producer: Any) -> None:
            while left:
                self.app.send_task(TASK, [left[0]], task_id=left[0], producer=producer, retry=False, confirm_timeout=PATIENCE)
                left.pop(0)

        self._with_producer(send_all)
        return left

    def waiting(self) -> int | None:
        """How many ids wait in its queue, which is declared where it is missing; None: the broker is away."""
        queue = self.app.amqp.queues[self.app.conf.task_default_queue]
        return self._with_producer(lambda producer: int(queue(producer.channel).queue_declare().message_count))

    def _with_producer(self, work: Callable[[Any], Result]) -> Result | None:
        """work(a connected producer); None where that fails for any reason: the broker is away."""
        try:
            if self._producer is None:
                connection = self.app.connection_for_write()
                connection.transport_options |= {"read_timeout": PATIENCE, "write_timeout": PATIENCE}
                self._producer = self.app.amqp.Producer(connection.connect() and connection, auto_declare=False)
            found = work(self._producer)
        except Exception as error:
            lost, self._producer = self._producer, None
            with suppress(Exception):  # None, or half dead
                lost.connection.collect(PATIENCE)
            self._note(f"{type(error).__name__}: {error}")
            return None
        self._note(None)
        return found

    def _note(self, away: str | None) -> None:
        """Log when it goes and when it comes back."""
        if away and not self.away:
            logger.error("the broker is away, and jobs wait: %s", away)
        if self.away and not away:
            logger.info("the broker is back")
        self.away = away
