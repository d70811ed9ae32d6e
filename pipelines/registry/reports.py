"""The candidates' reports, held against dvc.lock before they are believed."""

import csv
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

from pipelines import discovery, folders, git, phrases
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
    file, manifest = path_of(family, candidate), Path("models", candidate, manifests.MANIFEST)
    report = _checked(file) if file.exists() and manifest.exists() else None
    return report if report and report["digest"] == manifests.read(manifest.parent)["digest"] else None


def without_model(family: str, candidate: str) -> Report | None:
    """A candidate's report where its model is not in models/, as in a fresh clone. Raises NotRecorded as of_candidate()."""
    file, manifest = path_of(family, candidate), Path("models", candidate, manifests.MANIFEST)
    return _checked(file) if file.exists() and not manifest.exists() else None


def _checked(file: Path) -> Report:
    recorded = lock.hash_of(file)
    if recorded and not cache.intact(file, recorded):
        words = f"{file} is not what {lock.LOCK} names (MD5 {recorded[:12]}), so it decides nothing."
        repair = f"`make verify family={file.parts[1]}` names the repair"
        raise NotRecorded(f"{words} {repair}; `dvc repro evaluate@{file.stem}` scores it again.")
    return folders.read_json(file)


def recipe(report: Report) -> dict[str, Any]:
    """The configuration of the training that a report is of, by dvc.lock; without the sections that it does not record."""
    found = lock.params(f"train@{report['candidate']}")
    files = [f"conf/{name}" for name in ("config", f"family/{report['family']}", f"candidate/{report['candidate']}")]
    runs = [name for name in found if name.startswith("conf/run/")]
    read: list[dict[str, Any]] = [found.get(f"{name}.yaml", {}) for name in files] + [found[name] for name in runs]
    named: dict[str, Any] = {"family": report["family"], "candidate": report["candidate"]}
    return reduce(_merged, read, named)


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, as Hydra lays one config file over another."""
    both = {key: _merged(base[key], value) for key, value in over.items() if isinstance(value, dict) and isinstance(base.get(key), dict)}
    return {**base, **over, **both}


def history(report: Report) -> list[dict[str, float]]:
    """The figures of each epoch, of reports/<family>/plots/<candidate>/history.csv; none where it is not here."""
    file = Path("reports", report["family"], "plots", report["candidate"], "history.csv")
    rows = csv.DictReader(file.read_text().splitlines()) if file.exists() else []
    return [{name: float(value) for name, value in row.items()} for row in rows]


def compared(family: str) -> list[str]:
    """The first two metrics with an interval, by which the candidates of a family are compared; none before one is evaluated."""
    found = [path_of(family, candidate) for candidate in discovery.candidates(family)]
    metrics: dict[str, float] = next((folders.read_json(file)["test"] for file in found if file.exists()), {})
    return [name for name, figure in phrases.figures(metrics).items() if figure.low is not None][:2]


def written(report: Report) -> float:
    """When git got the report, or its file was written: seconds since 1970."""
    file = path_of(report["family"], report["candidate"])
    with suppress(git.Unusable):
        if committed := git.output("log", "-1", "--format=%ct", "--", str(file)):
            return float(committed)
    return file.stat().st_mtime


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
