"""Run the module of a command; it is imported on demand, so that `atelier --help` is quick."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from pipelines import discovery, errors, processes
from pipelines.artifacts import permission


def _validated(family: str | None) -> str | None:
    return family and discovery.validate(family)


def _validated_or_all(family: str) -> str:
    return family if family == "all" else discovery.validate(family)


def _completions(incomplete: str) -> list[str]:
    return [name for name in discovery.names() if name.startswith(incomplete)]


Family = Annotated[
    str, typer.Argument(callback=_validated, autocompletion=_completions, help="digits, gravures, objects, ocr, signatures ...")
]
FamilyOrAll = Annotated[str, typer.Argument(callback=_validated_or_all, autocompletion=_completions, help="A family, or all.")]
On = Annotated[str, typer.Option(help="local, or ray: the cluster at RAY_ADDRESS.")]
Families = Annotated[str | None, typer.Argument(help="Default: all.", callback=_validated, autocompletion=_completions)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def function(name: str, *values: Any) -> None:
    """Call package.module:function, `main` where none is named: a returned text is printed, a returned number is the exit code."""
    module, _, called = name.partition(":")
    returned = getattr(import_module(module), called or "main")(*values)
    if isinstance(returned, str):
        print(returned)
    elif returned:
        raise typer.Exit(returned)


def python(module: str, *words: str) -> None:
    """Run a module in a process of its own; its exit code is this command's."""
    if module == "dvc":
        permission.check()
    raise typer.Exit(_exit_code([module, *words]))


def programs(*commands: str) -> None:
    """Run each module in a process of its own; exit code 1 if any failed."""
    failed = False
    for words in commands:
        code = _exit_code(words.split())
        if code == errors.INTERRUPTED:
            raise typer.Exit(code)
        failed |= code != 0
    raise typer.Exit(failed)


def _exit_code(words: Sequence[str]) -> int:
    """The exit code of `python -m <words>`, which is run to its end: 130 after Ctrl-C, which a terminal sends to it too."""
    try:
        return processes.run_to_end([sys.executable, "-m", "atelier.quiet", *words])
    except KeyboardInterrupt:
        return errors.INTERRUPTED
