"""The project's modules as source: what each imports, read without importing it."""

import ast
from collections.abc import Iterator
from functools import cached_property
from importlib.util import resolve_name
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[2]
OWN = ("atelier", "pipelines", "serving")


class UnknownModule(LookupError):
    """A module without a file in the project, or imported by a computed name or `*`."""


class Module:
    """One module of the project: `name` is dotted, `file` its source."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.file.read_bytes(), self.file)

    @cached_property
    def bindings(self) -> dict[str, list[str]]:
        """{local name: its imported targets in full}, also of imports inside functions, not of those for type checkers.

        Several where functions or branches import different targets by one name. Raises UnknownModule.
        """
        found: dict[str, list[str]] = {}
        for local, target in (pair for node in runtime_nodes(self.tree) for pair in self._bound(node)):
            if local == "*":
                raise UnknownModule(f"{self.file} imports {target}: write out the names.")
            if target not in found.setdefault(local, []):
                found[local].append(target)
        return found

    @property
    def targets(self) -> list[str]:
        """Everything that it imports, in full: pipelines.datasets.splits, numpy.float32."""
        plain = {alias.name for node in runtime_nodes(self.tree) if isinstance(node, ast.Import) for alias in node.names}
        return [*(target for targets in self.bindings.values() for target in targets), *plain]

    @property
    def reexports(self) -> list[str]:
        """The names that it imports and does not use: re-exports."""
        return sorted(self.bindings.keys() - {node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name)})

    def _bound(self, node: ast.AST) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        if isinstance(node, ast.ImportFrom):
            package = self.name if self.file.name == "__init__.py" else self.name.rpartition(".")[0]
            source = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                yield alias.asname or alias.name, f"{source}.{alias.name}"

    @cached_property
    def parts(self) -> set[str]:
        """The family modules that it imports as discovery.part(family, "fit"). Raises UnknownModule for a computed name."""
        calls = [node for node in runtime_nodes(self.tree) if isinstance(node, ast.Call)]
        calls = [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) == "part"]
        asked = [words[1] for call in calls if len(words := [*call.args, *(word.value for word in call.keywords)]) == 2]
        if computed := next((name for name in asked if not isinstance(name, ast.Constant)), None):
            raise UnknownModule(f"{self.file}:{computed.lineno} imports a family module by a computed name. Write the name out.")
        return {str(name.value) for name in asked if isinstance(name, ast.Constant)}

    @property
    def resources(self) -> list[Path]:
        """The non-Python files beside it whose names are among its strings."""
        texts = {node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        return sorted(path for path in self.file.parent.iterdir() if path.is_file() and path.suffix != ".py" and path.name in texts)


def runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that can run: all but those under `if TYPE_CHECKING:`, its `else:` included."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo += node.orelse if for_type_checkers(node) else ast.iter_child_nodes(node)


def for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    """Is this an `if TYPE_CHECKING:`?"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


class Sources:
    """The modules below a folder with pipelines/: the project's, or a commit's."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._known: dict[str, Module | None] = {}

    def find(self, name: str) -> Module | None:
        """The module of this dotted name, or None."""
        if name not in self._known:
            base = Path(self.root, *name.split(".")) if name.partition(".")[0] in OWN else Path()
            files = [base / "__init__.py", base.with_suffix(".py")] if base.name else []  # a package first, as in Python
            self._known[name] = next((Module(name, file) for file in files if file.is_file()), None)
        return self._known[name]

    def named(self, name: str) -> Module:
        """As find(). Raises UnknownModule."""
        if (module := self.find(name)) is None:
            raise UnknownModule(f"{name} is not a module of {self.root}. Was it moved or renamed?")
        return module

    def owner(self, target: str) -> Module | None:
        """The module of an imported name: pipelines.datasets.splits.chosen -> pipelines.datasets.splits."""
        while target.partition(".")[0] in OWN and "." in target:
            if module := self.find(target):
                return module
            target = target.rpartition(".")[0]
        return self.find(target)

    def imports(self, module: Module, family: str) -> list[Module]:
        """The project's modules that this one imports, by statement or from the family."""
        asked = [self.named(f"pipelines.families.{family}.{part}") for part in sorted(module.parts)]
        return [*asked, *(found for target in module.targets if (found := self.owner(target)))]

    def closure(self, start: str, family: str) -> dict[str, Module]:
        """{name: module} of the import closure of a module run for a family, lazy imports and packages included."""
        seen: dict[str, Module] = {}
        todo = [self.named(start)]
        while todo:
            module = todo.pop()
            if module.name not in seen:
                seen[module.name] = module
                package = self.find(module.name.rpartition(".")[0])
                todo += [*self.imports(module, family), *([package] if package else [])]
        return dict(sorted(seen.items()))
