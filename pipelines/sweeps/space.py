"""The parameters of a search: numbers between two bounds, or choices."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field

from pipelines import folders
from pipelines.configs import BadConfiguration, Section

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Parameter:
    """A setting and where it is searched: from `low` to `high`, `integer` or not, on a logarithmic scale or not, or among `choices`."""

    key: str
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    integer: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values whose validity stands for all of them."""
        return self.choices or (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Is this value in the space?"""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def distribution(self) -> "BaseDistribution":
        """As Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution([encoded(choice) for choice in self.choices])
        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def decoded(self, value: Any) -> Any:
        """The setting that Optuna's value stands for."""
        return next((choice for choice in self.choices if encoded(choice) == value), value)


def encoded(choice: Any) -> Scalar:
    """A choice as Optuna stores it: lists and sections as JSON."""
    return choice if isinstance(choice, Scalar) else folders.canonical(choice)


class Range(Section):
    """Numbers from `low` to `high`; integers where the setting is one. `log`: as likely between 1 and 10 as between 10 and 100."""

    low: int | float
    high: int | float
    log: bool = False

    def parameter(self, key: str, annotation: Any) -> Parameter:
        """Raises BadConfiguration where the setting is no number, or the bounds are none of its."""
        kinds = [annotation, *get_args(annotation)]
        if int not in kinds and float not in kinds:
            raise BadConfiguration(f"space.{key}: the setting is no number, so it has no low and high. Give choices: [...].")
        if not self.low < self.high or (self.log and self.low <= 0):
            raise BadConfiguration(f"space.{key}: low={self.low} and high={self.high}: low must be below high, and above 0 with log.")
        integer = float not in kinds
        if integer and not (isinstance(self.low, int) and isinstance(self.high, int)):
            raise BadConfiguration(f"space.{key}: low={self.low} and high={self.high}: the setting is an integer, so both must be.")
        return Parameter(key, self.low, self.high, self.log, integer)


class Choices(Section):
    """Two values or more, each as it would stand in the candidate's file."""

    choices: list[Any] = Field(min_length=2)

    def parameter(self, key: str, annotation: Any) -> Parameter:
        """Raises BadConfiguration where a choice is there twice."""
        if len({folders.canonical(choice) for choice in self.choices}) < len(self.choices):
            raise BadConfiguration(f"space.{key}: choices={self.choices} has a value twice. Leave one out.")
        return Parameter(key, choices=tuple(self.choices))
