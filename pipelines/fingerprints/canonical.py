"""The canonical form of a module: its AST without comments, docstrings, positions and imports, the same on Python 3.11 to 3.13.

A name that an import binds is written in full, so that aliases do not matter.
"""

import ast
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.fingerprints.modules import for_type_checkers

DROPPED = {"ctx", "kind", "type_comment", "type_ignores"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def text(tree: ast.Module, written: Callable[[str], str]) -> str:
    """The canonical form, each name replaced by `written(name)`; "" for a module that only imports and documents."""
    return "".join(_form(statement, written) for statement in _statements(tree))


def _statements(node: Any) -> list[ast.stmt]:
    """A body without docstring, imports and `if TYPE_CHECKING:`."""
    first = node.body[0] if node.body else None
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    body = node.body[1:] if documented and isinstance(node, DOCUMENTED) else node.body
    return list(_computing(body))


def _computing(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if for_type_checkers(statement):
            yield from _computing(statement.orelse)
        elif not isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement


def _form(value: Any, written: Callable[[str], str]) -> str:
    if isinstance(value, ast.Name):
        return f"(Name {written(value.id)})"
    if isinstance(value, ast.AST):
        return f"({type(value).__name__}{''.join(_fields(value, written))})"
    if isinstance(value, list):
        return f"[{''.join(_form(item, written) for item in value)}]"
    return f"<{value!r}>"


def _fields(node: ast.AST, written: Callable[[str], str]) -> list[str]:
    """The non-empty fields: the empty ones differ between versions of Python."""
    values = {name: value for name, value in ast.iter_fields(node) if name not in DROPPED}
    if isinstance(values.get("body"), list):
        values["body"] = _statements(node)
    return [f" {name}={_form(value, written)}" for name, value in values.items() if value is not None and value != []]
