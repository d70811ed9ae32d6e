"""Which files of the project a file imports, read from the source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def module_file(name: str) -> Path | None:
    """The file of a project module, relative to the root; None for anything else."""
    base = Path(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if (ROOT / path).is_file()), None)


def imported(path: Path) -> set[Path]:
    """The project's files that one file imports by statement."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {file for name in names if (file := module_file(name)) and file.parts[0] in {"pipelines", "serving"}}
