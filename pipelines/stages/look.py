"""look: what a person's own files hold -> reports/<family>/sources.json, on which ingest depends: new pictures make it stale.

DVC runs this stage on every `dvc repro`; it hashes only what seems to have changed, and ends before any heavy import.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines import errors, folders
from pipelines.datasets import archives
from pipelines.datasets.sources import MissingData

CONF = Path("conf")


def page(family: str, run: str) -> dict[str, Any]:
    """The `data` keys of the family's page, with the run's laid over them."""
    pages = (CONF / "family" / f"{family}.yaml", CONF / "run" / f"{run}.yaml")
    return {key: value for path in pages for key, value in (yaml.safe_load(path.read_text()).get("data") or {}).items()}


def looked(data: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """{"folder", "sha256"} where the page names a folder as a source, {"folders": {name: the same}} where it names several,

    {source: the same} where a source has a key of its own that says its path, {"stores": {name: {"dataset", "sha256"}}} where it names
    data sets of the image store; what is `known` of those that are not here.
    """
    found: dict[str, Any] = {}
    if "folder" in data["sources"] and data.get("folder"):  # ingest says what is missing
        found |= _folder(data["folder"], known)
    if "folder" in data["sources"] and data.get("folders"):
        last = known.get("folders", {})
        found["folders"] = {name: _folder(said["path"], last.get(name, {})) for name, said in data["folders"].items()}
    for source in data["sources"]:
        if isinstance(said := data.get(source), dict):
            found[source] = _folder(said["path"], known.get(source, {}))
    if "mongo" in data["sources"] and data.get("stores"):
        last = known.get("stores", {})
        found["stores"] = {name: _store(said["dataset"], last.get(name, {})) for name, said in data["stores"].items()}
    return found


def _folder(name: str, known: dict[str, Any]) -> dict[str, Any]:
    try:
        path = archives.located(name)
    except MissingData:
        return known if known.get("folder") == name else {"folder": name, "sha256": None}
    return {"folder": name, "sha256": _remembered(path)}


def _store(name: str, known: dict[str, Any]) -> dict[str, Any]:
    if "MONGO_URL" not in os.environ:
        return known if known.get("dataset") == name else {"dataset": name, "sha256": None}
    from pipelines.imagestore import datasets

    return {"dataset": name, "sha256": datasets.fingerprint(name)}


def _remembered(path: Path) -> str:
    """The fingerprint of `path`, taken again only when names, sizes or times have changed since the last look."""
    memo, glance = Path(".store", "looked", f"{folders.hash_of(str(path))[:16]}.json"), archives.glance(path)
    last = json.loads(memo.read_text()) if memo.exists() else {}
    if last.get("glance") != glance:
        last = {"glance": glance, "sha256": archives.fingerprint(path)}
        folders.write_json(memo, last)
    return str(last["sha256"])


def main(family: str, run: str) -> None:
    """Write down what is there."""
    report = Path("reports", family, "sources.json")
    known = json.loads(report.read_text()) if report.exists() else {}
    folders.write_json(report, looked(page(family, run), known))


if __name__ == "__main__":
    with errors.printed_once():
        main(**dict(word.split("=", 1) for word in sys.argv[1:]))
