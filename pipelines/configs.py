"""From Hydra's pages in conf/ to one checked configuration, before any work is done."""

import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from pipelines import discovery, errors


class BadConfiguration(ValueError):
    """A page or an override that does not fit; the message names the key, its value and the choices."""


class Section(BaseModel):
    """A page of configuration: its keys are all known, and it does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shadowed(Section):
    """What a candidate must have shown as challenger, beside the champion's answers: so many of them, and the share that agreed."""

    agreement: float = Field(default=0, ge=0, le=1)
    samples: int = Field(default=1, gt=0)


class Gate(Section):
    """What a challenger must show to become champion, of the family's headline metric on the validation split."""

    floor: float
    gain: float = Field(ge=0)
    confidence: float = Field(gt=0, lt=1)
    size_mb: float = Field(gt=0)
    latency: Literal["realtime", "interactive", "patient"]
    shadow: Shadowed | None = None

    @model_serializer(mode="wrap")
    def _asked(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `shadow` where it is not asked for: decisions that were made before there was one keep their keys."""
        asked: dict[str, Any] = dump(self)
        return {key: value for key, value in asked.items() if key != "shadow" or value is not None}


class Predictions(Section):
    """What is recorded of answers: which share of them, for how many days (null: for good), and whether with what was sent."""

    share: float = Field(default=1.0, ge=0, le=1)
    days: float | None = Field(default=30, gt=0)
    inputs: bool = False


class Serving(Section):
    """Limits of the endpoint: megabytes of a body, megapixels of a picture, seconds of a request, requests at work, pictures in a batch.

    `limit_pages` and `runtime` are of families that read documents, or can answer by more than one runtime; `shadow` is the share of
    the requests that a challenger is given too.
    """

    limit_mb: float = Field(gt=0)
    limit_megapixels: float = Field(gt=0)
    limit_seconds: float = Field(gt=0)
    queue: int = Field(gt=0)
    batch: int = Field(gt=0)
    predictions: Predictions = Predictions()
    shadow: float = Field(default=0.1, ge=0, le=1)
    limit_pages: int = Field(default=1, gt=0)
    runtime: Literal["onnxruntime", "opencv", "openvino"] | None = None


class Config(Section):
    """Everything one stage is told. `data`, `model` and `fit` are pages of the family's own settings.py."""

    family: str
    run: str
    seed: int = Field(ge=0)
    gate: Gate
    serving: Serving
    data: Any
    candidate: str | None = None
    model: Any = None
    fit: Any = None

    @property
    def data_folder(self) -> Path:
        return Path("data", self.family)

    @property
    def model_folder(self) -> Path:
        return Path("models", str(self.candidate))

    def recipe(self) -> dict[str, Any]:
        """What decides the model: everything that training reads, and nothing else."""
        return self.model_dump(mode="json", include={"family", "candidate", "run", "seed", "data", "model", "fit"})


def compose(overrides: Sequence[str]) -> Config:
    """Compose Hydra's pages, such as ["family=digits", "candidate=digits-adam", "fit.epochs=3"], and check them.

    Raises BadConfiguration for an unknown page, key, choice or type.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(discovery.CONF), version_base=None):
            page = hydra_compose("config", [_forced(word) for word in overrides])
        return check(OmegaConf.to_container(page, resolve=True))
    except (HydraException, OmegaConfBaseException) as error:
        raise BadConfiguration(str(error).partition("Config search path")[0].strip()) from error
    except yaml.YAMLError as error:
        raise BadConfiguration(f"a page of conf/ is not YAML: {error}") from error


def serving(family: str) -> Serving:
    """The `serving` keys of a family's page alone, for an endpoint: no Hydra is loaded."""
    page = yaml.safe_load((discovery.CONF / "family" / f"{discovery.validate(family)}.yaml").read_text())
    limits: Serving = _checked(Serving, page["serving"], "serving")
    return limits


def _forced(override: str) -> str:
    """Let an unknown key through Hydra: check() refuses it and, unlike Hydra, names the known ones."""
    key = override.partition("=")[0]
    return override if key in {"family", "candidate", "run"} or key[:1] in "~+" else f"++{override}"


def check(page: Any) -> Config:
    """Check a composed page against the types above and the family's settings."""
    room = discovery.part(page["family"], "settings")
    parts = ["data"] if page.get("candidate") is None else ["data", "model", "fit"]
    _matches(page)
    own = {part: _checked(getattr(room, part.capitalize()), page.get(part, {}), part) for part in parts}
    shared = {key: value for key, value in page.items() if key not in {"data", "model", "fit"}}
    return _checked(Config, {**shared, **own}, "")


def _matches(page: Any) -> None:
    family, candidate = page["family"], page.get("candidate")
    if candidate and candidate not in discovery.candidates(family):
        choices = ", ".join(discovery.candidates(family))
        raise BadConfiguration(f"candidate={candidate!r} is not one of family={family!r}. Choose one of: {choices}.")


def _checked(kind: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise BadConfiguration(f"{where}={value!r} is not a page. Known keys: {', '.join(kind.model_fields)}.")
    try:
        return kind(**value)
    except ValidationError as error:
        raise BadConfiguration("\n".join(_explained(kind, fault, where) for fault in error.errors())) from None


def _explained(kind: type[BaseModel], fault: Any, where: str) -> str:
    name = ".".join(str(step) for step in ([where] if where else []) + list(fault["loc"]))
    if fault["type"] != "extra_forbidden":
        return f"{name}={fault['input']!r}: {fault['msg']}." if fault["type"] != "missing" else f"{name} is missing."
    known = _keys_at(kind, fault["loc"][:-1])
    near = get_close_matches(str(fault["loc"][-1]), known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{name} is not a known key.{hint} Known here: {', '.join(known)}."


def _keys_at(kind: Any, path: Sequence[Any]) -> list[str]:
    for step in path:
        annotation = kind.model_fields[step].annotation
        kind = next((part for part in (annotation, *getattr(annotation, "__args__", ())) if hasattr(part, "model_fields")), kind)
    return list(kind.model_fields)


def run(main: Callable[[Config], None]) -> None:
    """Run a stage on the command line's overrides; print a named error once, without its traceback, and exit 1."""
    with errors.printed_once():
        main(compose(sys.argv[1:]))
