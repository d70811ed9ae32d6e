"""The HTTP reference, from the OpenAPI description of each service, and the metrics they export."""

from functools import cache
from importlib import import_module
from typing import Any

from prometheus_client import REGISTRY

from docs.generate.figures import table
from pipelines import discovery

METHODS = ("get", "post", "put", "delete")


@cache
def described(family: str) -> dict[str, Any]:
    """The OpenAPI description of a family's service."""
    api: dict[str, Any] = import_module(f"serving.{family}.service").app.openapi()
    return api


def shared() -> str:
    """The routes that every service has."""
    return _routes(described(discovery.names()[0]), _common())


def family(name: str) -> str:
    """The routes of one family alone."""
    api = described(name)
    return _routes(api, [path for path in api["paths"] if path not in _common()])


def _common() -> list[str]:
    """The paths of all services, but those that each has in its own way."""
    apis = [described(name)["paths"] for name in discovery.names()]
    return [path for path in apis[0] if path != "/predict" and all(path in paths for paths in apis)]


def _routes(api: dict[str, Any], paths: list[str]) -> str:
    return "\n\n".join(_operation(api, path, method) for path in paths for method in METHODS if method in api["paths"][path])


def _operation(api: dict[str, Any], path: str, method: str) -> str:
    operation = api["paths"][path][method]
    parts = [f"#### `{method.upper()} {path}`", operation.get("description") or operation.get("summary", "")]
    if given := operation.get("parameters"):
        parts.append(table(["parameter", "in", "type", "meaning"], [_parameter(each) for each in given]))
    if body := operation.get("requestBody"):
        parts.append("Takes " + "; ".join(_content(api, kind, each) for kind, each in body["content"].items()) + ".")
    responses = operation["responses"]
    parts += [_answer(api, code, each) for code, each in responses.items() if code < "400"]
    if refused := [code for code in responses if code >= "400"]:
        parts.append(f"Refusals: {', '.join(refused)}.")
    return "\n\n".join(part for part in parts if part)


def _parameter(given: dict[str, Any]) -> list[str]:
    schema = given.get("schema", {})
    kind = schema.get("type", "")
    if "default" in schema:
        kind += f", default {schema['default']}"
    limits = [f"{word} {schema[key]}" for key, word in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return [f"`{given['name']}`", given["in"], " ".join([kind, *limits]), given.get("description", "")]


def _content(api: dict[str, Any], kind: str, given: dict[str, Any]) -> str:
    fields = _fields(api, given.get("schema", {}))
    return f"`{kind}`" + (f" with {fields}" if fields else "")


def _answer(api: dict[str, Any], code: str, given: dict[str, Any]) -> str:
    kinds = [_content(api, kind, each) for kind, each in given.get("content", {}).items()]
    return f"Answers {code}" + (": " + "; or ".join(kinds) if kinds else "") + "."


def _fields(api: dict[str, Any], schema: dict[str, Any]) -> str:
    """The fields of a JSON object or a form, by name."""
    if "$ref" in schema:
        schema = api["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return ", ".join(f"`{name}`" for name in schema.get("properties", {}))


def metrics() -> str:
    """What /metrics exports, of all services."""
    for name in discovery.names():
        described(name)
    own: list[Any] = [each for each in REGISTRY._collector_to_names if getattr(each, "_name", "").startswith("atelier")]
    return table(["metric", "kind", "labels", "meaning"], [_metric(each) for each in sorted(own, key=lambda each: each._name)])


def _metric(each: Any) -> list[str]:
    kind = type(each).__name__.lower()
    name = each._name + ("_total" if kind == "counter" else "")
    return [f"`{name}`", kind, ", ".join(f"`{label}`" for label in each._labelnames), each._documentation]
