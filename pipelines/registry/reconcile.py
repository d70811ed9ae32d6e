"""Everything that follows from the ledger, made to follow: MLflow's runs, versions and aliases, the model store, the pointer.

`reconcile` is idempotent and is called by promote, ui, serve, predict and lineage: what was deleted or moved by hand is put back.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import UndefinedError

from pipelines import discovery, folders, paths
from pipelines.artifacts import cache, lock, retention
from pipelines.datasets import cards
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line
from pipelines.models import checksums, manifests
from pipelines.registry import challengers, modelcards, signatures, versions
from pipelines.registry import store as model_store
from pipelines.tracking import client as tracking
from pipelines.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "champion"
DAMAGE = (OSError, ValueError, LookupError, TypeError, AttributeError, UndefinedError)  # what a damaged file raises when it is read


def reconcile(family: str) -> None:
    """Make everything that shows or serves this family follow its ledger, as it stands once nobody else is at it."""
    for found in cross_checks.contradictions(discovery.validate(family)):
        warn(f"{found.path}: {found.words}. To put it right: `{found.repair}`. Till then everything follows the ledger as it is.")
    store = tracking.client()
    with folders.locked(tracking.ROOT / f".{family}.lock"):
        cross_checks.save_lost(family)
        lines = ledger.read(family)
        retention.retain(lines)
        candidate_runs(store, family)
        runs = {
            number: tracking.linked(store, _run(store, line), line["dvc"], line["data_dvc"])
            for number, line in ledger.versions(lines).items()
        }
        if ledger.decisions(lines):
            _register(store, family, lines, runs)
            _serve(family, lines, runs)
        challengers.follow(family, lines, versions.model_folder)
        folders.write_json(ledger.STAMPS / f"{family}.json", {"head": lines[-1]["hash"] if lines else None})


def candidate_runs(store: "MlflowClient", family: str) -> None:
    """A run with scores and files for every candidate that has been trained here."""
    for candidate in discovery.candidates(family):
        if Path("models", candidate, manifests.MANIFEST).exists():
            with _in_nobodys_way(f"models/{candidate} has no run in MLflow, or not a whole one"):
                _candidate_run(store, family, candidate)


def _candidate_run(store: "MlflowClient", family: str, candidate: str) -> None:
    folder, report = Path("models", candidate), _report(family, candidate)
    manifest = manifests.read(folder)
    current = report if report and report["digest"] == manifest["digest"] else None
    reports = {name: Path("reports", family, name, candidate) for name in ("plots", "sheets")}
    shown = {name: place for name, place in reports.items() if current and place.exists()}
    run = tracking.project(store, folder, current, {**shown, **_card(family, manifest["data"])})
    tracking.linked(store, run, lock.hash_of(folder), _data_dvc(family, manifest["data"]))


@contextmanager
def _in_nobodys_way(words: str) -> Iterator[None]:
    """A damaged file is told, and what else follows from the ledger still follows."""
    try:
        yield
    except DAMAGE as damage:
        warn(f"{words}: {type(damage).__name__}: {damage}. `make verify` names what is damaged, and the repair.")


def _report(family: str, candidate: str) -> dict[str, Any] | None:
    path = Path("reports", family, "candidates", f"{candidate}.json")
    return json.loads(path.read_text()) if path.exists() else None


def _card(family: str, data_hash: str) -> dict[str, Path]:
    """{"data": the data card} where data/ still holds this data, or a release does."""
    places = [Path("data", family, cards.CARD), paths.RELEASED / family / cards.CARD]
    return next(({"data": place} for place in places if versions.holds(place.parent, data_hash)), {})


def _data_dvc(family: str, data_hash: str) -> str | None:
    """The DVC hash of data/<family> where that still holds this data."""
    folder = Path("data", family)
    return lock.hash_of(folder) if versions.holds(folder, data_hash) else None


def _run(store: "MlflowClient", line: Line) -> "Run":
    """The run of a promoted model; where its folder is not on this machine, one that shows what the ledger knows."""
    known = tracking.find(store, line["family"], line["run"])
    if known and known.data.tags.get(tags.DONE):
        return known
    try:
        return tracking.project(store, versions.model_folder(line), line["figures"], _card(line["family"], line["data"]))
    except cache.NotHere:
        return tracking.remembered(store, line)
    except DAMAGE as damage:
        warn(f"Version {line['version']} of {line['family']} is shown by what the ledger knows of it: {type(damage).__name__}: {damage}")
        return tracking.remembered(store, line)


def _register(store: "MlflowClient", family: str, lines: list[Line], runs: "dict[int, Run]") -> None:
    """MLflow's versions are the ledger's, number by number; where they cannot be completed they are made again."""
    promoted = ledger.versions(lines)
    if not _completed(store, family, promoted, runs):
        warn(f"MLflow's versions of {family} were not the ledger's and are made again. Versions are added with `make promote` only.")
        store.delete_registered_model(family)
        _completed(store, family, promoted, runs)
    for version in _versions(store, family):
        line = promoted[int(version.version)]
        with _in_nobodys_way(f"Version {line['version']} of {family} has no new card in MLflow"):
            modelcards.publish(store, version, line, _described(line))
    _point_alias(store, family, ledger.champion(lines))


def _completed(store: "MlflowClient", family: str, promoted: dict[int, Line], runs: "dict[int, Run]") -> bool:
    """Add the versions that are missing at the end; False where MLflow's own numbering does not allow it."""
    there = _versions(store, family)
    wanted = [(number, line["digest"], runs[number].info.run_id) for number, line in promoted.items()]
    found = [(int(version.version), version.tags.get(tags.DIGEST), version.run_id) for version in there]
    return found == wanted[: len(found)] and all(
        _create(store, promoted[number], runs[number]) == number for number in list(promoted)[len(there) :]
    )


def _versions(store: "MlflowClient", family: str) -> "list[ModelVersion]":
    if not store.search_registered_models(f"name = '{family}'"):
        store.create_registered_model(family, description="Follows registry/; change it with `make promote` and `make rollback`.")
    return sorted(store.search_model_versions(f"name = '{family}'"), key=lambda version: int(version.version))


def _create(store: "MlflowClient", line: Line, run: "Run") -> int:
    shown = {tags.DIGEST: line["digest"], tags.DATA: line["data"], tags.CANDIDATE: line["candidate"]}
    place = f"{run.info.artifact_uri}/model"
    return int(store.create_model_version(line["family"], place, run.info.run_id, tags=shown).version)


def _point_alias(store: "MlflowClient", family: str, line: Line | None) -> None:
    model, wanted = store.get_registered_model(family), str(line["version"]) if line else None
    found, ours = model.aliases.get(ALIAS), model.tags.get(tags.ALIASED)
    if found and str(found) != ours:
        warn(
            f"The alias {family}@{ALIAS} had been moved to version {found} by hand and is put back to {wanted}. "
            f"The command that moves it is `make rollback family={family} to={found}`."
        )
    if wanted and (str(found), ours) != (wanted, wanted):
        store.set_registered_model_alias(family, ALIAS, wanted)
        store.set_registered_model_tag(family, tags.ALIASED, wanted)


def _serve(family: str, lines: list[Line], runs: "dict[int, Run]") -> None:
    """Put the champion into the store, point at it, write reports/<family>/champion.json."""
    line = ledger.champion(lines)
    assert line is not None
    folders.write_json(Path("reports", family, "champion.json"), champion_report(line))
    try:
        tag = model_store.put(versions.served_folder(line), line["version"])
    except versions.ABSENT as absence:
        warn(f"Version {line['version']} of {family} cannot be served on this machine yet: {absence}")
        return
    folder, described = model_store.location(tag), _described(line)
    with _in_nobodys_way(f"Version {line['version']} of {family} has no new card beside it"):
        modelcards.write(folder, line, described)
    checksums.complete(folder, *((modelcards.README, cards.CROISSANT) if described else ()))
    signatures.install(folder)
    card = cards.read(described) if described else None
    about = {"promotion": line, "decision": ledger.decision(lines), "card": card, "released": not _trained_here(line)}
    model_store.write_pointer(family, {"tag": tag, "model": identity(line, runs[line["version"]].info.run_id), **about})
    model_store.print_if_released(family)


def _described(line: Line) -> Path | None:
    """The folder with the card of the data that this promotion was trained on, where data/ or a release holds it."""
    found = _card(line["family"], line["data"])
    return found["data"].parent if found else None


def _trained_here(line: Line) -> bool:
    """Is the whole model folder on this machine, and not only what it serves?"""
    try:
        return versions.model_folder(line).exists()
    except versions.ABSENT:
        return False


def identity(line: Line, run_id: str) -> dict[str, Any]:
    """What every answer says of where it comes from."""
    return {**{key: line[key] for key in ("family", "version", "digest", "data", "commit")}, "run_id": run_id}


def champion_report(line: Line) -> dict[str, Any]:
    """reports/<family>/champion.json: the scores of what stands."""
    return {**{key: line[key] for key in ("family", "candidate", "version", "digest")}, **line["figures"]}


def warn(words: str) -> None:
    """A warning a person should see, whatever the log level."""
    print(f"WARNING: {words}", file=sys.stderr)
