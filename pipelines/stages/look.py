"""look: the content of mutable sources -> reports/<family>/sources.json, a dependency of ingest: new images make it stale.

DVC runs this stage on every `dvc repro`; it hashes only what changed in name, size or time, and imports nothing heavy.
"""

import json
import os
from pathlib import Path
from typing import Any

import yaml

from pipelines import errors, folders
from pipelines.datasets import archives
from pipelines.datasets.sources import MissingData

CONF = Path("conf")


def data_config(family: str, run: str) -> dict[str, Any]:
    """The `data` keys of the family's config file, overridden by the run's."""
    files = (CONF / "family" / f"{family}.yaml", CONF / "run" / f"{run}.yaml")
    return {key: value for path in files for key, value in (yaml.safe_load(path.read_text()).get("data") or {}).items()}


def look(data: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint of every mutable source; the one in `known` where it is not on this machine.

    {"folder", "sha256"} of `data.folder`, {"folders": {name: the same}} of `data.folders`, {source: the same} of a source with a path of
    its own, {"stores": {name: {"dataset", "sha256"}}} of data sets of the image store.
    """
    found: dict[str, Any] = {}
    if "folder" in data["sources"] and data.get("folder"):  # ingest names what is missing
        found |= _folder(data["folder"], known)
    if "folder" in data["sources"] and data.get("folders"):
        last = known.get("folders", {})
        found["folders"] = {name: _folder(entry["path"], last.get(name, {})) for name, entry in data["folders"].items()}
    for source in data["sources"]:
        if isinstance(entry := data.get(source), dict):
            found[source] = _folder(entry["path"], known.get(source, {}))
    if "mongo" in data["sources"] and data.get("stores"):
        last = known.get("stores", {})
        found["stores"] = {name: _store(entry["dataset"], last.get(name, {})) for name, entry in data["stores"].items()}
    return found


def _folder(name: str, known: dict[str, Any]) -> dict[str, Any]:
    try:
        path = archives.located(name)
    except MissingData:
        return known if known.get("folder") == name else {"folder": name, "sha256": None}
    return {"folder": name, "sha256": _fingerprint(path)}


def _store(name: str, known: dict[str, Any]) -> dict[str, Any]:
    if "MONGO_URL" not in os.environ:
        return known if known.get("dataset") == name else {"dataset": name, "sha256": None}
    from pipelines.imagestore import datasets

    return {"dataset": name, "sha256": datasets.fingerprint(name)}


def _fingerprint(path: Path) -> str:
    """The fingerprint of `path`, taken again only when names, sizes or times have changed."""
    memo, glance = Path(".store", "looked", f"{folders.hash_of(str(path))[:16]}.json"), archives.glance(path)
    last = json.loads(memo.read_text()) if memo.exists() else {}
    if last.get("glance") != glance:
        last = {"glance": glance, "sha256": archives.fingerprint(path)}
        folders.write_json(memo, last)
    return str(last["sha256"])


def main(family: str, run: str) -> None:
    """Write reports/<family>/sources.json."""
    report = Path("reports", family, "sources.json")
    known = json.loads(report.read_text()) if report.exists() else {}
    folders.write_json(report, look(data_config(family, run), known))


if __name__ == "__main__":
    with errors.printed_once():
        main(**errors.overrides("family", "run"))
