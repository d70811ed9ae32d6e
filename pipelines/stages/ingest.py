"""ingest: the sources of one family -> data/<family>/, packed, split and described, and reports/<family>/ingest.json: what packed it."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines import configs, discovery, folders, git
from pipelines.fingerprints import fingerprint
from pipelines.training import records


def main(cfg: configs.Config) -> None:
    """Fetch, check, split and pack; complete or absent."""
    fingerprint.check(cfg.family, "ingest")
    data, begun = discovery.part(cfg.family, "data"), records.begun(cfg.family, "pipelines.stages.ingest")
    with folders.replacing(cfg.data_folder) as out:
        card = data.prepare(cfg, out)
    print(f"{cfg.data_folder}: {card['counts']}, duplicates between splits {card['duplicates']}")
    report = Path("reports", cfg.family, "ingest.json")
    with suppress(git.Unusable):  # records.begun() said so
        _compare(json.loads(git.committed(report) or "{}"), {"data": card["hash"], **begun})
    folders.write_json(report, {"data": card["hash"], **begun})


def _compare(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Warn where the data is not that of git's last commit: another decoder may do that."""
    if then and then["data"] != now["data"]:
        hashes = f"{now['data'][:12]}, in git's last commit {then['data'][:12]}"
        print(f"WARNING: the data hash is {hashes}. Packages: {records.differing(then['versions'], now['versions'])}.", file=sys.stderr)


if __name__ == "__main__":
    configs.run(main)
