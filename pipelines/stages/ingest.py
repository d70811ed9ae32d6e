"""ingest: the sources of one family -> data/<family>/, packed, split and described, and reports/<family>/ingest.json: what packed it."""

from pathlib import Path

from pipelines import configs, families, folders, records
from pipelines.fingerprints import fingerprint


def main(cfg: configs.Config) -> None:
    """Fetch, check, split and pack; complete or absent."""
    fingerprint.check(cfg.family, "ingest")
    data, begun = families.part(cfg.family, "data"), records.begun(cfg.family, "pipelines.stages.ingest")
    with folders.replacing(cfg.data_folder) as out:
        card = data.prepare(cfg, out)
    folders.write_json(Path("reports", cfg.family, "ingest.json"), {"data": card["hash"], **begun})
    print(f"{cfg.data_folder}: {card['counts']}, duplicates between splits {card['duplicates']}")


if __name__ == "__main__":
    configs.run(main)
