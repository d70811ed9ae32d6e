"""Which files of the project a stage really imports: read from the source, families' parts included."""

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


def parts(path: Path) -> set[str]:
    """The pieces of a room's furniture that a file asks families.part() for, in a call or in a loop around one."""
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text())))
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "part"]
    loops = [node for node in nodes if isinstance(node, ast.GeneratorExp) and any(call in ast.walk(node) for call in calls)]
    words = {word.value for place in [*calls, *loops] for word in ast.walk(place) if isinstance(word, ast.Constant)}
    return {str(word) for word in words if any((ROOT / "pipelines/families").glob(f"*/{word}.py"))}


def closure(start: Path, family: str) -> set[Path]:
    """Every project file that running `start` for a family imports; packages' empty __init__ files are left out."""
    seen, todo = set(), {start}
    while todo:
        path = todo.pop()
        seen.add(path)
        rooms = {Path("pipelines/families", family, f"{part}.py") for part in parts(path)}
        todo |= (imported(path) | rooms) - seen
    return {path for path in seen if path.name != "__init__.py" or path == Path("pipelines/families/__init__.py")}
