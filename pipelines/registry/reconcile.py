"""Make everything follow the ledger: MLflow's runs, versions and aliases, the model store, the pointers.

`reconcile` is idempotent and called by promote, ui, serve, predict and lineage: what was deleted or moved is restored.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import UndefinedError

from pipelines import discovery, folders, paths, phrases
from pipelines.artifacts import cache, lock, retention
from pipelines.datasets import cards
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import checksums, manifests
from pipelines.registry import modelcards, reports, signatures, versions
from pipelines.registry import store as model_store
from pipelines.tracking import artifacts, reader, tags, views
from pipelines.tracking import client as tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, UndefinedError)  # raised on reading a damaged file


def reconcile(family: str) -> None:
    """Make everything that shows or serves this family follow its ledger, one process at a time. Raises reader.Unreadable."""
    for found in cross_checks.contradictions(discovery.validate(family)):
        warn(f"{found.path}: {found.words}. To repair it: `{found.repair}`. Until then everything follows the ledger as it is.")
    store = tracking.client()
    with reader.explained(), folders.locked(tracking.ROOT / f".{family}.lock"):
        cross_checks.save_lost(family)
        lines = ledger.read(family)
        retention.retain(lines)
        candidate_runs(store, family)
        promoted = ledger.versions(lines)
        runs = {number: tracking.tag_with_dvc(store, _run(store, line), line["dvc"], line["data_dvc"]) for number, line in promoted.items()}
        if champion := ledger.champion(lines):
            _register(store, family, promoted, runs)
            _point_alias(store, family, str(champion["version"]))
            _serve(champion, ledger.decision(lines), runs[champion["version"]].info.run_id)
        _follow_challenger(family, ledger.challenger(lines))
        folders.write_json(ledger.STAMPS / f"{family}.json", {"head": lines[-1]["hash"] if lines else None})


def candidate_runs(store: "MlflowClient", family: str) -> None:
    """A run with scores and files for every candidate that has been trained here, or whose report is in git."""
    for candidate in discovery.candidates(family):
        with _warn_of_damage(f"{candidate} has no run in MLflow, or an incomplete one"):
            if Path("models", candidate, manifests.MANIFEST).exists():
                _candidate_run(store, family, candidate)
            elif report := reports.without_model(family, candidate):
                _reported_run(store, report)
    if metrics := reports.compared(family):
        views.save(store, family, metrics)


def _candidate_run(store: "MlflowClient", family: str, candidate: str) -> None:
    folder, report, data = Path("models", candidate), reports.of_candidate(family, candidate), Path("data", family)
    card = versions.card_folder(family, manifests.read(folder)["data"])
    run = artifacts.log(store, family, folder, report, {**(_drawn(family, candidate) if report else {}), **_card_file(card)})
    tracking.tag_with_dvc(store, run, lock.hash_of(folder), lock.hash_of(data) if card == data else None)


def _reported_run(store: "MlflowClient", report: reports.Report) -> None:
    """The run of the promotion that the report is of, or one of its own, named by the digest until the model folder is here."""
    family, candidate = report["family"], report["candidate"]
    line = next((line for line in ledger.versions(ledger.read(family)).values() if line["digest"] == report["digest"]), {})
    record = {
        **{"key": line.get("run", report["digest"]), "commit": line.get("commit"), "dirty": line.get("dirty")},
        **{"seconds": report["seconds"], "history": reports.history(report)},
        "started": line.get("started") or reports.written(report) - report["seconds"]["train"],
    }
    shown = {**_drawn(family, candidate), **_card_file(versions.card_folder(family, report["data"]))}
    run = artifacts.log_report(store, reports.recipe(report), record, report, shown)
    tracking.tag_with_dvc(store, run, lock.hash_of(Path("models", candidate)), None)


def _drawn(family: str, candidate: str) -> dict[str, Path]:
    """The plots and sheets of a candidate that are here."""
    folders_of = {name: Path("reports", family, name, candidate) for name in ("plots", "sheets")}
    return {name: path for name, path in folders_of.items() if path.exists()}


def _card_file(folder: Path | None) -> dict[str, Path]:
    return {"data": folder / cards.CARD} if folder else {}


@contextmanager
def _warn_of_damage(words: str) -> Iterator[None]:
    """A damaged file is a warning, and the rest still follows the ledger."""
    try:
        yield
    except DAMAGE as damage:
        warn(f"{words}: {type(damage).__name__}: {damage}. `make verify` names what is damaged, and the repair.")


def _run(store: "MlflowClient", line: Line) -> "Run":
    """The run of a promoted model; of one whose folder is not on this machine, with what the ledger knows."""
    found = tracking.find(store, line["family"], line["run"])
    if found and found.data.tags.get(tags.DONE) and artifacts.listed(line["family"], found):
        return found
    try:
        shown = _card_file(versions.card_folder(line["family"], line["data"]))
        return artifacts.log(store, line["family"], versions.model_folder(line), line["figures"], shown)
    except cache.NotHere:
        pass
    except DAMAGE as damage:
        warn(f"Version {line['version']} of {line['family']} is shown as the ledger has it: {type(damage).__name__}: {damage}")
    return tracking.run_of_line(store, line, _released_recipe(line))


def _released_recipe(line: Line) -> dict[str, Any]:
    """The configuration of a promoted model, where its release is here."""
    with suppress(*DAMAGE):
        manifest = manifests.read(paths.RELEASED / line["family"])
        return dict(manifest["config"]) if manifest["digest"] == line["digest"] else {}
    return {}


def _register(store: "MlflowClient", family: str, promoted: dict[int, Line], runs: "dict[int, Run]") -> None:
    """Make MLflow's versions the ledger's, number by number; where they cannot be completed they are made again."""
    if not _completed(store, family, promoted, runs):
        warn(f"MLflow's versions of {family} were not the ledger's and are made again. Versions are added with `make promote` only.")
        store.delete_registered_model(family)
        _completed(store, family, promoted, runs)
    for version in _versions(store, family):
        line = promoted[int(version.version)]
        with _warn_of_damage(f"Version {line['version']} of {family} has no new card in MLflow"):
            modelcards.publish(store, version, line, versions.card_folder(family, line["data"]))


def _completed(store: "MlflowClient", family: str, promoted: dict[int, Line], runs: "dict[int, Run]") -> bool:
    """Add the missing versions; False where MLflow's own numbering does not allow it."""
    existing = _versions(store, family)
    wanted = [(number, line["digest"], runs[number].info.run_id) for number, line in promoted.items()]
    found = [(int(version.version), version.tags.get(tags.DIGEST), version.run_id) for version in existing]
    missing = list(promoted)[len(existing) :]
    return found == wanted[: len(found)] and all(_create(store, promoted[number], runs[number]) == number for number in missing)


def _versions(store: "MlflowClient", family: str) -> "list[ModelVersion]":
    if not store.search_registered_models(f"name = '{family}'"):
        store.create_registered_model(family, description="Follows registry/; change it with `make promote` and `make rollback`.")
    return sorted(store.search_model_versions(f"name = '{family}'"), key=lambda version: int(version.version))


def _create(store: "MlflowClient", line: Line, run: "Run") -> int:
    shown = {tags.DIGEST: line["digest"], tags.DATA: line["data"], tags.CANDIDATE: line["candidate"]}
    return int(store.create_model_version(line["family"], f"{run.info.artifact_uri}/model", run.info.run_id, tags=shown).version)


def _point_alias(store: "MlflowClient", family: str, version: str) -> None:
    model = store.get_registered_model(family)
    found, ours = model.aliases.get(ALIAS), model.tags.get(tags.ALIASED)
    if found and str(found) != ours:
        warn(
            f"The alias {family}@{ALIAS} had been moved to version {found} by hand and is put back to {version}. "
            f"The command that moves it is `make rollback family={family} to={found}`."
        )
    if (str(found), ours) != (version, version):
        store.set_registered_model_alias(family, ALIAS, version)
        store.set_registered_model_tag(family, tags.ALIASED, version)


def _serve(line: Line, decision: Line | None, run_id: str) -> None:
    """Store the champion, point at it, write reports/<family>/champion.json."""
    family, number = line["family"], line["version"]
    folders.write_json(Path("reports", family, "champion.json"), reports.of_champion(line))
    try:
        tag = model_store.put(versions.served_folder(line), number)
    except versions.ABSENT as absence:
        warn(f"Version {number} of {family} cannot be served on this machine yet: {absence}")
        return
    folder, data = model_store.location(tag), versions.card_folder(family, line["data"])
    with _warn_of_damage(f"Version {number} of {family} has no new card beside it"):
        modelcards.write(folder, line, data)
    checksums.complete(folder, *((modelcards.README, cards.CROISSANT) if data else ()))
    signatures.install(folder)
    card = cards.read(data) if data else None
    about = {"promotion": line, "decision": decision, "card": card, "released": not _trained_here(line)}
    model_store.write_pointer(family, {"tag": tag, "model": model_store.identity(line, number, run_id), **about})
    model_store.print_if_released(family)


def _trained_here(line: Line) -> bool:
    """Is the complete model folder on this machine, not only its served files?"""
    try:
        return versions.model_folder(line).exists()
    except versions.ABSENT:
        return False


def _follow_challenger(family: str, line: Line | None) -> None:
    """Store the challenger and point at it, or remove the pointer; delete stored copies of earlier challengers.

    A model that cannot be stored is no error: the pointer says why, as `absent`, and services do not run it.
    """
    tag = model_store.tag_of(family, None, line["digest"]) if line else None
    if line and tag:
        pointer: model_store.Pointer = {"tag": tag, "model": model_store.identity(line, None, line["run"]), "challenge": line}
        try:
            if not model_store.holds(tag, line["digest"]):
                model_store.put(versions.model_folder(line), None)
            signatures.install(model_store.location(tag))
        except Exception as fault:
            pointer["absent"] = f"it cannot answer on this machine: {phrases.one_line(fault)}"
            warn(f"the challenger of {family} is {line['candidate']}; {pointer['absent']}")
        model_store.write_pointer(family, pointer, model_store.CHALLENGERS)
    else:
        model_store.pointer_path(family, model_store.CHALLENGERS).unlink(missing_ok=True)
    for folder in model_store.models(family):
        if folder.name.startswith("c-") and f"{family}:{folder.name}" != tag:
            model_store.remove(folder)


def warn(words: str) -> None:
    """A warning that shows whatever the log level."""
    print(f"WARNING: {words}", file=sys.stderr)


def main(family: str | None = None) -> None:
    """Reconcile one family, or all."""
    for name in [family] if family else discovery.names():
        reconcile(name)
