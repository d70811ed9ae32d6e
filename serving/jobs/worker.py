"""`python -m serving.jobs.worker --family ocr`: one worker of the queue, on this machine or, with the service's JOBS_URL, on another.

It takes one job after the other from the table, or with BROKER_URL as Celery brings their ids (consumer.py). It follows the family's
champion, and ends with the service that has started it.
"""

import argparse
import asyncio
import inspect
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from pipelines import configs, discovery, errors, phrases, processes
from pipelines.databases import NoDatabase
from serving import problems, telemetry
from serving.jobs import backlog, broker, tasks
from serving.jobs.backlog import Backlog
from serving.jobs.tables import Job
from serving.live import champion
from serving.live.champion import Champion, Served
from serving.live.recorder import Recorder
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
IDLE = 0.25  # seconds until the table is asked again for a job that is due
BEAT = 1.0  # seconds between two looks at the job and at the service
TOLD = 10.0  # seconds between two words to the database that the worker lives
STUCK = 600.0  # seconds for one picture: a worker that takes longer is ended, and the job is tried again
MEGABYTES = 20.0  # of a job's results, as they are kept
FAREWELL = 30  # beats for the job at work, once the service has ended


class NoTasks(ValueError):
    """A family that has no queue."""


class Answered(NamedTuple):
    """An answer of a job that is not finished yet: what it was given to, and how many seconds it took."""

    file: bytes
    answer: dict[str, Any]
    seconds: float


class Bench:
    """Where jobs are worked on: a Desk for tasks, as serving/jobs/tasks.py has it."""

    def __init__(self, jobs: Backlog, settled: bool = True) -> None:
        self.jobs, self.family, self._settled = jobs, jobs.family, settled
        self.limits, self.tasks = configs.serving(jobs.family), tasks.known(jobs.family)
        self.name = processes.myself()
        self.recorder = Recorder(jobs.family, self.limits.predictions)
        self.leaving = False
        self.job: Job | None = None
        self.left: list[Job] = []
        self._moved = self._said = 0.0
        self._champion: Champion | None = None
        self._runner = asyncio.Runner()

    @property
    def served(self) -> Served:
        """The champion, which a service beside has settled, or else this does. Raises NoChampion or BrokenModel."""
        if self._champion is None:
            if not self._settled:
                champion.settle(self.family)
            self._champion = Champion(self.family)
            self._champion.follow()
        return self._champion.served

    def work(self, id: str | None = None) -> bool:
        """Do the job of this id, or the first that is due. False: there is none, or it is not to be done. Raises NoDatabase.

        A job that was begun when the database went away is `left`: beat() gives it back, as no other worker may take it under this lease.
        """
        job = self.jobs.take(self.name, id)
        if job:
            with self._at(job):
                self._try(job)
        return job is not None

    @contextmanager
    def _at(self, job: Job) -> Iterator[None]:
        self._moved = self._said = time.monotonic()
        self.job = job
        try:
            yield
        except NoDatabase:
            self.left.append(job)
            raise
        finally:
            self.job = None

    def _try(self, job: Job) -> None:
        try:
            given: list[Answered] = []
            results = self._results(job, given)
            ended = results is not None and self.jobs.finish(job, {"results": results})
            for one in given if ended else ():
                self.recorder.note(one.file, one.answer, one.seconds)
            logger.info("job", extra={"facts": {"job": job.id, "task": job.task, "tries": job.tries, "ended": ended}})
        except NoDatabase:
            raise
        except Exception as error:
            logger.exception("a job failed", extra={"facts": {"job": job.id, "task": job.task, "tries": job.tries}})
            self.jobs.again(job, _reason(error, job))

    def _results(self, job: Job, given: list[Answered]) -> list[Any] | None:
        """Of all pictures, in order; None where the job is not ours any more: cancelled, somebody else's, or given back.

        Those that are answers are added to `given`.
        """
        results: list[Any] = []
        room = MEGABYTES * 1e6
        while len(results) < job.pictures:
            if results and self.leaving:
                self.jobs.give_back(job)
                return None
            if results and not self.jobs.hold(job, len(results)):
                return None
            file, begun = self.jobs.file(job, len(results)) or b"", time.perf_counter()
            found, seconds = self._result(job, file), time.perf_counter() - begun
            result, taken = _fitting(found, room)
            if isinstance(result, dict) and "prediction_id" in result:
                given.append(Answered(file, result, seconds))
            results.append(result)
            room -= taken
            self._moved = time.monotonic()
        return results

    def _result(self, job: Job, file: bytes) -> Any:
        try:
            found = self.tasks[job.task].work(file, self)
            return self._runner.run(found) if inspect.iscoroutine(found) else found
        except Refusal as refusal:
            return {"problem": problems.problem(refusal)}

    def leave(self) -> None:
        """It was told to end."""
        self.leaving = True

    def beat(self) -> None:
        """Say that the worker lives, as long as it gets on with its job; one that is stuck ends. Give back what was left."""
        self._give_back()
        now, job = time.monotonic(), self.job
        if job is None:
            return
        if now - self._moved > STUCK:
            logger.error("a picture of job %s takes more than %g s; the worker ends", job.id, STUCK)
            os._exit(1)
        if now - self._said > TOLD:
            self._said = now
            self.jobs.hold(job)

    def _give_back(self) -> None:
        with suppress(NoDatabase):
            while self.left:
                self.jobs.give_back(self.left[0])
                self.left.pop(0)


def _fitting(result: Any, room: float) -> tuple[Any, int]:
    """The result and the bytes that it takes; where it has no room, the problem of that, which takes next to nothing."""
    size = len(backlog.written(result).encode())
    if size <= room:
        return result, size
    words = (
        f"The result of this picture takes {size / 1e6:.1f} MB, and those of a job at most {MEGABYTES:g} MB together; "
        f"{room / 1e6:.1f} MB are left. Send it in a job of its own, or smaller."
    )
    return {"problem": problems.problem(Refusal(413, "result too large", words))}, 0


def _reason(error: Exception, job: Job) -> str:
    """What may be told to who sent the job: our own errors are written to be read, of others the log has more."""
    if phrases.ours(error):
        return str(error)
    return f"The worker failed on it ({type(error).__name__}); its log says why, under job {job.id}."


def watch(bench: Bench, parent: int | None) -> None:
    """A thread's: beat, and end with the service that has started this worker."""
    orphaned = 0
    while True:
        time.sleep(BEAT)
        try:
            bench.beat()
        except Exception:
            logger.exception("a worker cannot say that it lives")
        if parent and os.getppid() != parent:
            orphaned += 1
            os.kill(os.getpid(), signal.SIGTERM) if orphaned == 1 else None
        if orphaned > FAREWELL:
            os._exit(1)


def poll(bench: Bench) -> None:
    """Do one job after the other until told to end: the next at once, or where none is due after a while."""
    reached = True
    while not bench.leaving:
        try:
            busy, reached = bench.work(), True
        except NoDatabase as absence:
            if reached:
                logger.error("jobs wait: %s", absence)
            busy = reached = False
        if not busy:
            time.sleep(IDLE)


def _leave_when_told(bench: Bench) -> None:
    """SIGTERM and Ctrl-C let it finish the picture at work; a second Ctrl-C ends it at once."""

    def told(number: int, _: Any) -> None:
        bench.leave()
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)


def queued(family: str) -> str:
    """The name itself, of a family that has a queue. Raises UnknownFamily or NoTasks."""
    if not tasks.known(discovery.validate(family)):
        having = ", ".join(name for name in discovery.names() if tasks.known(name))
        raise NoTasks(f"family={family!r} has no queue of jobs: there is no serving/{family}/tasks.py. Those that have one: {having}.")
    return family


def main() -> None:
    """Work on jobs of one family until told to stop; the job at work is finished first."""
    parser = argparse.ArgumentParser(prog="python -m serving.jobs.worker", description=main.__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with errors.printed_once():
        jobs = Backlog(backlog.url(), queued(asked.family))
        bench = Bench(jobs, settled=bool(asked.parent))
        telemetry.log_as_json()
        threading.Thread(target=watch, args=(bench, asked.parent), daemon=True, name="beat").start()
        bench.recorder.follow()
        status = _work(bench)
        bench.recorder.end()
        raise SystemExit(status)


def _work(bench: Bench) -> int:
    """Until told to end; the status to end with."""
    if broker.url():
        from serving.jobs import consumer  # Celery, which is not loaded where there is no broker

        return consumer.consume(broker.application(bench.jobs), f"{bench.family}-{bench.name}", bench.work, bench.leave)
    _leave_when_told(bench)
    poll(bench)
    return 0


if __name__ == "__main__":
    main()
