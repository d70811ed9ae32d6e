"""`make rebuild`: runs, versions, aliases and pointers of every version again, from git and DVC alone; nothing is trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pipelines import discovery, paths
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

COMPLETE, RELEASED, ABSENT = "complete", "served files only", "absent"


@dataclass(frozen=True)
class Rebuilt:
    """A version: MLflow's number, aliases and run, and what of its model and data is on this machine."""

    family: str
    version: str
    alias: str
    candidate: str
    digest: str
    run: str
    model: str
    data: str

    @property
    def complete(self) -> bool:
        return self.model == self.data == COMPLETE


def rebuild(names: list[str], remote: str | None = None) -> list[Rebuilt]:
    """Fetch what these families' ledgers name and the cache lacks, then reconcile; every version. Raises AlteredLedger."""
    lines = {family: ledger.read(family) for family in names}
    named = [name for found in lines.values() for name in retention.names(found)]
    try:
        remotes.fetch(named, remote)
    except remotes.RemoteFault as absence:
        reconcile.warn(f"DVC's cache lacks some of what the ledgers name and it cannot be fetched: {absence}")
    for family in names:
        reconcile.reconcile(family)
    store, lacking = tracking.client(), set(retention.lacking(named))
    return [_rebuilt(store, line, lacking) for found in lines.values() for line in ledger.versions(found).values()]


def _rebuilt(store: "MlflowClient", line: Line, lacking: set[str]) -> Rebuilt:
    family, number = line["family"], str(line["version"])
    shown = store.get_model_version(family, number)
    alias, digest = ", ".join(shown.aliases), shown.tags[tags.DIGEST]
    return Rebuilt(family, number, alias, line["candidate"], digest, str(shown.run_id), _model(line, digest), _data(line, lacking))


def _model(line: Line, digest: str) -> str:
    """COMPLETE where the served files give this digest and every other file is as it was trained."""
    try:
        folder = versions.model_folder(line)
        manifest = manifests.verified(folder)
        wrong = _wrong(folder, {name: entry["sha256"] for name, entry in manifest["files"].items()}, line["dvc"])
    except cache.NotHere:
        return RELEASED if _served(line) else ABSENT
    except (cache.BrokenCache, manifests.BrokenModel) as fault:
        return f"broken: {fault}"
    return wrong or (COMPLETE if manifest["digest"] == line["digest"] == digest else f"broken: its digest is {manifest['digest'][:12]}")


def _wrong(folder: Path, sha256: dict[str, str], dvc: str | None) -> str:
    """The files that are not as they were, and the repair; "" where all are."""
    try:
        wrong = copies.altered(copies.of_folder(folder), sha256, dvc)
    except cache.BrokenCache as fault:
        return f"broken: {fault}"
    remedy = f"rm -rf {folder}" if paths.ROOT in folder.parents else f"dvc checkout --force {folder}"
    return f"broken: {', '.join(wrong[:3])} missing or altered in {folder}; `{remedy}`, then `make rebuild` again" if wrong else ""


def _served(line: Line) -> bool:
    try:
        return versions.served_folder(line).exists()
    except versions.ABSENT:
        return False


def _data(line: Line, lacking: set[str]) -> str:
    """COMPLETE where data/ still is this data, or the cache has every file of it."""
    folder, dvc = Path("data", line["family"]), line["data_dvc"]
    if (folder / cards.CARD).exists() and cards.read(folder)["hash"] == line["data"]:
        return _wrong(folder, cards.read(folder)["files"], lock.hash_of(folder) or dvc) or COMPLETE
    return ABSENT if dvc is None or lacking.intersection(retention.files(dvc)) else COMPLETE


def show(found: list[Rebuilt]) -> None:
    """Print the versions as a table; then the incomplete ones, with the remedy."""
    table = Table("family", "version", "alias", "candidate", "digest", "run", "model", "data")
    for each in found:
        run, digest = each.run[:8], each.digest[:12]
        table.add_row(each.family, each.version, each.alias, each.candidate, digest, run, each.model, each.data)
    Console(width=max(120, Console().width)).print(table, highlight=False)
    left = [each for each in found if not each.complete]
    print(f"{len(found)} versions and their runs follow the ledgers again; {len(found) - len(left)} are complete. Nothing was trained.")
    for each in left:
        print(f"{each.family} version {each.version}: model {each.model}, data {each.data}.")
    if left:
        print("What is absent is in no cache and on no remote known here: `make push` where it is, then `make rebuild` again.")


def main(remote: str | None = None) -> int:
    """Rebuild every family; the exit code: 1 where a version is incomplete."""
    found = rebuild(discovery.names(), remote)
    show(found)
    return int(not all(each.complete for each in found))
