"""Reconcile before a walk, only where something does not follow the ledger: checking takes milliseconds, reconciling many seconds."""

import sys
from contextlib import redirect_stdout

from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.lineage import links
from pipelines.registry import reconcile, store
from pipelines.tracking import reader


def follow(family: str) -> None:
    """Reconcile where MLflow or the pointer is not what the ledger says."""
    try:
        if not _follows(family):
            with redirect_stdout(sys.stderr):
                reconcile.reconcile(family)
    except reader.Unreadable:  # the link `run` says so, and the remedy
        return


def _follows(family: str) -> bool:
    lines = ledger.read(family)
    promoted, champion = ledger.versions(lines), ledger.champion(lines)
    if champion is None:
        return True
    try:
        model = store.read_pointer(family)["model"]
    except store.NoChampion:
        return False
    pointed = (model["version"], model["digest"]) == (champion["version"], champion["digest"])
    registered = {number: digest for number, (_, digest) in reader.versions(family).items()}
    return (
        pointed
        and reader.alias(family, "champion") == champion["version"]
        and registered == {number: line["digest"] for number, line in promoted.items()}
        and all(map(_linked, promoted.values()))
    )


def _linked(line: Line) -> bool:
    """Has the promotion its run, with the DVC hashes as tags?"""
    run = reader.of_training(line["family"], line["run"])
    return run is not None and all(tag in run.tags for tag, value in links.tags(line).items() if value)
