"""A challenger answers in a process of its own, on time that nobody else wants: `Challenger` holds it, main() is what it runs.

First it is told in a line of JSON {"family", "pointer", "champion": the manifest's input and output}; it says {"ready": true} or
{"refused": why}. Then, one at a time, it is given {"json", "size", "words", "answer"} and the body's bytes, and says {"agrees",
"confidence", "seconds"}, and "failed" where it could not answer what the champion could; or {"late": true}. It ends with its input.
"""

import asyncio
import json
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from types import ModuleType
from typing import IO, Any, NamedTuple

from pipelines import configs, phrases
from pipelines.registry import gate, store
from serving import telemetry
from serving.inputs.bodies import Body
from serving.live import champion
from serving.live.champion import Served
from serving.problems import Refusal

START = "import os; os.nice(19); from serving.live import challenger; challenger.main()"
STARTING, STUCK = 3600.0, 120.0  # seconds to load, and to answer; beside busy processors one second's work takes it two minutes
ENDING = 5.0  # seconds
EXPENDABLE = 1000  # of Linux: ended before anything else when memory runs out


class Gone(RuntimeError):
    """The challenger's process has ended, or will not answer."""


class Late(Gone):
    """It has said nothing in time: it hangs, or nobody let it run. That is no verdict on it."""


class Unfit(ValueError):
    """A model that does not take and answer what the champion does."""


class Asked(NamedTuple):
    """A body, what else was asked of it, and what the champion has answered."""

    body: Body
    words: Sequence[Any]
    answer: dict[str, Any]


class Challenger:
    """The process of one challenger beside one champion: begun here, to be asked once it is ready(). Raises Gone or OSError.

    Used by one thread; end() may be called by any. What it counts is no figure of the service.
    """

    def __init__(self, family: str, pointer: store.Pointer, beside: Served) -> None:
        environment = {name: value for name, value in os.environ.items() if name != telemetry.COUNTED}
        command = [sys.executable, "-c", START]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self._process.stdin and self._process.stdout  # noqa: S101 (pipes)
        self._given, self._replies = self._process.stdin.fileno(), self._process.stdout
        takes = {key: beside.predictor.manifest[key] for key in ("input", "output")} | {"version": beside.pointer["model"]["version"]}
        self._deadline = time.monotonic() + STARTING
        self._send({"family": family, "pointer": pointer, "champion": takes}, b"", self._deadline)

    def ready(self) -> bool:
        """Has it loaded? Does not wait for it. Raises Gone with why it will not answer."""
        try:
            told = self._told(time.monotonic())
        except Late:
            if time.monotonic() > self._deadline:
                raise
            return False
        if "refused" in told:
            raise Gone(told["refused"])
        return True

    def judge(self, asked: Asked) -> dict[str, Any]:
        """What it makes of one body: {"agrees", "confidence", "seconds"}, and "failed"; or "late", which is none. Raises Gone or Late."""
        body, deadline = asked.body, time.monotonic() + STUCK
        head = {"json": body.json, "size": len(body.content), "words": [*asked.words], "answer": asked.answer}
        self._send(head, body.content, deadline)
        return self._told(deadline)

    def _send(self, head: dict[str, Any], content: bytes, deadline: float) -> None:
        """Part by part: one that does not read must not hold whoever writes."""
        left = memoryview(json.dumps(head).encode() + b"\n" + content)
        try:
            while left:
                self._wait(self._given, select.POLLOUT, deadline)
                left = left[os.write(self._given, left[: select.PIPE_BUF]) :]
        except OSError:  # the pipe is closed
            self._gone()

    def _told(self, deadline: float) -> dict[str, Any]:
        try:
            self._wait(self._replies.fileno(), select.POLLIN, deadline)
            told: dict[str, Any] = json.loads(self._replies.readline() or b"null") or self._gone()
        except (OSError, ValueError):  # the pipe is closed
            self._gone()
        return told

    @staticmethod
    def _wait(descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Late("it does not answer in time: it hangs, or others leave it no time of this machine's processors")

    def _gone(self) -> Any:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING)
        raise Gone(f"its process has ended, with status {self._process.returncode}") from None

    def end(self) -> None:
        """At once, whatever it is doing: nobody waits for its answer."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """Answer until there is no more to answer."""
    replies, given = _alone(), sys.stdin.buffer
    told = json.loads(given.readline())
    try:
        served = loaded(told["family"], told["pointer"], told["champion"])
    except Exception as error:
        return _reply(replies, {"refused": phrases.one_line(error)})
    _reply(replies, {"ready": True})
    answers, limits = import_module(f"serving.{told['family']}.answers"), configs.serving(told["family"])
    waiting: SimpleQueue[Asked] = SimpleQueue()
    threading.Thread(target=_received, args=(given, waiting), daemon=True).start()
    with asyncio.Runner() as runner:
        while True:
            _reply(replies, runner.run(judged(answers, waiting.get(), served, limits)))


def _alone() -> IO[bytes]:
    """Step behind everybody else, and keep standard output for replies: whatever a library prints goes to the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the service says when to end
    telemetry.log_as_json()
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 (no file on a disk)
        score.write(str(EXPENDABLE))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return replies


def loaded(family: str, pointer: store.Pointer, beside: dict[str, Any]) -> Served:
    """The challenger, as a champion is loaded. Raises Unfit where it takes or answers anything else than the champion `beside`."""
    served = champion.loaded(family, pointer)
    fits = gate.schema(served.predictor.manifest, beside)
    if not fits.holds:
        raise Unfit(f"{fits.words}. `make challenge family={family} candidate=...` sets one that fits; candidate=none takes it away.")
    return served


def _received(given: IO[bytes], waiting: "SimpleQueue[Asked]") -> None:
    """A thread's: read what is asked. Where nobody asks any more, end, whatever is at work."""
    while head := given.readline():
        told = json.loads(head)
        waiting.put(Asked(Body(told["json"], given.read(told["size"])), told["words"], told["answer"]))
    os._exit(0)


def _reply(replies: IO[bytes], told: dict[str, Any]) -> None:
    replies.write(json.dumps(told).encode() + b"\n")
    replies.flush()


async def judged(answers: ModuleType, asked: Asked, served: Served, limits: configs.Serving) -> dict[str, Any]:
    """The challenger's answer held against the champion's, and how long it took; one that is refused or fails does not agree.

    {"late": True} where the time is over: it has the time that others leave, so that says nothing of the model.
    """
    answered = getattr(answers, "compared", answers.answered)
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(limits.limit_seconds):
            other = await answered(asked.body, served, limits, *asked.words)
        seconds = time.perf_counter() - begun
        return {"agrees": answers.agrees(asked.answer, other), "confidence": _sure(answers.confidence(other)), "seconds": seconds}
    except TimeoutError:
        return {"late": True}
    except Exception as error:
        failed = error.reason if isinstance(error, Refusal) else phrases.one_line(error)
        return {"agrees": False, "confidence": None, "seconds": time.perf_counter() - begun, "failed": failed}


def _sure(confidence: float | None) -> float | None:
    """A figure, or none: what is no number can be neither recorded nor averaged."""
    if confidence is not None and not math.isfinite(confidence):
        raise ValueError(f"its confidence is {confidence}")
    return confidence
