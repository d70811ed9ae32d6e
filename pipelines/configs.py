"""Hydra's config files in conf/, composed and validated before any work is done."""

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from pipelines import discovery, errors


class BadConfiguration(ValueError):
    """An invalid config file or override; the message names the key, its value and the choices."""


class Section(BaseModel):
    """A section of the configuration: all keys are known, and it is frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ShadowCondition(Section):
    """What the gate asks of a candidate's time as challenger: `samples` answers, and the share of them that agreed with the champion."""

    agreement: float = Field(default=0, ge=0, le=1)
    samples: int = Field(default=1, gt=0)


class Gate(Section):
    """The conditions for becoming champion: `floor`, `gain` and `confidence` of the headline metric on validation, size, latency."""

    floor: float
    gain: float = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    size_mb: float = Field(gt=0)
    latency: Literal["realtime", "interactive", "patient"]
    shadow: ShadowCondition | None = None

    @model_serializer(mode="wrap")
    def _without_null_shadow(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out `shadow` where it is None: a decision's key is a hash of this, and those of older decisions lack it."""
        dumped: dict[str, Any] = dump(self)
        return {key: value for key, value in dumped.items() if key != "shadow" or value is not None}


class Predictions(Section):
    """What is recorded of answers: the share, for how many days (null: forever), and whether with the inputs."""

    share: float = Field(default=1.0, ge=0, le=1)
    days: float | None = Field(default=30, gt=0)
    inputs: bool = False


class Serving(Section):
    """Limits of the endpoint: megabytes of a body, megapixels of an image, seconds of a request, concurrent requests, images in a batch.

    `shadow` is a challenger's share of the requests. A family's settings may define a subclass with more keys.
    """

    limit_mb: float = Field(gt=0)
    limit_megapixels: float = Field(gt=0)
    limit_seconds: float = Field(gt=0)
    queue: int = Field(gt=0)
    batch: int = Field(gt=0)
    predictions: Predictions = Predictions()
    shadow: float = Field(default=0.1, ge=0, le=1)


class Study(Section):
    """The sweep that chose a candidate: its name and digest, how many trials it had, and how many of them were stopped early."""

    name: str
    digest: str
    trials: int = Field(ge=1)
    pruned: int = Field(ge=0)


class Config(Section):
    """The configuration of a stage. `data`, `model` and `fit` are sections of the family's settings.py."""

    family: str
    run: str
    seed: int = Field(ge=0)
    gate: Gate
    serving: Serving
    data: Any
    candidate: str | None = None
    study: Study | None = None
    model: Any = None
    fit: Any = None

    @property
    def data_folder(self) -> Path:
        return Path("data", self.family)

    @property
    def model_folder(self) -> Path:
        return Path("models", str(self.candidate))

    def recipe(self) -> dict[str, Any]:
        """Everything that training reads."""
        return self.model_dump(mode="json", include={"family", "candidate", "run", "seed", "data", "model", "fit"})


def compose(overrides: Sequence[str]) -> Config:
    """Compose overrides such as ["family=digits", "candidate=digits-adam", "fit.epochs=3"], and validate. Raises BadConfiguration."""
    return check(composed(overrides))


def composed(overrides: Sequence[str]) -> dict[str, Any]:
    """As compose(), before it is validated. Raises BadConfiguration."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(discovery.CONF), version_base=None):
            found = hydra_compose("config", [_passed_through(word) for word in overrides])
        return cast(dict[str, Any], OmegaConf.to_container(found, resolve=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise BadConfiguration(str(error).partition("Config search path")[0].strip()) from error
    except yaml.YAMLError as error:
        raise BadConfiguration(f"a config file is not YAML: {error}") from error


def serving(family: str) -> Any:
    """The `serving` section of a family's config file, a Serving or the family's subclass of it, without loading Hydra."""
    config = yaml.safe_load((discovery.CONF / "family" / f"{discovery.validate(family)}.yaml").read_text())
    return validated(_serving_type(family), config["serving"], "serving")


def _serving_type(family: str) -> type[Serving]:
    return getattr(discovery.part(family, "settings"), "Serving", Serving)


def _passed_through(override: str) -> str:
    """Let an unknown key through Hydra: check() rejects it and, unlike Hydra, names the known ones."""
    key = override.partition("=")[0]
    return override if key in {"family", "candidate", "run"} or key[:1] in "~+" else f"++{override}"


def check(composed: Any) -> Config:
    """Validate a composed configuration by the types above and the family's settings. Raises BadConfiguration."""
    family, candidate = composed["family"], composed.get("candidate")
    settings = discovery.part(family, "settings")
    if candidate and candidate not in discovery.candidates(family):
        choices = ", ".join(discovery.candidates(family))
        raise BadConfiguration(f"candidate={candidate!r} is not one of family={family!r}. Choose one of: {choices}.")
    parts = ["data"] if candidate is None else ["data", "model", "fit"]
    own = {part: validated(getattr(settings, part.capitalize()), composed.get(part, {}), part) for part in parts}
    own["serving"] = validated(_serving_type(family), composed.get("serving", {}), "serving")
    shared = {key: value for key, value in composed.items() if key not in {"data", "model", "fit", "serving"}}
    return validated(Config, {**shared, **own}, "")


def validated(kind: type[Any], value: Any, where: str) -> Any:
    """A section of this type; `where` is its place in the file, "" for the file itself. Raises BadConfiguration."""
    if not isinstance(value, dict):
        raise BadConfiguration(f"{where}={value!r} is not a section. Known keys: {', '.join(kind.model_fields)}.")
    try:
        return kind(**value)
    except ValidationError as error:
        raise BadConfiguration("\n".join(_explained(kind, fault, where) for fault in error.errors())) from None


def field(kind: Any, name: str, key: str) -> Any:
    """The type of one field of a section, a section itself where it is an optional one; `key` is its place. Raises BadConfiguration."""
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    fields = getattr(kind, "model_fields", {})
    if name not in fields:
        raise BadConfiguration(_unknown(key, name, list(fields)))
    return _section(fields[name].annotation)


def _section(annotation: Any) -> Any:
    """The section in an annotation such as `Augment | None`."""
    if get_origin(annotation) is dict:
        return annotation
    return next((part for part in (annotation, *get_args(annotation)) if hasattr(part, "model_fields")), annotation)


def _unknown(key: str, name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{key} is not a known key.{hint} Known here: {', '.join(known) or 'none'}."


def _explained(kind: type[BaseModel], fault: Any, where: str) -> str:
    name = ".".join(str(step) for step in ([where] if where else []) + list(fault["loc"]))
    if fault["type"] != "extra_forbidden":
        return f"{name}={fault['input']!r}: {fault['msg']}." if fault["type"] != "missing" else f"{name} is missing."
    return _unknown(name, str(fault["loc"][-1]), _keys_at(kind, fault["loc"][:-1]))


def _keys_at(kind: Any, path: Sequence[Any]) -> list[str]:
    for step in path:
        kind = field(kind, str(step), str(step))
    return list(kind.model_fields)


def run(main: Callable[[Config], None], *required: str) -> None:
    """Run a stage on the command line's overrides, of which `family` and these must be given."""
    errors.help_if_asked(
        f"family=... {''.join(f'{name}=... ' for name in required)}[run=full] [key=value ...], keys of conf/ such as seed=2"
    )
    with errors.printed_once():
        for name in ("family", *required):
            _check_given(name)
        main(compose(sys.argv[1:]))


def _check_given(name: str) -> None:
    """Raises BadConfiguration where the command line does not say `name=...`."""
    words = dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
    if name not in words:
        known = discovery.candidates(words["family"]) if name == "candidate" else discovery.names()
        raise BadConfiguration(f"{name}= is missing. Choose one of: {', '.join(known)}.")
