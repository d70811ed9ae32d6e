"""What shows and serves follows the ledger; looking whether it does costs milliseconds, reconciling many seconds."""

import sys
from contextlib import redirect_stdout
from typing import Any

from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.lineage import links
from pipelines.registry import reconcile, store
from pipelines.tracking import reader


def follow(family: str) -> None:
    """Reconcile where MLflow or the pointer is not what the ledger says; looking costs milliseconds, reconciling many seconds."""
    try:
        follows = _follows(family)
    except reader.Unreadable:  # the link `run` says so, and the remedy
        return
    if not follows:
        with redirect_stdout(sys.stderr):
            reconcile.reconcile(family)


def _follows(family: str) -> bool:
    lines = ledger.read(family)
    promoted, champion = ledger.versions(lines), ledger.champion(lines)
    if champion is None:
        return True
    found = {number: digest for number, (_, digest) in reader.versions(family).items()}
    standing = reader.alias(family, "champion") == champion["version"] and _pointed(family) == [champion["version"], champion["digest"]]
    return standing and found == {number: line["digest"] for number, line in promoted.items()} and all(map(_linked, promoted.values()))


def _pointed(family: str) -> list[Any] | None:
    try:
        model = store.read_pointer(family)["model"]
    except store.NoChampion:
        return None
    return [model["version"], model["digest"]]


def _linked(line: Line) -> bool:
    """Has the promotion its run, with the DVC hashes on it?"""
    run = reader.of_training(line["family"], line["run"])
    return run is not None and all(tag in run.tags for tag, value in links.tags(line).items() if value)
