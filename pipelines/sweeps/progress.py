"""What a person sees while a sweep runs: a bar in a terminal, and a line for each trial that has ended."""

import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from pipelines.sweeps.messages import Epoch
from pipelines.sweeps.study import FIGURES, Study, metric_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


class Progress:
    """Trials that are finished, pruned, the best so far, and the time left by the pace of this command."""

    def __init__(self, study: Study, limit: int, workers: int) -> None:
        self.study, self.limit, self.console = study, limit, Console(soft_wrap=True, highlight=False)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}")
        self.bar = Bar(*columns, console=self.console, disable=not self.console.is_terminal, transient=True)
        self.before, self.since = len(study.finished()), time.monotonic()
        resumes = f", {self.before} of them finished already" if self.before else ""
        self.say(f"{study.sweep.name}: {limit} trials{resumes}, {workers} side by side, on validation alone")
        self.task = self.bar.add_task(study.sweep.name, total=limit, completed=self.before, words=self._words())

    def __enter__(self) -> "Progress":
        self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.bar.stop()

    def say(self, words: str) -> None:
        self.console.print(words, markup=False)

    def ended(self, number: int, epochs: list[Epoch]) -> None:
        """A finished trial's line."""
        trial = next(found for found in self.study.trials() if found.number == number)
        done = len(self.study.finished())
        count = f"{len(epochs)} epoch{'s' if len(epochs) != 1 else ''}, {sum(epoch.seconds for epoch in epochs):.0f} s"
        self.say(f"[{done:{len(str(self.limit))}}/{self.limit}] trial {number}: {self._outcome(trial)} ({count}); {self._words()}")
        self.bar.update(self.task, completed=done, words=self._words())

    def _outcome(self, trial: "FrozenTrial") -> str:
        if trial.state.name == "PRUNED":
            return f"{metric_of(trial):.4f}, pruned"
        broken = self.study.broken(trial)
        return f"{trial.user_attrs[FIGURES]['valid']:.4f}{', not feasible: ' if broken else ''}{'; '.join(broken)}"

    def _words(self) -> str:
        best, done = self.study.best(), len(self.study.finished())
        found = f"best {best.value:.4f} (trial {best.number})" if best else "none feasible yet"
        return f"{len(self.study.trials('PRUNED'))} pruned, {found}{self._left(done)}"

    def _left(self, done: int) -> str:
        pace = (time.monotonic() - self.since) / max(1, done - self.before)
        return f", about {_duration(pace * (self.limit - done))} left" if done > self.before else ""


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min" if minutes else f"{seconds:.0f} s"
