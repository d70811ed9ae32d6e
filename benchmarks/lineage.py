"""The walk back from each family's champion to its source files: every file hashed, from the parsed command to the printed tree.

Measured twice: in a process that has its imports, and as a command with its start-up. The first, uncounted round reconciles.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import harness
from pipelines import discovery
from pipelines.ledger import lines as ledger
from pipelines.lineage import show as lineage_command
from pipelines.lineage import starts, steps

ROUNDS = 5


def measure() -> list[harness.Row]:
    """Two rows for each family that has a champion: seconds of the walk, and of the complete command."""
    return [row for family in discovery.names() if ledger.champion(ledger.read(family)) for row in _family(f"{family}@champion")]


def _family(of: str) -> Iterator[harness.Row]:
    sides = {"walk": lambda: _timed(lambda: _walked(of)), "command": lambda: _timed(lambda: _commanded(of))}
    found = harness.in_turn(sides, ROUNDS)
    links = dict(Counter(link.status for link in steps.flat(starts.walk(of))))
    for name, seconds in found.items():
        yield harness.row(f"lineage of {of}, {name}", "s", "less", seconds, links=links)


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _walked(of: str) -> None:
    with Path(os.devnull).open("w") as out, contextlib.redirect_stdout(out):
        lineage_command.print_tree(of, starts.walk(of))


def _commanded(of: str) -> None:
    subprocess.run([sys.executable, "-m", "atelier", "lineage", of], capture_output=True, check=False)
