"""The embedded broker, for Celery where no BROKER_URL names another: ids as files of .store/messages/, each complete or absent.

Kombu's own `filesystem://` shows a message before it is written whole, and its `sqla+sqlite://` never deletes one. Here too a message that
a killed worker had taken is lost: serving/jobs/dispatcher.py hands its job over again.
"""

import json
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import virtual

from pipelines import paths

FOLDER = paths.ROOT / "messages"
TURN = 0.25  # seconds
NAME = "serving.jobs.messages:Transport"  # as Celery is told


class Channel(virtual.Channel):
    """A queue is a folder; its messages are taken in the order of their names, which begin with the time."""

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        name = f"{time.time_ns():020}-{uuid.uuid4().hex}"
        draft = self._folder(queue) / f".{name}"
        draft.write_text(json.dumps(message))
        draft.rename(draft.with_name(name))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for name in self._names(queue):
            waiting = FOLDER / queue / name
            taken = waiting.with_name(f".{name}")
            try:
                waiting.rename(taken)  # one succeeds
            except FileNotFoundError:
                continue
            message = json.loads(taken.read_text())
            taken.unlink()
            return message
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def _purge(self, queue: str) -> int:
        names = self._names(queue)
        for name in names:
            (FOLDER / queue / name).unlink(missing_ok=True)
        return len(names)

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return (FOLDER / queue).is_dir()

    def _new_queue(self, queue: str, **_: Any) -> None:
        self._folder(queue)

    def _folder(self, queue: str) -> Path:
        (FOLDER / queue).mkdir(parents=True, exist_ok=True)
        return FOLDER / queue

    @staticmethod
    def _names(queue: str) -> list[str]:
        try:
            with os.scandir(FOLDER / queue) as entries:
                return sorted(entry.name for entry in entries if entry.name[0] != ".")
        except FileNotFoundError:
            return []


class Transport(virtual.Transport):
    """Looks for messages twenty times a second; a worker hears soon that it is to end."""

    Channel = Channel
    polling_interval = 0.05
    driver_type = driver_name = "files"

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Wait for a message. Raises socket.timeout, which Celery takes for the end of a turn: it would wait for two seconds."""
        super().drain_events(connection, min(timeout or TURN, TURN))

    def driver_version(self) -> str:
        return "1"
