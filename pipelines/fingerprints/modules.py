"""The project's modules as source: what each of them imports, read without importing any of them."""

import ast
from collections.abc import Iterator
from functools import cached_property
from importlib.util import resolve_name
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[2]
OWN = ("pipelines", "serving")


class UnknownModule(LookupError):
    """A module that has no file in the project, or of which the source does not say the name."""


class Module:
    """One module of the project: `name` is dotted, `file` its source."""

    def __init__(self, name: str, file: Path) -> None:
        self.name, self.file = name, file

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.file.read_bytes(), self.file)

    @cached_property
    def bindings(self) -> dict[str, list[str]]:
        """{local name: what imports bind to it, written in full}, imports inside functions included; those for type checkers are not.

        Several where two functions, or the branches of an `if` or `try`, import other things by one name. Raises UnknownModule.
        """
        found: dict[str, list[str]] = {}
        for local, target in (pair for node in running(self.tree) for pair in self._bound(node)):
            if local == "*":
                raise UnknownModule(f"{self.file} imports {target}: its source does not say which names are meant. Write them out.")
            if target not in found.setdefault(local, []):
                found[local].append(target)
        return found

    @property
    def targets(self) -> list[str]:
        """All that it imports, written in full: pipelines.datasets.splits, numpy.float32."""
        return [*(target for targets in self.bindings.values() for target in targets), *self._plain]

    @property
    def passed_on(self) -> list[str]:
        """The names that it imports and does not use: others may read them from it."""
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

    @property
    def _plain(self) -> set[str]:
        """The modules that statements such as `import a.b` name."""
        return {alias.name for node in running(self.tree) if isinstance(node, ast.Import) for alias in node.names}

    @cached_property
    def parts(self) -> set[str]:
        """The family modules that it asks for by name: discovery.part(family, "fit"). Raises UnknownModule: write the name out."""
        calls = [node for node in running(self.tree) if isinstance(node, ast.Call) and _called(node) == "part"]
        asked = [words[1] for call in calls if len(words := [*call.args, *(word.value for word in call.keywords)]) == 2]
        if computed := next((name for name in asked if not isinstance(name, ast.Constant)), None):
            raise UnknownModule(f"{self.file}:{computed.lineno} asks for a family module by a computed name. Write the name out.")
        return {str(name.value) for name in asked if isinstance(name, ast.Constant)}

    @property
    def resources(self) -> list[Path]:
        """The files beside it, no Python, whose names it holds as text."""
        texts = {node.value for node in ast.walk(self.tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        return sorted(path for path in self.file.parent.iterdir() if path.is_file() and path.suffix != ".py" and path.name in texts)


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node, but for what stands under `if TYPE_CHECKING:`; its `else:` runs."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo += node.orelse if for_type_checkers(node) else ast.iter_child_nodes(node)


def for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    """Is this an `if TYPE_CHECKING:`?"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


class Sources:
    """The modules below a folder that holds pipelines/: this project's, or those of a commit."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._known: dict[str, Module | None] = {}

    def find(self, name: str) -> Module | None:
        """The module of this dotted name; None where the project has none."""
        if name not in self._known:
            base = Path(self.root, *name.split(".")) if name.partition(".")[0] in OWN else Path()
            files = [base / "__init__.py", base.with_suffix(".py")] if base.name else []  # Python, too, takes the package first
            self._known[name] = next((Module(name, file) for file in files if file.is_file()), None)
        return self._known[name]

    def named(self, name: str) -> Module:
        """As find(). Raises UnknownModule."""
        if (module := self.find(name)) is None:
            raise UnknownModule(f"{name} is not a module of {self.root}. Was it moved or renamed?")
        return module

    def owner(self, target: str) -> Module | None:
        """The module that an imported name is of: pipelines.datasets.splits.chosen -> pipelines.datasets.splits."""
        while target.partition(".")[0] in OWN and "." in target:
            if module := self.find(target):
                return module
            target = target.rpartition(".")[0]
        return self.find(target)

    def imports(self, module: Module, family: str) -> list[Module]:
        """The project's modules that this one imports by statement, and those that it asks the family for."""
        asked = [self.named(f"pipelines.families.{family}.{part}") for part in sorted(module.parts)]
        return [*asked, *(found for target in module.targets if (found := self.owner(target)))]

    def closure(self, start: str, family: str) -> dict[str, Module]:
        """{name: module} of all that running a module for a family imports, lazily or not, packages included."""
        seen: dict[str, Module] = {}
        todo = [self.named(start)]
        while todo:
            module = todo.pop()
            if module.name not in seen:
                seen[module.name] = module
                package = self.find(module.name.rpartition(".")[0])
                todo += [*self.imports(module, family), *([package] if package else [])]
        return dict(sorted(seen.items()))
