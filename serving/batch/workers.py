"""The processes that answer a batch: started, listened to, and replaced where one is killed."""

import json
import sys
import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple, TextIO

from tqdm import tqdm

from pipelines.cluster.jobs import Backend, Command, Job
from serving import exits
from serving.batch import claims
from serving.batch.plan import Run

SIGNALLED = 128  # exit codes above it are signals, or a machine that is lost
BARREN, FATAL = 3, 20  # deaths before a shard was begun, all together, and at one shard: then the batch ends
WORDS = 5  # lines of a worker that an error repeats


class Failed(RuntimeError):
    """Workers that cannot answer; what is answered stays."""


class Event(NamedTuple):
    """A line of a worker, or its exit code."""

    worker: str
    line: str = ""
    code: int | None = None


class Workers:
    """So many workers of a batch on a back end, and a bar that shows what they have answered."""

    def __init__(self, run: Run, backend: Backend, bar: "tqdm[None]") -> None:
        self._run, self._backend, self._bar = run, backend, bar
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._jobs: dict[str, Job] = {}
        self._threads: list[threading.Thread] = []
        self._counts: dict[int, tuple[int, int]] = {}  # of each shard: inputs and pages
        self._said: deque[str] = deque(maxlen=WORDS)
        self._begun = bar.n
        self._started = self._barren = 0

    def answer(self, processes: int) -> None:
        """Start them, and return when all shards are answered. Raises Failed."""
        try:
            for _ in range(processes):
                self._start()
            with (self._run.folder / "workers.log").open("a") as log:
                while self._jobs:
                    self._take(self._events.get(), log)
        finally:
            for job in self._jobs.values():
                job.stop()
            for thread in self._threads:
                thread.join()

    def _start(self) -> None:
        self._started += 1
        name, folder = str(self._started), str(self._run.folder.resolve())
        job = self._backend.start(Command([sys.executable, "-m", "serving.batch.worker", "--to", folder, "--name", name]))
        self._jobs[name] = job
        self._threads.append(threading.Thread(target=self._follow, args=(name, job), daemon=True))
        self._threads[-1].start()

    def _follow(self, name: str, job: Job) -> None:
        for line in job.lines():
            self._events.put(Event(name, line))
        self._events.put(Event(name, code=job.wait()))

    def _take(self, event: Event, log: TextIO) -> None:
        if event.code is None:
            return self._note(event.line, log)
        del self._jobs[event.worker]
        if event.code > SIGNALLED:
            self._replace(event.worker, event.code)
        elif event.code:
            raise Failed(
                f"a worker ended: {' '.join(self._said) or f'exit code {event.code}'} What is answered stays: run the same command again."
            )

    def _note(self, line: str, log: TextIO) -> None:
        """Progress, or what a library says, which goes to the log."""
        with suppress(ValueError, LookupError, TypeError):
            found = json.loads(line)
            self._counts[found["shard"]] = found["inputs"], found["pages"]
            return self._show()
        self._said.append(line)
        print(line, file=log, flush=True)

    def _show(self) -> None:
        inputs, pages = (sum(column) for column in zip(*self._counts.values(), strict=True)) if self._counts else (0, 0)
        self._bar.update(self._begun + inputs - self._bar.n)
        seconds = self._bar.format_dict["elapsed"]
        self._bar.set_postfix_str(f"{pages / seconds:.1f} pages/s" if seconds else "")

    def _replace(self, worker: str, code: int) -> None:
        """Let another worker take the place of one that was killed. Raises Failed where they die again and again."""
        shard, how = claims.release(self._run, worker), exits.why(SIGNALLED - code)
        self._barren += shard is None
        if self._barren >= BARREN or (shard is not None and len(claims.deaths(self._run, shard)) >= FATAL):
            raise Failed(f"{self._started} workers were started, and they end {how}. See {self._run.folder / 'workers.log'}.")
        if shard is not None:
            self._counts.pop(shard, None)
        self._bar.write(f"worker {worker} ended {how}; another takes its place", file=sys.stderr)
        self._start()
