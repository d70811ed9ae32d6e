"""The candidates' reports, held against dvc.lock before they are believed."""

from pathlib import Path
from typing import Any

from pipelines import discovery, folders
from pipelines.artifacts import cache, copies, lock
from pipelines.ledger.lines import Line
from pipelines.models import manifests

Report = dict[str, Any]


class NotRecorded(ValueError):
    """A report, model or data folder that is not what dvc.lock names."""


def path_of(family: str, candidate: str) -> Path:
    return Path("reports", family, "candidates", f"{candidate}.json")


def of_candidate(family: str, candidate: str) -> Report | None:
    """A candidate's report, if it is of the model that is in models/. Raises NotRecorded where dvc.lock names another report."""
    file, folder = path_of(family, candidate), Path("models", candidate)
    if not file.exists() or not (folder / manifests.MANIFEST).exists():
        return None
    recorded = lock.hash_of(file)
    if recorded and not cache.intact(file, recorded):
        words = f"{file} is not what {lock.LOCK} names (MD5 {recorded[:12]}), so it decides nothing."
        raise NotRecorded(f"{words} `make verify family={family}` names the repair; `dvc repro evaluate@{candidate}` scores it again.")
    report: Report = folders.read_json(file)
    return report if report["digest"] == manifests.read(folder)["digest"] else None


def of_champion(line: Line) -> Report:
    """reports/<family>/champion.json of a promotion."""
    return {**{key: line[key] for key in ("family", "candidate", "version", "digest")}, **line["figures"]}


def recorded(family: str) -> list[Report]:
    """The reports of the candidates in models/, each the one that dvc.lock names. Raises NotRecorded."""
    found = {name: of_candidate(family, name) for name in discovery.candidates(family)}
    for name, report in found.items():
        if report and not lock.hash_of(path_of(family, name)):
            words = f"{lock.LOCK} does not name {path_of(family, name)}, so nothing says that it is as it was written."
            raise NotRecorded(f"{words} `dvc repro evaluate@{name}` scores the candidate and records it.")
    return [report for report in found.values() if report]


def hash_of(folder: Path, own: str) -> str | None:
    """The hash by which dvc.lock names a folder with the description `own`; None where it names none.

    Raises NotRecorded where the folder is another one, BrokenCache where the list of the named one is damaged.
    """
    named = lock.hash_of(folder)
    if named and not copies.is_listed(copies.of_folder(folder), own, named):
        words = f"{folder} is not what {lock.LOCK} names ({named}): it was made without DVC, or belongs to another commit."
        raise NotRecorded(f"{words} `dvc commit {folder}` records it, `dvc checkout --force {folder}` brings the named one back.")
    return named
