"""`make sweep-show family=digits`: the trials, which settings mattered, what larger models gain; printed, and as one HTML page."""

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.table import Table

from pipelines import folders
from pipelines.sweeps import plots, spec, storage
from pipelines.sweeps.opening import existing
from pipelines.sweeps.plots import Point
from pipelines.sweeps.study import FIGURES, SECONDS, Study, metric_of, optuna_quiet

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SHOWN = 8  # best trials in the terminal
FEWEST = 4  # complete trials from which importances are worth naming


def main(family: str, name: str | None) -> None:
    """Print the best trials and the importances, and write the page."""
    study = existing(spec.load(family, name))
    console = Console(width=max(100, Console().width), highlight=False)
    console.print(table(study))
    for key, share in importances(study).items():
        print(f"  {share:4.0%}  {key}")
    print(summary(study, study.sweep.spec.budget.trials))
    print(f"The page: {write(study)}")


def ranked(study: Study) -> "list[FrozenTrial]":
    """Finished trials: feasible ones by their metric, those that break a limit, pruned ones."""

    def key(trial: "FrozenTrial") -> tuple[bool, bool, float]:
        return trial.state.name == "PRUNED", bool(study.broken(trial)), -metric_of(trial)

    return sorted(study.finished(), key=key)


def table(study: Study) -> Table:
    """The best trials with their values."""
    rows = Table(title=f"{study.sweep.name}: {study.metric} on validation, best trials first")
    for column in ("trial", study.metric, "MB", "ms", "s"):
        rows.add_column(column, justify="right", no_wrap=True)
    rows.add_column("settings")
    for trial in ranked(study)[:SHOWN]:
        named, values = row(study, trial)[:5], study.values(trial).items()
        rows.add_row(*map(str, named), ", ".join(f"{key.rpartition('.')[2]} {_short(value)}" for key, value in values))
    return rows


def row(study: Study, trial: "FrozenTrial") -> list[Any]:
    """A trial's number, metric or state, size, latency, seconds and values."""
    figures = trial.user_attrs.get(FIGURES, {})
    state = "pruned " if trial.state.name == "PRUNED" else "not feasible " if study.broken(trial) else ""
    metric = "diverged" if trial.value is None else f"{state}{trial.value:.4f}"
    served = [f"{figures[key]:.2f}" if figures else "" for key in ("size_mb", "latency_ms")]
    return [trial.number, metric, *served, f"{trial.user_attrs[SECONDS]:.0f}", *map(_short, study.values(trial).values())]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def importances(study: Study) -> dict[str, float]:
    """{setting: its share of what tells the better half of the trials from all} (PED-ANOVA, Watanabe et al. 2023), largest first."""
    if len(study.trials("COMPLETE")) < FEWEST:
        return {}
    found = optuna_quiet().importance
    evaluator = found.PedAnovaImportanceEvaluator(target_quantile=0.5)
    return dict(found.get_param_importances(study.stored, evaluator=evaluator))


def front(study: Study) -> "list[FrozenTrial]":
    """The complete trials that no smaller one equals: by size, each better than all before it."""
    found: list[FrozenTrial] = []
    for trial in sorted(study.trials("COMPLETE"), key=lambda trial: (trial.user_attrs[FIGURES]["size_mb"], -metric_of(trial))):
        if not found or metric_of(trial) > metric_of(found[-1]):
            found.append(trial)
    return found


def summary(study: Study, limit: int) -> str:
    """What has come out, and what to do with it."""
    best, start, done = study.best(), study.trials()[0], len(study.finished())
    counts = f"{done} of {limit} trials are finished, {len(study.trials('PRUNED'))} of them pruned, {_saved(study)}"
    if best is None:
        return f"{study.sweep.name}: {counts}. None is feasible: each breaks a limit of the gate."
    first = f"; the base's own settings {start.value:.4f}" if start.value is not None and study.values(start) == study.sweep.start() else ""
    command = f"make sweep-adopt family={study.sweep.family} name={study.sweep.label}"
    words = f"The best, trial {best.number}, has {study.metric} {best.value:.4f} on validation{first}. `{command}` makes it a candidate"
    return f"{study.sweep.name}: {counts}. {words}."


def _saved(study: Study) -> str:
    """Epochs that were trained, of those that all trials had asked for without pruning."""
    trained = sum(len(trial.intermediate_values) for trial in study.finished())
    asked = max((len(trial.intermediate_values) for trial in study.finished()), default=0) * len(study.finished())
    return f"{trained} of {asked} epochs trained"


def write(study: Study) -> Path:
    """The page as one file that names no other."""
    path = storage.folder(study.sweep.name) / "report.html"
    folders.write(path, _template().render(page(study)))
    return path


def page(study: Study) -> dict[str, Any]:
    """What the page shows."""
    shown = study.finished()
    curve = [Point(trial.number, trial.value, _kind(study, trial), _words(study, trial)) for trial in shown if trial.value is not None]
    sizes = [
        Point(trial.user_attrs[FIGURES]["size_mb"], metric_of(trial), _kind(study, trial), _words(study, trial))
        for trial in shown
        if trial.state.name == "COMPLETE"
    ]
    line = [(trial.user_attrs[FIGURES]["size_mb"], metric_of(trial)) for trial in front(study)]
    return {
        "title": study.sweep.name,
        "summary": summary(study, study.sweep.spec.budget.trials),
        "history": plots.points(curve, "trial", study.metric),
        "front": plots.points(sizes, "MB served", study.metric, line),
        "importances": plots.bars(list(importances(study).items())),
        "slices": {key: _slice(study, key) for key in study.sweep.space},
        "head": ["trial", study.metric, "MB", "ms", "s", *study.sweep.space],
        "rows": [row(study, trial) for trial in ranked(study)],
    }


def _slice(study: Study, key: str) -> str:
    """The metric of complete trials by one setting: its value, its logarithm, or the number of the choice."""
    parameter = study.sweep.space[key]

    def place(trial: "FrozenTrial") -> float:
        value = study.values(trial)[key]
        if parameter.choices:
            return parameter.choices.index(value)
        return math.log10(value) if parameter.log else float(value)

    across = f"{key}, power of ten" if parameter.log else f"{key}: {', '.join(map(str, parameter.choices))}" if parameter.choices else key
    shown = [Point(place(trial), metric_of(trial), _kind(study, trial), _words(study, trial)) for trial in study.trials("COMPLETE")]
    return plots.points(shown, across, study.metric)


def _kind(study: Study, trial: "FrozenTrial") -> str:
    if trial.state.name == "PRUNED":
        return "pruned"
    best = study.best()
    return "broken" if study.broken(trial) else "best" if best and trial.number == best.number else "complete"


def _words(study: Study, trial: "FrozenTrial") -> str:
    values = ", ".join(f"{key}={_short(value)}" for key, value in study.values(trial).items())
    return f"trial {trial.number}: {trial.value:.4f}; {values}"


@cache
def _template() -> Any:
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("report.html.j2")
