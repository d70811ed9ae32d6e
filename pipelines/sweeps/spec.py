"""conf/sweep/<family>-<name>.yaml: what is searched, from which candidate, how long and how; checked before anything runs."""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from pipelines import configs, discovery
from pipelines.configs import BadConfiguration, Config, Gate, Section
from pipelines.sweeps.space import Choices, Parameter, Range

FOLDER = "sweep"  # of conf/
SEARCHED = ("model.", "fit.")  # sections that training reads


class UnknownSweep(LookupError):
    """A sweep that has no config file."""


class Budget(Section):
    """How much is trained: trials in all, seconds after which one command begins no more of them, cores and GPUs of each.

    `settings` are laid over the base in trials alone, as fewer epochs or less data; an adopted candidate is trained without them.
    `floor` takes the place of the gate's, which so short a training may not reach.
    """

    trials: int = Field(ge=1)
    seconds: float | None = Field(default=None, gt=0)
    cpus: int = Field(default=1, ge=1)
    gpus: float = Field(default=0, ge=0)
    floor: float | None = None
    settings: dict[str, Any] = Field(default={})


class Pruner(Section):
    """What stops a trial early, by its metric on validation after an epoch, compared with the other trials at that epoch.

    median: below their median, once `startup` trials have ended. halving: not in the best 1 / `factor` of those that came to
    `warmup`, `warmup` * `factor`, ... epochs (Li et al. 2020). None before `warmup` epochs.
    """

    kind: Literal["none", "median", "halving"]
    startup: int = Field(default=5, ge=0)
    warmup: int = Field(default=1, ge=1)
    factor: int = Field(default=3, ge=2)


class Spec(Section):
    """A sweep: the candidate it begins from, the seed, and the space, {setting of model or fit: its range or choices}."""

    base: str
    seed: int = Field(default=1, ge=0)
    budget: Budget
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Pruner
    space: dict[str, Any] = Field(min_length=1)


class Sweep:
    """A checked sweep, named `<family>-<name>`; `space` has its parameters."""

    def __init__(self, family: str, name: str, spec: Spec) -> None:
        self.family, self.label, self.spec = family, name, spec
        self.name = f"{family}-{name}"
        self._base = configs.composed([f"family={family}", f"candidate={spec.base}"])
        self.base = configs.check(self._base)
        self.space = {key: _parameter(self.base, key, given) for key, given in spec.space.items()}

    def composed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of a trial with these values of the space, as plain values."""
        laid = {**self.spec.budget.settings, **values}
        return reduce(lambda composed, key: with_value(composed, key, laid[key]), laid, self._base)

    def config(self, values: Mapping[str, Any]) -> Config:
        """The same, validated. Raises BadConfiguration."""
        return configs.check(self.composed(values))

    @property
    def own_data(self) -> bool:
        """Do trials train on other data than that of data/<family>/?"""
        return any(key.startswith("data.") for key in self.spec.budget.settings)

    @property
    def gate(self) -> Gate:
        """The conditions that a trial must meet."""
        floor = self.spec.budget.floor
        return self.base.gate if floor is None else self.base.gate.model_copy(update={"floor": floor})

    def start(self) -> dict[str, Any] | None:
        """The base's own values, where they are in the space: the first trial, to which all others compare."""
        recipe = self.base.recipe()
        values = {key: _at(recipe, key) for key in self.space}
        return values if all(parameter.holds(values[key]) for key, parameter in self.space.items()) else None


def path(family: str, name: str) -> Path:
    return discovery.CONF / FOLDER / f"{family}-{name}.yaml"


def names(family: str) -> list[str]:
    """The sweeps of a family."""
    return sorted(file.stem.removeprefix(f"{family}-") for file in (discovery.CONF / FOLDER).glob(f"{family}-*.yaml"))


def load(family: str, name: str | None = None) -> Sweep:
    """The sweep of this name, or the family's only one. Raises UnknownSweep or BadConfiguration."""
    known = names(discovery.validate(family))
    if name is None and len(known) == 1:
        name = known[0]
    if name not in known:
        some = f"name={name!r} is no sweep of {family}" if name else f"{family} has {len(known)} sweeps, so name= is needed"
        raise UnknownSweep(f"{some}. Choose one of: {', '.join(known) or 'none yet'}; a new one is a file conf/sweep/{family}-<name>.yaml.")
    try:
        return read(family, name, yaml.safe_load(path(family, name).read_text()))
    except (BadConfiguration, yaml.YAMLError) as error:
        raise BadConfiguration(f"conf/{FOLDER}/{family}-{name}.yaml: {error}") from None


def read(family: str, name: str, content: Any) -> Sweep:
    """Check the content of a sweep's file: every key, and every bound and choice by the types of the family. Raises BadConfiguration."""
    spec = configs.validated(Spec, content, "")
    if spec.base not in discovery.candidates(family):
        raise BadConfiguration(f"base={spec.base!r} is no candidate of {family}. Choose one of: {', '.join(discovery.candidates(family))}.")
    for key in spec.space:
        if not key.startswith(SEARCHED):
            raise BadConfiguration(f"space has {key!r}: only settings of training can be searched, fit.* and model.*.")
        if key in spec.budget.settings:
            raise BadConfiguration(f"{key!r} is in space and in budget.settings. Leave it out of one of them.")
    sweep = Sweep(family, name, spec)
    sweep.config({})
    for key, parameter in sweep.space.items():
        for value in parameter.ends:
            sweep.config({key: value})
    return sweep


def _parameter(base: Config, key: str, given: Any) -> Parameter:
    kind = Choices if isinstance(given, dict) and "choices" in given else Range
    return configs.validated(kind, given, f"space.{key}").parameter(key, _annotation(base, key))


def _annotation(base: Config, key: str) -> Any:
    """The type of a setting, such as `int`. Raises BadConfiguration."""
    section, *steps = key.split(".")
    return reduce(lambda kind, step: configs.field(kind, step, key), steps, type(getattr(base, section)))


def _at(values: Any, key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    return reduce(lambda node, step: node.get(step) if isinstance(node, dict) else None, key.split("."), values)


def with_value(values: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of nested values with another one at a dotted key."""
    step, _, rest = key.partition(".")
    below = values.get(step)
    return {**values, step: with_value(below if isinstance(below, dict) else {}, rest, value) if rest else value}
