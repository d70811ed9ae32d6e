"""Run the module of a command; it is imported on demand, so that `atelier --help` is quick."""

import subprocess
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from pipelines import discovery


def _validated(family: str) -> str:
    return discovery.validate(family)


def _completions(incomplete: str) -> list[str]:
    return [name for name in discovery.names() if name.startswith(incomplete)]


Family = Annotated[
    str, typer.Argument(callback=_validated, autocompletion=_completions, help="digits, gravures, objects, ocr, signatures ...")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def function(name: str, *values: Any) -> None:
    """Call package.module:function, `main` where none is named: a returned text is printed, a returned number is the exit code."""
    module, _, called = name.partition(":")
    returned = getattr(import_module(module), called or "main")(*values)
    if isinstance(returned, str):
        print(returned)
    elif returned:
        raise typer.Exit(returned)


def program(*words: str) -> None:
    """Run another program; its exit code is this command's."""
    raise typer.Exit(subprocess.run(words, check=False).returncode)


def programs(*commands: str) -> None:
    """Run each module in a process of its own; exit code 1 if any failed."""
    failed = [words for words in commands if subprocess.run([sys.executable, "-m", *words.split()], check=False).returncode]
    raise typer.Exit(bool(failed))


def python(module: str, *words: str) -> None:
    """Run a module in a process of its own."""
    program(sys.executable, "-m", module, *words)
