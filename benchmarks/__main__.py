"""`make bench [name=http]`: measure, print, and store the figures in reports/benchmarks.json.

What needs something that is not on this machine is left out by name, and its rows stay as they are.
"""

import argparse
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import harness

NAMES = (
    "prediction",
    "http",
    "start",
    "memory",
    "objects",
    "training",
    "pipeline",
    "sweeps",
    "signatures",
    "signatures-large",
    "neighbours",
    "gravures",
    "lines",
    "queue",
    "batch",
    "swap",
    "clients",
    "bombs",
    "deaths",
    "shadow",
    "lineage",
    "recording",
    "verify",
)


def main() -> None:
    """Run one benchmark, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("name", nargs="?")
    asked = parser.parse_args().name
    for name in chosen(asked):
        with nullcontext() if asked else harness.optional(name):
            show(harness.record(name, module(name).measure()))


def module(name: str) -> Any:
    """The module of a benchmark: it has measure()."""
    return import_module(f"benchmarks.{name.replace('-', '_')}")


def chosen(name: str | None) -> tuple[str, ...]:
    """One name, or all where none is given. Raises Stopped."""
    if name and name not in NAMES:
        raise harness.Stopped(f"name={name!r} is not a benchmark. Choose one of: {', '.join(NAMES)}; or none, for all.")
    return (name,) if name else NAMES


def show(rows: list[harness.Row]) -> None:
    """The rows as a table."""
    table = Table("benchmark", "Atelier", "peer", "unit", "times better", "spread of that")
    for row in rows:
        spread = row["spread"].get("ratio")
        words = [str(row[key]) if row[key] is not None else "" for key in ("ours", "peer", "unit", "ratio")]
        table.add_row(row["name"], *words, f"{spread[0]} to {spread[1]}" if spread else "")
    Console().print(table)


if __name__ == "__main__":
    main()
