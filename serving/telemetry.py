"""Request ids, a line of JSON in the log for every request, and metrics for Prometheus."""

import asyncio
import json
import logging
import os
import re
import secrets
import sys
import time
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import Counter, Gauge, Histogram, multiprocess
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metric_files
from serving.problems import Refused, fault

metric_files.install()
logger = logging.getLogger("atelier.serving")
REQUEST_ID = re.compile(rb"[\w.-]{1,64}")  # what a client may send as its request id
LOGGED = 200  # characters of a path
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter("atelier_requests_total", "Requests answered.", ["family", "path", "status"])
LATENCY = Histogram("atelier_request_seconds", "From a request's first byte to its answer.", ["family", "path"], buckets=SECONDS)
REFUSALS = Counter("atelier_refusals_total", "Requests refused, by reason.", ["family", "reason"])
BATCHES = Histogram("atelier_batch_size", "Pictures answered together.", ["family"], buckets=(1, 2, 4, 8, 16, 32, 64))
VERSION = Gauge("atelier_model_version", "The version that is served.", ["family"], multiprocess_mode="mostrecent")
REFUSED = Gauge(
    "atelier_model_refused", "1 where a worker refuses the version that the pointer names.", ["family"], multiprocess_mode="livemax"
)
LOG_FILE = "LOG_FILE"  # the environment variable that names the file of the log; unset, it is standard error
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the environment variable that names the folder where the workers of one service share metrics


def remove_ended_workers() -> None:
    """Remove the live gauges of workers that have ended."""
    for path in Path(os.environ.get(METRICS_FOLDER, "none")).glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            with suppress(FileNotFoundError):  # another worker was faster
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Telemetry:
    """An application whose requests get an id (X-Request-ID), are logged and counted; unexpected errors are answered as a problem."""

    def __init__(self, app: ASGIApp, family: str) -> None:
        self.app, self.family = app, family

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        state = scope.setdefault("state", {})
        state["request_id"], status = _request_id(scope), 0

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", state["request_id"].encode())]
            await send(message)

        try:
            await self.app(scope, receive, with_id)
        except Exception:
            logger.exception("a fault of the service", extra={"facts": {"request_id": state["request_id"]}})
            if not status:
                await Refused(fault(state["request_id"]))(scope, receive, with_id)
        self._count(scope, status, time.perf_counter() - begun)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        path = getattr(scope.get("route"), "path", "other")
        REQUESTS.labels(self.family, path, status).inc()
        LATENCY.labels(self.family, path).observe(seconds)
        state = scope["state"]
        for reason in filter(None, [state.get("refusal"), *state.get("refusals", [])]):
            REFUSALS.labels(self.family, reason).inc()
        facts = {"method": scope["method"], "path": scope["path"][:LOGGED], "status": status, "ms": round(seconds * 1000, 2)}
        logger.info("request", extra={"facts": {**facts, **state}})


def _request_id(scope: Scope) -> str:
    """The client's id, where it is well formed; else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, message, its `facts`, and the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Together(logging.StreamHandler[Any]):
    """Writes what one turn of the event loop logs in one system call; at once what comes from elsewhere, or is a warning or worse."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock held."""
        try:
            self._lines.append(self.format(record) + self.terminator)
            loop = _loop()
            if loop is None or record.levelno >= logging.WARNING:
                self.flush()
            elif len(self._lines) == 1:
                loop.call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            lines, self._lines = self._lines, []
            self.stream.write("".join(lines))
            super().flush()


def _loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class ForPeople(logging.Handler):
    """Faults and the service's address as a person reads them, on a terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            print(f"{record.levelname.lower()}: {record.getMessage()}", file=sys.stderr)
        elif str(record.msg).startswith("Uvicorn running on"):
            address = record.getMessage().split()[3]
            print(f"{address} answers. Ctrl-C ends it. Log: {os.environ[LOG_FILE]}", file=sys.stderr)


def log_as_json() -> None:
    """Log the service and its server, a line of JSON each, to LOG_FILE or else standard error."""
    path = os.environ.get(LOG_FILE)
    handler = Together(Path(path).open("a") if path else sys.stderr)  # noqa: SIM115 (open as long as the process)
    handler.setFormatter(JsonFormatter())
    for name in ("atelier", "uvicorn.error"):
        log = logging.getLogger(name)
        log.handlers, log.propagate = [handler, *([ForPeople()] if path and sys.stderr.isatty() else [])], False
        log.setLevel(logging.INFO)
