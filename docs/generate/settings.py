"""The reference of the config files, from the pydantic models that check them, and meanings.yaml."""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen, MultipleOf
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generate.figures import table
from pipelines import configs, discovery
from pipelines.sweeps.space import Choices, Range
from pipelines.sweeps.spec import Spec

ROOT = Path(__file__).parents[2]
MEANINGS = Path(__file__).with_name("meanings.yaml")
HEADER = ["key", "type", "default", "meaning"]
SIGNS = {Ge: ">=", Gt: ">", Le: "<=", Lt: "<", MultipleOf: "a multiple of"}
LENGTHS = {MinLen: "at least", MaxLen: "at most"}


class NoMeaning(LookupError):
    """A key of the configuration that no page explains."""


def family(name: str) -> str:
    """The keys of a family's config file and of its candidates."""
    own = discovery.part(name, "settings")
    parts = [
        f"### conf/family/{name}.yaml: data",
        _model(own.Data, name, "data"),
        f"### conf/candidate/{name}-*.yaml: model",
        _model(own.Model, name, "model"),
        f"### conf/candidate/{name}-*.yaml: fit",
        _model(own.Fit, name, "fit"),
    ]
    if more := _rows(own.Serving, name, "serving", set(configs.Serving.model_fields)) if hasattr(own, "Serving") else []:
        parts += [f"### conf/family/{name}.yaml: serving, beside the shared keys", table(HEADER, more)]
    return "\n\n".join(parts)


def shared() -> str:
    """The keys that every family's config file has."""
    parts = [
        "### gate",
        _model(configs.Gate, "", "gate"),
        "### serving",
        _model(configs.Serving, "", "serving"),
    ]
    return "\n\n".join(parts)


def sweep() -> str:
    """The keys of a sweep's config file."""
    rows = [*_rows(Spec, "sweep", ""), *_rows(Range, "sweep", "space.*"), *_rows(Choices, "sweep", "space.*")]
    return f"### conf/sweep/*.yaml\n\n{table(HEADER, rows)}"


def _model(model: type[BaseModel], name: str, path: str) -> str:
    return table(HEADER, _rows(model, name, path))


def _rows(model: type[BaseModel], name: str, path: str, without: Collection[str] = ()) -> list[list[str]]:
    rows = []
    for key, field in model.model_fields.items():
        if key in without:
            continue
        where, below = f"{path}.{key}".removeprefix("."), _nested(field.annotation)
        rows.append([f"`{where}`", _type(field), _default(field), meaning(name, where)])
        if below:
            rows += _rows(below, name, f"{where}.*" if get_origin(field.annotation) is dict else where)
    return rows


def _nested(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as `Source | None` or `dict[str, Source]`."""
    parts = [annotation, *get_args(annotation)]
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _type(field: FieldInfo) -> str:
    limits = [_limit(rule) for rule in [*field.metadata, *getattr(field, "annotated", [])] if type(rule) in SIGNS | LENGTHS]
    return ", ".join([_annotation(field.annotation), *limits])


def _annotation(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if annotation is type(None):
        return "null"
    if origin is list:
        return f"list of {_annotation(inner[0])}"
    if origin is dict:
        return f"name to {_annotation(inner[1])}"
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join(_annotation(part) for part in inner)
    if inner and hasattr(annotation, "__metadata__"):
        return ", ".join([_annotation(inner[0]), *(_limit(rule) for rule in _rules(annotation))])
    return {str: "text", int: "integer", float: "number", bool: "true or false", Any: "any value"}.get(annotation, "section")


def _rules(annotation: Any) -> list[Any]:
    return [rule for given in annotation.__metadata__ for rule in getattr(given, "metadata", [given]) if type(rule) in SIGNS | LENGTHS]


def _limit(rule: Any) -> str:
    value = next(getattr(rule, name) for name in ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length") if hasattr(rule, name))
    return f"{SIGNS[type(rule)]} {value:g}" if type(rule) in SIGNS else f"{LENGTHS[type(rule)]} {value}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "as below"
    return "`null`" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def meaning(name: str, where: str) -> str:
    """What a key means: of the family, or else of all. Raises NoMeaning."""
    said = meanings()
    found = said.get(name, {}).get(where) or said["all"].get(where)
    if not found:
        raise NoMeaning(f"{where} of {name or 'every family'} has no meaning: say it in {MEANINGS.relative_to(ROOT)}.")
    return found


@cache
def meanings() -> dict[str, dict[str, str]]:
    said: dict[str, dict[str, str]] = yaml.safe_load(MEANINGS.read_text())
    return said
