"""The command reference, from what `make help` prints."""

import re
import subprocess
from pathlib import Path

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
