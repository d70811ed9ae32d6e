"""`make rollback family=digits [to=1]`: make an earlier version the champion again."""

import getpass

from pipelines import discovery, folders
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.registry import reconcile, store, versions


def rollback(family: str, to: int | None, why: str | None = None, by: str | None = None) -> Line:
    """Append a rollback to version `to`, by default the champion's predecessor, by a person or else by who runs this; the line.

    Raises UnknownVersion, or as ABSENT when the version's files are not on this machine: then nothing is changed.
    """
    lines = ledger.read(discovery.validate(family))
    current = ledger.champion(lines)
    target = ledger.version(family, _before(family, lines) if to is None else to)
    if target == current:
        existing = ", ".join(map(str, ledger.versions(lines)))
        raise ledger.UnknownVersion(f"version {target['version']} of {family} is the champion already. There are: {existing}.")
    store.put(versions.served_folder(target), target["version"])
    facts = {key: target[key] for key in ("version", "candidate", "digest", "data")}
    reasons = [f"rolled back from version {current['version'] if current else None} by {by or getpass.getuser()}", *([why] if why else [])]
    key = folders.hash_of(["rollback", lines[-1]["hash"], target["version"]])
    line = ledger.append(family, "rollback", key, {**facts, "reasons": reasons}, after=lines[-1]["hash"])
    reconcile.reconcile(family)
    return line


def _before(family: str, lines: list[Line]) -> int:
    """The last champion older than the current one that was not rolled back from. Raises UnknownVersion."""
    champions, bad = ledger.decisions(lines), ledger.rolled_back(lines)
    for line in reversed(champions):
        if line["version"] < champions[-1]["version"] and line["digest"] not in bad:
            return int(line["version"])
    raise ledger.UnknownVersion(f"{family} has no earlier champion to go back to. `make train family={family}` makes versions.")


def main(family: str, to: int | None = None, why: str | None = None, by: str | None = None) -> str:
    """Roll back; what is current now."""
    line = rollback(family, to, why, by)
    return f"{family}: version {line['version']} ({line['candidate']}) is champion again; services follow within a second."
