"""ingest: the sources of one family -> data/<family>/, packed, split and described."""

from pipelines import configs, families, folders


def main(cfg: configs.Config) -> None:
    """Fetch, check, split and pack; complete or absent."""
    data = families.part(cfg.family, "data")
    with folders.replacing(cfg.data_folder) as out:
        card = data.prepare(cfg, out)
    print(f"{cfg.data_folder}: {card['counts']}, duplicates between splits {card['duplicates']}")


if __name__ == "__main__":
    configs.run(main)
