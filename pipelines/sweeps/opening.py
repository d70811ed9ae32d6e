"""A sweep's study is found or begun: what its trials have in common must not change between two of them."""

import os
import uuid
from typing import TYPE_CHECKING, Any

from pipelines import folders
from pipelines.sweeps import storage
from pipelines.sweeps.spec import Sweep
from pipelines.sweeps.study import IDENTITY, KEY, Study, optuna_quiet

if TYPE_CHECKING:
    import optuna

WORDS = {"space": "another space", "recipe": "another recipe", "data": "other data", "code": "other training code"}


class OtherStudy(ValueError):
    """A study whose trials would not compare with new ones."""


class NoStudy(LookupError):
    """A sweep that was never begun."""


def existing(sweep: Sweep) -> "Study":
    """The study as it is, to be looked at. Raises NoStudy."""
    found = optuna_quiet()
    here = (storage.folder(sweep.name) / storage.JOURNAL).exists() or os.environ.get("SWEEPS_URL")
    try:
        if not here:
            raise KeyError(sweep.name)
        return Study(sweep, found.load_study(study_name=sweep.name, storage=storage.opened(sweep.name)))
    except KeyError:
        command = f"make sweep family={sweep.family} name={sweep.label}"
        raise NoStudy(f"The sweep {sweep.name} has no trials yet, here or at SWEEPS_URL. `{command}` begins it.") from None


def resumed(sweep: Sweep, data: str, code: str) -> "Study":
    """The study, created where there is none. Raises OtherStudy."""
    found = optuna_quiet()
    stored = found.create_study(storage=storage.opened(sweep.name), study_name=sweep.name, direction="maximize", load_if_exists=True)
    stored.pruner = _pruner(sweep)
    study, now = Study(sweep, stored), identity(sweep, data, code)
    begun = stored.user_attrs.get(IDENTITY)
    if begun is None:
        stored.set_user_attr(KEY, uuid.uuid4().hex[:16])
        stored.set_user_attr(IDENTITY, now)
        if (start := sweep.start()) is not None:
            stored.enqueue_trial(study.encoded(start))
    elif begun != now:
        raise OtherStudy(_differing(sweep, begun, now))
    return study


def identity(sweep: Sweep, data: str, code: str) -> dict[str, Any]:
    """What must not change between two trials of a study."""
    recipe = sweep.config({}).recipe()
    return {"space": sweep.spec.space, "recipe": recipe, "data": data, "code": code}


def _differing(sweep: Sweep, begun: dict[str, Any], now: dict[str, Any]) -> str:
    what = next(key for key in WORDS if begun[key] != now[key])
    old, new = (entry[what] if isinstance(entry[what], dict) else {} for entry in (begun, now))
    keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    named = f" ({'; '.join(f'{key}: {old.get(key)} then, {new.get(key)} now' for key in keys)})" if keys else ""
    remedy = f"Copy conf/sweep/{sweep.name}.yaml to another name and sweep that, or bring back what has changed"
    return f"The study {sweep.name} was begun with {WORDS[what]}{named}, so old and new trials would not compare. {remedy}."


def seed(study: Study, shared: bool) -> None:
    """Give the study its sampler, seeded with the number of trials too, as its state is not stored: it would draw the same again.

    Parents that share a study are seeded with their names.
    """
    samplers, sweep = optuna_quiet().samplers, study.sweep
    kinds = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}
    own = int(folders.hash_of(study.me)[:8], 16) if shared else 0
    study.stored.sampler = kinds[sweep.spec.sampler](seed=(sweep.spec.seed + len(study.trials()) + own) % 2**32)


def _pruner(sweep: Sweep) -> "optuna.pruners.BasePruner":
    spec, pruners = sweep.spec.pruner, optuna_quiet().pruners
    if spec.kind == "median":
        return pruners.MedianPruner(n_startup_trials=spec.startup, n_warmup_steps=spec.warmup)
    if spec.kind == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=spec.warmup, reduction_factor=spec.factor)
    return pruners.NopPruner()
