"""`make sweep family=digits`: the parent of a sweep's trials. It draws their values, starts them, stores what they report, and stops them.

Each trial is a process of its own (pipelines.stages.trial), which ends when this one does, however that ends.
"""

import math
import shutil
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING

from pipelines import folders
from pipelines.cluster import backends
from pipelines.cluster.jobs import Backend, Command, Job
from pipelines.configs import BadConfiguration
from pipelines.fingerprints.fingerprint import Code
from pipelines.sweeps import data, messages, show, spec, storage
from pipelines.sweeps.messages import Epoch, Figures
from pipelines.sweeps.opening import resumed, seed
from pipelines.sweeps.progress import Progress
from pipelines.sweeps.runs import Runs
from pipelines.sweeps.spec import Sweep
from pipelines.sweeps.study import HEARTBEAT, Study, folder_of

if TYPE_CHECKING:
    from optuna.trial import Trial

TRIAL = ("-m", "pipelines.stages.trial")  # what a trial runs
GIVE_UP = 3  # settings in a row whose trials all failed
TAIL = 5  # lines of a failed trial's log that are shown


class TrialsFail(RuntimeError):
    """Trials that fail one after the other, or for a full disk."""


class Running:
    """A trial at work: its job, the file of its log, and what it has reported."""

    def __init__(self, trial: "Trial", job: Job, folder: Path) -> None:
        self.trial, self.job, self.folder = trial, job, folder
        self.log: IO[str] = (folder / "log").open("a")
        self.epochs: list[Epoch] = []
        self.figures: Figures | None = None
        self.pruned = False

    @property
    def seconds(self) -> float:
        """Of all its epochs, also those before a kill."""
        return sum(epoch.seconds for epoch in self.epochs)

    def tail(self) -> str:
        self.log.flush()
        return "\n".join((self.folder / "log").read_text().splitlines()[-TAIL:])


class Driver:
    """Runs trials of a study side by side until `limit` are finished, or `seconds` have passed."""

    def __init__(self, study: Study, backend: Backend, workers: int, limit: int, progress: Progress, runs: Runs) -> None:
        self.study, self.backend, self.workers, self.limit = study, backend, workers, limit
        self.progress, self.runs = progress, runs
        self.running: dict[int, Running] = {}
        self.events: SimpleQueue[tuple[int, str | None]] = SimpleQueue()  # (number of a trial, a line, or None at its end)
        self.failed = 0  # settings in a row that were given up
        seconds = study.sweep.spec.budget.seconds
        self.until = time.monotonic() + seconds if seconds else math.inf

    def run(self) -> None:
        """Raises TrialsFail; trials that are at work when this ends early are put back."""
        try:
            self._fill()
            while self.running:
                ended = self._hear()
                self._fill()
                if ended:
                    self.runs.log()  # while the next trial starts
        finally:
            for running in list(self.running.values()):
                self._stop(running)

    def _fill(self) -> None:
        """Start trials while there are free places, time and trials to run."""
        while len(self.running) < self.workers and time.monotonic() < self.until:
            trial = self.study.next(self.limit)
            if trial is None:
                return
            self._start(trial)

    def _start(self, trial: "Trial") -> None:
        values = self.study.values(trial)
        try:
            composed = self.study.sweep.composed(values)
            self.study.sweep.config(values)
        except BadConfiguration as fault:
            self.study.fail(trial, again=False)
            self._given_up(trial.number, str(fault))
            return
        folder = storage.folder(self.study.sweep.name) / "trials" / str(folder_of(trial))
        folder.mkdir(parents=True, exist_ok=True)
        budget, where = self.study.sweep.spec.budget, data_folder(self.study.sweep)
        places = [str(path.resolve()) for path in (folder, where)]  # a node of a cluster works in a clone of its own
        words = [sys.executable, *TRIAL, *places, self.study.data, folders.canonical(composed)]
        job = self.backend.start(Command(words, {"TQDM_DISABLE": "1"}, budget.cpus, budget.gpus))
        self.running[trial.number] = Running(trial, job, folder)
        threading.Thread(target=self._listen, args=(trial.number, job), daemon=True).start()

    def _listen(self, number: int, job: Job) -> None:
        for line in job.lines():
            self.events.put((number, line))
        self.events.put((number, None))

    def _hear(self) -> bool:
        """Take in the next line of a trial, or its end: has one ended?"""
        self.study.beat()
        with suppress(Empty):
            number, line = self.events.get(timeout=HEARTBEAT)
            if line is None:
                self._ended(self.running[number])
                return True
            self._said(self.running[number], line)
        return False

    def _said(self, running: Running, line: str) -> None:
        message = messages.read(line)
        if isinstance(message, Epoch) and not running.pruned:
            running.epochs.append(message)
            running.pruned = not math.isfinite(message.value) or self.study.report(running.trial, message)
            if running.pruned:
                running.job.stop()
        elif isinstance(message, Figures):
            running.figures = message
        elif message is None:
            running.log.write(f"{line}\n")

    def _ended(self, running: Running) -> None:
        code, number = running.job.wait(), running.trial.number
        if running.pruned:
            self.study.prune(running.trial, running.seconds)
        elif code == 0 and running.figures:
            self.study.complete(running.trial, running.figures, running.seconds)
        else:
            self._failed(running, code)
            return
        running.log.close()
        del self.running[number]
        self.failed = 0
        self._keep_best(running)
        self.progress.ended(number, running.epochs)

    def _keep_best(self, ended: Running) -> None:
        """Of the models of finished trials only the best one stays; a checkpoint is of no use when its trial has ended."""
        shutil.rmtree(ended.folder / "training", ignore_errors=True)
        best = self.study.best()
        for trial in self.study.finished():
            if best is None or trial.number != best.number:
                shutil.rmtree(ended.folder.with_name(str(folder_of(trial))) / "model", ignore_errors=True)

    def _failed(self, running: Running, code: int) -> None:
        """Enqueue a failed trial again; or give its settings up. Raises TrialsFail where more trials would be in vain."""
        number, tail = running.trial.number, running.tail()
        del self.running[number]
        running.log.close()
        if code == messages.DISK_FULL:
            self.study.put_back(running.trial)
            raise TrialsFail(f"trial {number} could not write. {tail.splitlines()[-1] if tail else 'Its disk is full.'}")
        if self.study.fail(running.trial):
            self.progress.say(f"trial {number} ended with exit code {code} and is tried again ({running.folder}/log)")
        else:
            self._given_up(number, tail)

    def _given_up(self, number: int, why: str) -> None:
        self.failed += 1
        self.progress.say(f"trial {number} failed and is given up: {why}")
        if self.failed >= GIVE_UP:
            raise TrialsFail(f"{GIVE_UP} settings in a row failed. The last one said:\n{why}")

    def _stop(self, running: Running) -> None:
        running.job.stop()
        running.job.wait()
        running.log.close()
        self.study.put_back(running.trial)


def data_folder(sweep: Sweep) -> Path:
    """Where the trials' data are packed."""
    return storage.folder(sweep.name) / "data" if sweep.own_data else sweep.base.data_folder


def main(family: str, name: str | None, trials: int | None, workers: int | None, on: str, join: bool) -> None:
    """Run a sweep to its end, or on from where it stopped."""
    run(spec.load(family, name), backends.named(on), trials, workers, join)


def run(sweep: Sweep, backend: Backend, trials: int | None = None, workers: int | None = None, join: bool = False) -> None:
    """Finish `trials` trials, `workers` side by side; as many as the budget says, and as have a place.

    Raises MissingData, OtherStudy, TwoParents, NoDatabase or TrialsFail.
    """
    packed, code = data.packed(sweep.config({}), data_folder(sweep)), Code(sweep.family).fingerprint("train")
    study, budget = resumed(sweep, packed, folders.hash_of(code)), sweep.spec.budget
    try:
        study.join(join)
        seed(study, shared=join)
        _finish(study, backend, workers or backend.capacity(budget.cpus, budget.gpus), trials or budget.trials)
    finally:
        study.leave()


def _finish(study: Study, backend: Backend, workers: int, limit: int) -> None:
    study.recover()
    done = len(study.finished())
    if done >= limit:
        print(f"{study.sweep.name}: nothing to do, {done} of {limit} trials are finished. `trials={done + 20}` asks for more.")
        return
    runs = Runs(study)
    runs.log()  # before the first trial, which would share its core with MLflow's import
    with Progress(study, limit, workers) as progress:
        try:
            Driver(study, backend, workers, limit, progress, runs).run()
        except BaseException:
            progress.say(f"Stopped. {_goes_on(study, limit)}")
            raise
    runs.close(show.write(study))
    print(show.summary(study, limit))


def _goes_on(study: Study, limit: int) -> str:
    command = f"make sweep family={study.sweep.family} name={study.sweep.label}"
    return f"{len(study.finished())} of {limit} trials are finished; `{command}` goes on."
