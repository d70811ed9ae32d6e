"""`make sweep-adopt family=digits`: a trial as a candidate, its config file and its line in dvc.yaml; `dvc repro` trains and judges it."""

import math
import re
from typing import TYPE_CHECKING, Any

import yaml

from pipelines import discovery, folders
from pipelines.sweeps import spec
from pipelines.sweeps.opening import existing
from pipelines.sweeps.study import Study

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

PIPELINE = discovery.CONF.parent / "dvc.yaml"
HEAD = """\
# @package _global_
# {base} with the settings of trial {trial.number}: {metric} {trial.value:.4f} on validation after a short training.
# Chosen among {trials} trials, {pruned} of them pruned: conf/sweep/{name}.yaml.
"""


class NotAdopted(ValueError):
    """A trial that cannot become a candidate."""


def main(family: str, name: str | None, trial: int | None) -> None:
    """Write the candidate's file and its line. Raises NotAdopted."""
    study = existing(spec.load(family, name))
    chosen = _chosen(study, trial)
    candidate = study.sweep.name
    path = discovery.CONF / "candidate" / f"{candidate}.yaml"
    if path.exists() and "study" not in (yaml.safe_load(path.read_text()) or {}):
        raise NotAdopted(f"{path.name} is a candidate that no sweep made. Give the sweep another name: copy conf/sweep/{candidate}.yaml.")
    plots = PIPELINE.parent / "reports" / family / "dvc.yaml"
    written = {path: candidate_file(study, chosen), PIPELINE: with_candidate(PIPELINE.read_text(), family, candidate)}
    if plots.exists():
        written[plots] = with_plots(plots.read_text(), family, candidate)
    for file, text in written.items():
        folders.write(file, text)
    print(f"conf/candidate/{candidate}.yaml has the settings of trial {chosen.number}, and dvc.yaml its line.")
    print(f"`dvc repro promote@{family}` trains it, with a seed of its own and without the budget's settings, and the gate decides.")


def _chosen(study: Study, number: int | None) -> "FrozenTrial":
    """The trial of this number, or the best. Raises NotAdopted."""
    complete = {trial.number: trial for trial in study.trials("COMPLETE")}
    best = study.best()
    if number is None:
        if best is None:
            raise NotAdopted(f"{study.sweep.name} has no complete trial within the limits of the gate.")
        return best
    if number not in complete:
        raise NotAdopted(f"trial={number} has not ended with figures. Choose one of: {', '.join(map(str, complete)) or 'none yet'}.")
    if broken := study.broken(complete[number]):
        raise NotAdopted(f"trial={number} breaks a limit of the gate: {'; '.join(broken)}.")
    return complete[number]


def candidate_file(study: Study, trial: "FrozenTrial") -> str:
    """The base's file with the trial's values, a seed of its own, and the study that chose it."""
    path = discovery.CONF / "candidate" / f"{study.sweep.spec.base}.yaml"
    content = yaml.safe_load(path.read_text())
    for key, value in study.values(trial).items():
        content = spec.with_value(content, key, value)
    origin = origin_of(study)
    facts = {"candidate": study.sweep.name, "seed": study.sweep.base.seed + 1 + trial.number, "study": origin}
    parts = {**facts, **{key: content[key] for key in content if key not in facts}}
    head = HEAD.format(base=study.sweep.spec.base, trial=trial, metric=study.metric, **origin)
    return head + "".join(_written(key, value) for key, value in parts.items())


def _written(key: str, value: Any) -> str:
    """A key of a config file: a section in lines of its own, but for `study`, what is below in one line each."""
    if not isinstance(value, dict) or key == "study":
        return f"{key}: {_flow(value)}\n"
    return f"\n{key}:\n" + "".join(f"  {name}: {_flow(below)}\n" for name, below in value.items())


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf).removesuffix("\n").removesuffix("\n...")


def origin_of(study: Study) -> dict[str, Any]:
    """{"name", "digest", "trials", "pruned"}: what the ledger says of a candidate that a sweep chose."""
    rows = [
        [
            trial.number,
            trial.state.name,
            trial.params,
            trial.values,
            {str(epoch): value for epoch, value in trial.intermediate_values.items()},
        ]
        for trial in study.finished()
    ]
    counts = {"trials": len(rows), "pruned": len(study.trials("PRUNED"))}
    return {"name": study.sweep.name, "digest": folders.hash_of([study.key, rows]), **counts}


def with_candidate(text: str, family: str, candidate: str) -> str:
    """dvc.yaml with the candidate's line after those of its family, in alphabetical order; unchanged where it is there."""
    rows = [*re.finditer(rf"^( +)({family}-[\w-]+): (\{{family: {family}\b.*\}})\n", text, re.MULTILINE)]
    if not rows:
        raise NotAdopted(f"dvc.yaml has no line `{family}-name: {{family: {family}}}` under `train`. Write its candidates so.")
    if any(row[2] == candidate for row in rows):
        return text
    place = next((row.start() for row in rows if row[2] > candidate), rows[-1].end())
    return f"{text[:place]}{rows[0][1]}{candidate}: {rows[0][3]}\n{text[place:]}"


def with_plots(text: str, family: str, candidate: str) -> str:
    """reports/<family>/dvc.yaml with the candidate's line in each plot of all candidates; unchanged where it is there."""
    if f"plots/{candidate}/" in text:
        return text
    group = rf"(?:^ +plots/{family}-[\w-]+/\w+\.csv: .*\n)+"
    return re.sub(group, lambda found: _with_row(found[0], family, candidate), text, flags=re.MULTILINE)


def _with_row(rows: str, family: str, candidate: str) -> str:
    own = re.sub(rf"plots/{family}-[\w-]+/", f"plots/{candidate}/", rows.splitlines(keepends=True)[0])
    return "".join(sorted([*rows.splitlines(keepends=True), own]))
