"""The registry again, from git and DVC alone: runs, versions, aliases and pointers of every ledger version that is still held."""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipelines import discovery, errors, paths
from pipelines.artifacts import cache, copies, lock, remotes, retention
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import manifests
from pipelines.registry import reconcile, versions
from pipelines.tracking import client as tracking
from pipelines.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

WHOLE, RELEASED, NOT_HELD = "whole", "served files only", "not held"


@dataclass(frozen=True)
class Back:
    """A version as it came back: MLflow's number, aliases and run, and what of its model and data is on this machine."""

    family: str
    version: str
    alias: str
    candidate: str
    digest: str
    run: str
    model: str
    data: str

    @property
    def held(self) -> bool:
        """Is there all that it was trained from and all that it is?"""
        return self.model == self.data == WHOLE


def rebuild(names: list[str], remote: str | None = None) -> list[Back]:
    """Fetch what the ledgers of these families name and the cache lacks, make everything follow the ledgers, and look at what there is.

    Nothing is trained. Raises AlteredLedger.
    """
    lines = {family: ledger.read(family) for family in names}
    named = [name for found in lines.values() for name in retention.names(found)]
    _fetch(named, remote)
    for family in names:
        reconcile.reconcile(family)
    store, lacking = tracking.client(), set(retention.lacking(named))
    return [_back(store, line, lacking) for found in lines.values() for line in ledger.versions(found).values()]


def _fetch(named: list[str], remote: str | None) -> None:
    try:
        remotes.fetch(named, remote)
    except (remotes.NoRemote, remotes.RemoteFault) as absence:
        reconcile.warn(f"DVC's cache lacks some of what the ledgers name and it cannot be fetched: {absence}")


def _back(store: "MlflowClient", line: Line, lacking: set[str]) -> Back:
    """What MLflow shows of a version and what this machine has of it."""
    family, number = line["family"], str(line["version"])
    shown = store.get_model_version(family, number)
    alias = ", ".join(shown.aliases)
    digest = shown.tags[tags.DIGEST]
    return Back(family, number, alias, line["candidate"], digest, str(shown.run_id), _model(line, digest), _data(line, lacking))


def _model(line: Line, digest: str) -> str:
    """ "whole" where every served file of the folder gives this digest, and every other one is as it was trained."""
    try:
        folder = versions.model_folder(line)
        manifest = manifests.verified(folder)
        wrong = _wrong(folder, {name: entry["sha256"] for name, entry in manifest["files"].items()}, line["dvc"])
    except cache.NotHere:
        return RELEASED if _released(line) else NOT_HELD
    except (cache.BrokenCache, manifests.BrokenModel) as fault:
        return f"broken: {fault}"
    return wrong or (WHOLE if manifest["digest"] == line["digest"] == digest else f"broken: its digest is {manifest['digest'][:12]}")


def _wrong(folder: Path, sha256: dict[str, str], dvc: str | None) -> str:
    """The files that are not as they were, every one read, and what puts them right; empty where all are."""
    try:
        wrong = copies.wrong(copies.of_folder(folder), sha256, dvc)
    except cache.BrokenCache as fault:
        return f"broken: {fault}"
    remedy = f"rm -rf {folder}" if paths.ROOT in folder.parents else f"dvc checkout --force {folder}"
    return f"broken: {', '.join(wrong[:3])} missing or altered in {folder}; `{remedy}`, then `make rebuild` again" if wrong else ""


def _released(line: Line) -> bool:
    try:
        return versions.served_folder(line).exists()
    except versions.ABSENT:
        return False


def _data(line: Line, lacking: set[str]) -> str:
    """ "whole" where data/ still is it, or the cache has it, file by file."""
    folder, dvc = Path("data", line["family"]), line["data_dvc"]
    if (folder / cards.CARD).exists() and cards.read(folder)["hash"] == line["data"]:
        return _wrong(folder, cards.read(folder)["files"], lock.hash_of(folder) or dvc) or WHOLE
    return NOT_HELD if dvc is None or lacking.intersection(retention.files(dvc)) else WHOLE


def show(found: list[Back]) -> None:
    """What came back, as a table; then what did not, with the remedy."""
    table = Table("family", "version", "alias", "candidate", "digest", "run", "model", "data")
    for back in found:
        run, digest = back.run[:8], back.digest[:12]
        table.add_row(back.family, back.version, back.alias, back.candidate, digest, run, back.model, back.data)
    Console(width=max(120, Console().width)).print(table, highlight=False)
    left = [back for back in found if not back.held]
    print(f"{len(found)} versions and their runs follow the ledgers again; {len(found) - len(left)} are held whole. Nothing was trained.")
    for back in left:
        print(f"{back.family} version {back.version}: model {back.model}, data {back.data}.")
    if left:
        print("What is not held is in no cache and on no remote known here: `make push` where it is held, then `make rebuild` again.")


def main() -> None:
    """Rebuild every family; exit 1 where a version of a ledger is not held whole."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--remote", default=None)
    asked = parser.parse_args()
    with errors.printed_once():
        found = rebuild(discovery.names(), asked.remote)
        show(found)
    sys.exit(not all(back.held for back in found))


if __name__ == "__main__":
    main()
