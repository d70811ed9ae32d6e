"""`make rollback family=digits [to=1]`: another version becomes the champion again; `reconcile` makes everything follow the ledger."""

import argparse
import getpass

from pipelines import discovery, errors, folders
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.registry import reconcile, versions
from pipelines.registry import store as model_store


def rollback(family: str, to: int | None, why: str | None = None) -> Line:
    """One more line in the ledger: another version stands again, and why. Without `to`, the one before the standing one.

    Raises UnknownVersion, or as ABSENT when its files cannot be had on this machine: then nothing is changed.
    """
    lines = ledger.read(discovery.validate(family))
    standing = ledger.champion(lines)
    target = ledger.version(family, _before(family, lines) if to is None else to)
    if target == standing:
        raise ledger.UnknownVersion(
            f"version {target['version']} of {family} stands already. There are: {', '.join(map(str, ledger.versions(lines)))}."
        )
    model_store.put(versions.served_folder(target), target["version"])
    facts = {key: target[key] for key in ("version", "candidate", "digest", "data")}
    reasons = [f"rolled back from version {standing['version'] if standing else None} by {getpass.getuser()}", *([why] if why else [])]
    key = folders.hash_of(["rollback", lines[-1]["hash"], target["version"]])
    line = ledger.append(family, "rollback", key, {**facts, "reasons": reasons}, after=lines[-1]["hash"])
    reconcile.reconcile(family)
    return line


def _before(family: str, lines: list[Line]) -> int:
    """The last version that stood before, older than the standing one, and that nobody rolled back. Raises UnknownVersion."""
    stood, bad = ledger.decisions(lines), ledger.rolled_back(lines)
    for line in reversed(stood):
        if line["version"] < stood[-1]["version"] and line["digest"] not in bad:
            return int(line["version"])
    raise ledger.UnknownVersion(f"{family} has no earlier champion to go back to. `make train family={family}` makes versions.")


def main() -> None:
    """`reconcile [--family NAME]` or `rollback --family NAME [--to N] [--why WORDS]`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("verb", choices=["reconcile", "rollback"])
    parser.add_argument("--family", default=None)
    parser.add_argument("--to", type=int, default=None)
    parser.add_argument("--why", default=None)
    asked = parser.parse_args()
    with errors.printed_once():
        if asked.verb == "rollback":
            line = rollback(asked.family, asked.to, asked.why)
            print(f"{asked.family}: version {line['version']} ({line['candidate']}) stands again; services follow within a second.")
            return
        for family in [asked.family] if asked.family else discovery.names():
            reconcile.reconcile(family)


if __name__ == "__main__":
    main()
