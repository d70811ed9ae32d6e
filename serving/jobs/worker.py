"""`python -m serving.jobs.worker --family <family>`: one worker of the queue, on this machine or, with the service's JOBS_URL, another.

It takes jobs one after the other from the table, or with BROKER_URL as Celery delivers their ids (consumer.py). It follows the family's
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
from contextlib import suppress
from typing import Any

from pipelines import configs, errors, phrases, processes
from pipelines.databases import NoDatabase
from serving import problems, telemetry
from serving.jobs import backlog, broker, supervisor, tasks
from serving.jobs.backlog import Backlog, Job
from serving.live import champion
from serving.live.champion import Champion, Served
from serving.live.recorder import Recorder
from serving.problems import Refusal

logger = logging.getLogger("atelier.serving")
IDLE = 0.25  # seconds until the table is asked again for a job that is due
BEAT = 1.0  # seconds between two checks of the job and of the service
RENEWAL = 10.0  # seconds between two renewals of the lease
STUCK = 600.0  # seconds for one picture, after which the worker ends and the job is tried again
MEGABYTES = 20.0  # of a job's results, as they are stored
LAST_BEATS = 30  # for the job at work, once the service has ended
Answer = tuple[bytes, dict[str, Any], float]  # the file, the answer and its seconds, to be recorded once the job is done


class Worker:
    """Works on jobs; the tasks.Context of its tasks."""

    def __init__(self, jobs: Backlog, supervised: bool = True) -> None:
        self.jobs, self.family, self._supervised = jobs, jobs.family, supervised
        self.limits, self.tasks = configs.serving(jobs.family), tasks.of(jobs.family)
        self.name = processes.myself()
        self.recorder = Recorder(jobs.family, self.limits.predictions)
        self.leaving = False
        self.job: Job | None = None
        self.left: list[Job] = []
        self._moved = self._renewed = 0.0
        self._champion: Champion | None = None
        self._runner = asyncio.Runner()

    @property
    def served(self) -> Served:
        """The champion; the store is brought up to date first, unless the service has done that. Raises NoChampion or BrokenModel."""
        if self._champion is None:
            if not self._supervised:
                champion.update_store(self.family)
            self._champion = Champion(self.family)
            self._champion.start()
        return self._champion.served

    def work(self, id: str | None = None) -> bool:
        """Do the job of this id, or the first that is due. False: there is none, or it is not due. Raises NoDatabase.

        A job during which the database went away is added to `left`, and beat() gives it back: its lease keeps other workers off.
        """
        job = self.jobs.take(self.name, id)
        if job is None:
            return False
        self._moved = self._renewed = time.monotonic()
        self.job = job
        try:
            self._try(job)
        except NoDatabase:
            self.left.append(job)
            raise
        finally:
            self.job = None
        return True

    def _try(self, job: Job) -> None:
        facts = {"job": job.id, "task": job.task, "tries": job.tries}
        try:
            answers: list[Answer] = []
            results = self._results(job, answers)
            ended = results is not None and self.jobs.finish(job, {"results": results})
            for answer in answers if ended else ():
                self.recorder.note(*answer)
            logger.info("job", extra={"facts": {**facts, "ended": ended}})
        except NoDatabase:
            raise
        except Exception as error:
            logger.exception("a job failed", extra={"facts": facts})
            self.jobs.retry(job, _reason(error, job))

    def _results(self, job: Job, answers: list[Answer]) -> list[Any] | None:
        """The results of all pictures, in order, answers of the model among them; None where the lease is lost, or given back."""
        results: list[Any] = []
        left = MEGABYTES * 1e6
        while len(results) < job.pictures:
            if results and self.leaving:
                self.jobs.give_back(job)
                return None
            if results and not self.jobs.renew_lease(job, len(results)):
                return None
            file, begun = self.jobs.file(job, len(results)) or b"", time.perf_counter()
            found, seconds = self._result(job, file), time.perf_counter() - begun
            result, size = _limited(found, left)
            if isinstance(result, dict) and "prediction_id" in result:
                answers.append((file, result, seconds))
            results.append(result)
            left -= size
            self._moved = time.monotonic()
        return results

    def _result(self, job: Job, file: bytes) -> Any:
        try:
            found = self.tasks[job.task].work(file, self)
            return self._runner.run(found) if inspect.iscoroutine(found) else found
        except Refusal as refusal:
            return {"problem": problems.problem(refusal)}

    def leave(self, *_: Any) -> None:
        """End after the picture at work."""
        self.leaving = True

    def poll(self) -> None:
        """Do one job after the other until leave(): the next at once, or where none is due after a while."""
        reached = True
        while not self.leaving:
            try:
                busy, reached = self.work(), True
            except NoDatabase as absence:
                if reached:
                    logger.error("jobs wait: %s", absence)
                busy = reached = False
            if not busy:
                time.sleep(IDLE)

    def watch(self, parent: int | None) -> None:
        """A thread's: beat(), and end with the process that has started this worker."""
        orphaned = 0
        while True:
            time.sleep(BEAT)
            try:
                self.beat()
            except Exception:
                logger.exception("a worker cannot renew its lease")
            if parent and os.getppid() != parent:
                orphaned += 1
            if orphaned == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            if orphaned > LAST_BEATS:
                os._exit(1)

    def beat(self) -> None:
        """Give back what was left; renew the lease of the job at work, or end the process where it is stuck."""
        with suppress(NoDatabase):
            while self.left:
                self.jobs.give_back(self.left[0])
                self.left.pop(0)
        now, job = time.monotonic(), self.job
        if job is None:
            return
        if now - self._moved > STUCK:
            logger.error("a picture of job %s takes more than %g s; the worker ends", job.id, STUCK)
            os._exit(1)
        if now - self._renewed > RENEWAL:
            self._renewed = now
            self.jobs.renew_lease(job)


def _limited(result: Any, left: float) -> tuple[Any, int]:
    """The result and its bytes; where it has more than are left, the problem of that instead, and 0."""
    size = len(backlog.encoded(result).encode())
    if size <= left:
        return result, size
    detail = (
        f"The result of this picture takes {size / 1e6:.1f} MB; {left / 1e6:.1f} of the {MEGABYTES:g} MB of a job are left. "
        "Send it in a job of its own, or smaller."
    )
    return {"problem": problems.problem(Refusal(413, "result too large", detail))}, 0


def _reason(error: Exception, job: Job) -> str:
    """What the sender of the job may read: only the project's own errors are written for that."""
    if phrases.is_own(error):
        return str(error)
    return f"The worker failed on it ({type(error).__name__}); its log says why, under job {job.id}."


def main() -> None:
    """Work on jobs of one family until SIGTERM or Ctrl-C; the picture at work is finished first."""
    parser = argparse.ArgumentParser(prog="python -m serving.jobs.worker", description=main.__doc__)
    parser.add_argument("--family", required=True)
    parser.add_argument("--parent", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with errors.printed_once():
        worker = Worker(Backlog(backlog.url(), supervisor.with_queue(asked.family)), supervised=bool(asked.parent))
        telemetry.log_as_json()
        threading.Thread(target=worker.watch, args=(asked.parent,), daemon=True, name="beat").start()
        worker.recorder.start()
        status = _run(worker)
        worker.recorder.end()
        raise SystemExit(status)


def _run(worker: Worker) -> int:
    """Work until a signal ends it; returns the exit status."""
    if broker.url():
        from serving.jobs import consumer  # Celery, which is not loaded where there is no broker

        return consumer.consume(broker.application(worker.jobs), f"{worker.family}-{worker.name}", worker.work, worker.leave)

    def interrupt(*_: Any) -> None:
        worker.leave()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C ends it at once

    signal.signal(signal.SIGTERM, worker.leave)
    signal.signal(signal.SIGINT, interrupt)
    worker.poll()
    return 0


if __name__ == "__main__":
    main()
