"""A plain Celery task on the same broker: the same work, acknowledged late, one prefetched, results in SQLite by Celery's own backend."""

import os
from typing import Any

from celery import Celery

from serving.jobs import tasks

app = Celery("plain", broker=os.environ.get("BROKER_URL"), backend=os.environ.get("PEER_RESULTS"), set_as_current=False)
app.conf.update(
    task_default_queue=os.environ.get("PEER_QUEUE", "plain"),
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"confirm_publish": True},
    database_short_lived_sessions=False,
)


@app.task(name="plain.hello")
def hello() -> dict[str, Any]:
    """What `POST /jobs?task=hello` has done."""
    return tasks.hello(b"", None)  # type: ignore[arg-type]
