"""ingest: the sources of one family -> data/<family>/, packed, split and described, and reports/<family>/ingest.json: what packed it."""

import json
import sys
from pathlib import Path

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
    then = json.loads(git.committed(report) or "{}")
    if then and then["data"] != card["hash"]:  # another decoder may do that
        hashes = f"{card['hash'][:12]}, in git's last commit {then['data'][:12]}"
        print(f"WARNING: the data hash is {hashes}. Packages: {records.differing(then['versions'], begun['versions'])}.", file=sys.stderr)
    folders.write_json(report, {"data": card["hash"], **begun})


if __name__ == "__main__":
    configs.run(main)
