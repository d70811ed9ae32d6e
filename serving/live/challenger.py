"""A challenger answers in a process of its own, at the lowest priority: `Challenger` controls it, main() is what it runs.

Over a socket it is sent a line of JSON {"family", "pointer", "champion": the manifest's input and output}, and replies {"ready": true} or
{"refused": why}. Then, one at a time, it is sent {"json", "size", "arguments", "answer"} and the body's bytes, and replies {"agrees",
"confidence", "seconds"}, and "failed" where it could not answer what the champion could; or {"late": true}. It ends with its input.
"""

import asyncio
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from queue import SimpleQueue
from types import ModuleType
from typing import IO, Any, NamedTuple

from pipelines import configs, phrases
from pipelines.registry import gate, store
from serving import exits, telemetry
from serving.inputs.bodies import Body
from serving.live import champion
from serving.live.champion import Served
from serving.problems import Refusal

START = "import os; os.nice(19); from serving.live import challenger; challenger.main()"
STARTING, STUCK = 3600.0, 120.0  # seconds to load, and to answer; on a busy machine one second's work takes two minutes
ENDING = 5.0  # seconds
EXPENDABLE = 1000  # Linux: oom_score_adj, so it is killed first when memory runs out


class ChallengerError(RuntimeError):
    """The challenger's process has ended, or its model cannot be compared with the champion's."""


class Late(ChallengerError):
    """It has not replied in time: it hangs, or gets no processor time. That says nothing about its model."""


class Asked(NamedTuple):
    """A body, the further arguments of the question, and the champion's answer."""

    body: Body
    arguments: Sequence[Any]
    answer: dict[str, Any]


class Challenger:
    """The process of one challenger of one champion, started here. Raises ChallengerError or OSError.

    Used by one thread; end() may be called by any. It counts no metrics.
    """

    def __init__(self, family: str, pointer: store.Pointer, current: Served) -> None:
        environment = {name: value for name, value in os.environ.items() if name != telemetry.METRICS_FOLDER}
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen([sys.executable, "-c", START], stdin=theirs.fileno(), stdout=theirs.fileno(), env=environment)
        self._replies = self._socket.makefile("rb")
        schema = {key: current.predictor.manifest[key] for key in ("input", "output")} | {"version": current.pointer["model"]["version"]}
        self._deadline = time.monotonic() + STARTING
        self._send({"family": family, "pointer": pointer, "champion": schema}, b"", self._deadline)

    def ready(self) -> bool:
        """Has it loaded? Does not wait for it. Raises ChallengerError with why it will not answer."""
        try:
            with self._until(time.monotonic()):
                self._socket.recv(1, socket.MSG_PEEK)
        except Late:
            if time.monotonic() > self._deadline:
                raise
            return False
        reply = self._reply(self._deadline)
        if "refused" in reply:
            raise ChallengerError(reply["refused"])
        return True

    def judge(self, asked: Asked) -> dict[str, Any]:
        """{"agrees", "confidence", "seconds"}, and "failed", of one body; or {"late": true}. Raises ChallengerError or Late."""
        body, deadline = asked.body, time.monotonic() + STUCK
        head = {"json": body.json, "size": len(body.content), "arguments": [*asked.arguments], "answer": asked.answer}
        self._send(head, body.content, deadline)
        return self._reply(deadline)

    def _send(self, head: dict[str, Any], content: bytes, deadline: float) -> None:
        with self._until(deadline):
            self._socket.sendall(json.dumps(head).encode() + b"\n" + content)

    def _reply(self, deadline: float) -> dict[str, Any]:
        with self._until(deadline):
            reply: dict[str, Any] = json.loads(self._replies.readline())
        return reply

    @contextmanager
    def _until(self, deadline: float) -> Iterator[None]:
        """Use the socket until the deadline. Raises Late, or ChallengerError where the process has ended."""
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            yield
        except TimeoutError:
            raise Late("it does not answer in time: it hangs, or this machine is overloaded") from None
        except (OSError, ValueError):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING)
            raise ChallengerError(f"its process has ended {exits.why(self._process.returncode or 0)}") from None

    def end(self) -> None:
        """Kill it, whatever it is doing."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Answer until the input ends."""
    replies, requests = _isolate(), sys.stdin.buffer
    first = json.loads(requests.readline())
    family = first["family"]
    try:
        served = load(family, first["pointer"], first["champion"])
    except Exception as error:
        return _write(replies, {"refused": phrases.one_line(error)})
    _write(replies, {"ready": True})
    answers, limits = import_module(f"serving.{family}.answers"), configs.serving(family)
    waiting: SimpleQueue[Asked] = SimpleQueue()
    threading.Thread(target=_read, args=(requests, waiting), daemon=True).start()
    with asyncio.Runner() as runner:
        while True:
            _write(replies, runner.run(judged(answers, waiting.get(), served, limits)))


def _isolate() -> IO[bytes]:
    """Take the lowest priority, and reserve standard output, which is returned, for replies: what a library prints goes to the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the service says when to end
    telemetry.log_as_json()
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 (no file on a disk)
        score.write(str(EXPENDABLE))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def load(family: str, pointer: store.Pointer, current: dict[str, Any]) -> Served:
    """The challenger, loaded as a champion is. Raises ChallengerError where its schema is not that of the `current` champion."""
    served = champion.load(family, pointer)
    fits = gate.schema(served.predictor.manifest, current)
    if not fits.holds:
        raise ChallengerError(f"{fits.words}. `make challenge family={family} candidate=...` sets another; candidate=none removes it.")
    return served


def _read(requests: IO[bytes], waiting: "SimpleQueue[Asked]") -> None:
    """A thread's: read requests; at the end of the input end the process, whatever it is doing."""
    while head := requests.readline():
        request = json.loads(head)
        waiting.put(Asked(Body(request["json"], requests.read(request["size"])), request["arguments"], request["answer"]))
    os._exit(0)


def _write(replies: IO[bytes], reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply).encode() + b"\n")
    replies.flush()


async def judged(answers: ModuleType, asked: Asked, served: Served, limits: configs.Serving) -> dict[str, Any]:
    """The verdict on the challenger's answer; one that is refused or fails does not agree.

    {"late": True} after a timeout: at the lowest priority that says nothing about the model.
    """
    answered = getattr(answers, "compared", answers.predict)
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(limits.limit_seconds):
            other = await answered(asked.body, served, limits, *asked.arguments)
        seconds = time.perf_counter() - begun
        return {"agrees": answers.agrees(asked.answer, other), "confidence": _finite(answers.confidence(other)), "seconds": seconds}
    except TimeoutError:
        return {"late": True}
    except Exception as error:
        failed = error.reason if isinstance(error, Refusal) else phrases.one_line(error)
        return {"agrees": False, "confidence": None, "seconds": time.perf_counter() - begun, "failed": failed}


def _finite(confidence: float | None) -> float | None:
    """The confidence, if any. Raises ValueError for NaN and infinity, which cannot be averaged."""
    if confidence is not None and not math.isfinite(confidence):
        raise ValueError(f"its confidence is {confidence}")
    return confidence
