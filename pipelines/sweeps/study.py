"""A sweep's study, which Optuna stores: its trials, which of them are to be run, and what has become of them.

A trial that was left running by a parent that has ended is failed and enqueued again, once: under its old folder it goes on from its
checkpoint. Only COMPLETE and PRUNED trials count as finished.
"""

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipelines import discovery, processes
from pipelines.sweeps.limits import Limits
from pipelines.sweeps.messages import Epoch, Figures
from pipelines.sweeps.space import encoded
from pipelines.sweeps.spec import Sweep
from pipelines.sweeps.storage import patiently

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

IDENTITY, KEY = "identity", "key"  # of a study: what its trials have in common; its own name, another one where it is begun anew
PARENT, FOLDER, RESUMES, ATTEMPT = "parent", "folder", "resumes", "attempt"  # of a trial
FIGURES, SECONDS = "figures", "seconds"  # of a finished trial
ATTEMPTS = 3  # of a trial that fails, before its settings are given up
HEARTBEAT = 20  # seconds
SILENCE = 120  # seconds after which a parent on another machine counts as ended


class TwoParents(RuntimeError):
    """Another process runs this study."""


def optuna_quiet() -> Any:
    """Optuna, without a line of log for each trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """A study of Optuna's with what this process, a parent of trials, does to it."""

    def __init__(self, sweep: Sweep, stored: "optuna.Study", me: str | None = None) -> None:
        self.sweep, self.stored = sweep, stored
        self.limits = Limits(sweep.gate)
        self.me = me or processes.myself()
        self.running: set[int] = set()  # numbers of the trials of this process
        self._beaten = 0.0

    @property
    def key(self) -> str:
        """What names this study and no other."""
        return str(patiently(lambda: self.stored.user_attrs[KEY]))

    @property
    def data(self) -> str:
        """The hash of the data that every trial trains on."""
        return str(patiently(lambda: self.stored.user_attrs[IDENTITY])["data"])

    @property
    def metric(self) -> str:
        """The headline metric of the family, which the gate compares; it is taken on validation."""
        return str(discovery.part(self.sweep.family, "score").HEADLINE)

    def trials(self, *states: str) -> "list[FrozenTrial]":
        """The trials in these states, such as "COMPLETE"; all where none is named."""
        found = patiently(lambda: self.stored.get_trials(deepcopy=False))
        return [trial for trial in found if not states or trial.state.name in states]

    def finished(self) -> "list[FrozenTrial]":
        return self.trials("COMPLETE", "PRUNED")

    def best(self) -> "FrozenTrial | None":
        """The feasible trial with the largest metric; the first of equal ones."""
        feasible = [trial for trial in self.trials("COMPLETE") if not self.broken(trial)]
        return max(feasible, key=lambda trial: (metric_of(trial), -trial.number), default=None)

    def broken(self, trial: "FrozenTrial") -> list[str]:
        """The limits of the gate that a trial breaks, in words."""
        return self.limits.broken(Figures(**trial.user_attrs[FIGURES])) if FIGURES in trial.user_attrs else []

    def encoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {key: encoded(value) for key, value in values.items()}

    def values(self, trial: "FrozenTrial | Trial") -> dict[str, Any]:
        """{setting: value} of a trial, as the candidate's file has them."""
        return {key: self.sweep.space[key].decoded(value) for key, value in trial.params.items()}

    def join(self, invited: bool) -> None:
        """Say that this process runs the study. Raises TwoParents where others do, and it is not asked to share."""
        self._alone(self.others(), invited)
        self.beat()
        self._alone([name for name in self.others() if name < self.me], invited)  # of two that came at one moment, one goes on

    def _alone(self, others: list[str], invited: bool) -> None:
        if others and not invited:
            command = f"make sweep family={self.sweep.family} name={self.sweep.label} join=yes"
            raise TwoParents(f"{len(others)} other process runs {self.sweep.name} ({', '.join(others)}). `{command}` shares its trials.")

    def others(self) -> list[str]:
        """Other living parents, by name."""
        attrs = patiently(lambda: self.stored.user_attrs)
        seen = {key.removeprefix(f"{PARENT}:"): value for key, value in attrs.items() if key.startswith(f"{PARENT}:")}
        return sorted(name for name, at in seen.items() if name != self.me and at and self._alive(name, at))

    def _alive(self, name: str, at: float) -> bool:
        here = name.partition(":")[0] == processes.scope()
        return not processes.gone(name) if here else time.time() - at < SILENCE

    def beat(self) -> None:
        """Say that this process lives, where that was not said for a while."""
        if time.monotonic() - self._beaten > HEARTBEAT or not self._beaten:
            self._beaten = time.monotonic()
            patiently(lambda: self.stored.set_user_attr(f"{PARENT}:{self.me}", time.time()))

    def leave(self) -> None:
        """Say that this process runs the study no more."""
        patiently(lambda: self.stored.set_user_attr(f"{PARENT}:{self.me}", None))

    def recover(self) -> None:
        """Fail what ended parents left running, and enqueue it again, each trial once."""
        others = self.others()
        for trial in self.trials("RUNNING"):
            if trial.number not in self.running and self._left(trial, others):
                self._enqueue(trial, trial.user_attrs.get(ATTEMPT, 0))
                self._tell(trial.number, "FAIL")

    def _left(self, trial: "FrozenTrial", others: list[str]) -> bool:
        """Has the parent of a running trial ended? One without a parent's name is just being made, or was never to be."""
        if PARENT in trial.user_attrs:
            return trial.user_attrs[PARENT] not in others
        started = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return not others or time.time() - started > SILENCE

    def _enqueue(self, trial: "FrozenTrial", attempt: int) -> None:
        """A trial with the same values, which goes on in the same folder, once."""
        if trial.params.keys() != self.sweep.space.keys():
            return  # it was not completely drawn
        attrs = {RESUMES: trial.number, FOLDER: folder_of(trial), ATTEMPT: attempt}

        def once() -> None:
            if not any(found.user_attrs.get(RESUMES) == trial.number for found in self.stored.get_trials(deepcopy=False)):
                self.stored.enqueue_trial(trial.params, user_attrs=attrs)

        patiently(once)

    def next(self, limit: int) -> "Trial | None":
        """The next trial to be run, of `limit` that are to finish; None where all are finished or run elsewhere."""
        self.recover()
        open_trials = self.trials("COMPLETE", "PRUNED", "RUNNING", "WAITING")
        if len(open_trials) >= limit and not (len(self.finished()) < limit and self.trials("WAITING")):
            return None
        space = {key: parameter.distribution() for key, parameter in self.sweep.space.items()}
        trial = patiently(lambda: self.stored.ask(space))
        patiently(lambda: trial.set_user_attr(PARENT, self.me))
        if self._surplus(trial.number, limit):
            self._tell(trial.number, "FAIL")
            return None
        self.running.add(trial.number)
        return trial

    def _surplus(self, number: int, limit: int) -> bool:
        """Did other parents draw the last ones at the same moment?"""
        earlier = self.trials("COMPLETE", "PRUNED", "RUNNING", "WAITING")
        return sum(trial.number < number for trial in earlier) >= limit

    def report(self, trial: "Trial", epoch: Epoch) -> bool:
        """Store an epoch's metric; is the trial to be stopped?"""
        patiently(lambda: trial.report(epoch.value, epoch.number))
        return patiently(trial.should_prune)

    def complete(self, trial: "Trial", figures: Figures, seconds: float) -> None:
        for name, value in self.limits.excess(figures).items():
            patiently(lambda name=name, value=value: trial.set_constraint(name, value))  # type: ignore[misc]
        self._end(trial, "COMPLETE", seconds, figures)

    def prune(self, trial: "Trial", seconds: float) -> None:
        self._end(trial, "PRUNED", seconds)

    def _end(self, trial: "Trial", state: str, seconds: float, figures: Figures | None = None) -> None:
        patiently(lambda: trial.set_user_attr(SECONDS, seconds))
        if figures:
            patiently(lambda: trial.set_user_attr(FIGURES, figures._asdict()))
        self._tell(trial.number, state, figures.valid if figures else None)

    def fail(self, trial: "Trial", again: bool = True) -> bool:
        """Fail a trial; where it was not tried ATTEMPTS times it is enqueued: is it?"""
        frozen = next(found for found in self.trials() if found.number == trial.number)
        attempt = frozen.user_attrs.get(ATTEMPT, 0) + 1
        more = again and attempt < ATTEMPTS
        if more:
            self._enqueue(frozen, attempt)
        self._tell(trial.number, "FAIL")
        return more

    def put_back(self, trial: "Trial") -> None:
        """Leave a trial that this process stops, to be resumed; that is no attempt."""
        frozen = next(found for found in self.trials() if found.number == trial.number)
        self._enqueue(frozen, frozen.user_attrs.get(ATTEMPT, 0))
        self._tell(trial.number, "FAIL")

    def _tell(self, number: int, state: str, value: float | None = None) -> None:
        states = optuna_quiet().trial.TrialState
        patiently(lambda: self.stored.tell(number, value, states[state], skip_if_finished=True))
        self.running.discard(number)


def metric_of(trial: "FrozenTrial") -> float:
    """The metric of a finished trial; NaN where it diverged in its first epoch."""
    return math.nan if trial.value is None else float(trial.value)


def folder_of(trial: "FrozenTrial | Trial") -> int:
    """The number of a trial's folder: its own, or that of the trial that it resumes."""
    return int(trial.user_attrs.get(FOLDER, trial.number))
