"""The command references: what `make help` prints, and the arguments and options of `atelier`."""

import re
import subprocess
from pathlib import Path
from typing import Any

import typer

from atelier.commands import app
from docs.generate.figures import table

ROOT = Path(__file__).parents[2]
COMMAND = re.compile(r"^ +(?P<program>make|atelier) (?P<name>[a-z-]+) +(?P<words>.+)$")


def commands() -> str:
    """Every command under the heading that `make help` gives it."""
    parts: dict[str, list[list[str]]] = {"": []}
    heading = ""
    printed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for line in printed.splitlines():
        if found := COMMAND.match(line):
            parts[heading].append(_row(**found.groupdict()))
        elif line.strip() and "families:" not in line:
            heading = line.strip().rstrip(":")
            parts.setdefault(heading, [])
    return "\n\n".join(_part(heading, rows) for heading, rows in parts.items() if rows)


def _part(heading: str, rows: list[list[str]]) -> str:
    return (f"## {heading}\n\n" if heading else "") + table(["command", "takes", "what it does"], rows)


def _row(program: str, name: str, words: str) -> list[str]:
    """Words such as `family=digits [port=3000]: the champion, over HTTP` begin with what the command takes."""
    takes, colon, meaning = words.partition(": ")
    if colon and "=" in takes:
        return [f"`{program} {name}`", f"`{takes.replace('`', '')}`", meaning]
    return [f"`{program} {name}`", "", words]


def options() -> str:
    """Every command of `atelier` with its arguments and options."""
    group: Any = typer.main.get_command(app)
    rows = [[f"`atelier {name}`", _sentence(each.help), "<br>".join(map(_taken, each.params))] for name, each in group.commands.items()]
    return table(["command", "what it does", "takes"], rows)


def _taken(parameter: Any) -> str:
    """An argument in capitals, or an option; what it means, where that is said."""
    named = f"`{parameter.opts[0] if parameter.param_type_name == 'option' else parameter.name.upper()}`"
    said = getattr(parameter, "help", None)
    return f"{named}: {_sentence(said)}" if said else named


def _sentence(said: str | None) -> str:
    return " ".join((said or "").split())
