"""look: what a person's own files hold -> reports/<family>/sources.json, on which ingest depends: new pictures make it stale.

DVC runs this stage on every `dvc repro`; it hashes only what seems to have changed, and ends before any heavy import.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from pipelines import archives, errors, folders
from pipelines.sources import MissingData

CONF = Path("conf")


def page(family: str, run: str) -> dict[str, Any]:
    """The `data` keys of the family's page, with the run's laid over them."""
    pages = (CONF / "family" / f"{family}.yaml", CONF / "run" / f"{run}.yaml")
    return {key: value for path in pages for key, value in (yaml.safe_load(path.read_text()).get("data") or {}).items()}


def looked(data: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """{"folder", "sha256"} where the page names a folder as a source; what is `known` where that is not here."""
    if "folder" not in data["sources"] or not data.get("folder"):  # ingest says what is missing
        return {}
    try:
        path = archives.located(data["folder"])
    except MissingData:
        return known if known.get("folder") == data["folder"] else {"folder": data["folder"], "sha256": None}
    return {"folder": data["folder"], "sha256": _remembered(path)}


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
