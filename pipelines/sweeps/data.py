"""The packed data that trials train on: data/<family>/, or where the sweep sets keys of `data`, a folder of the study's own."""

from pathlib import Path

from pipelines import discovery, folders
from pipelines.configs import Config
from pipelines.datasets import cards
from pipelines.datasets.sources import MissingData


def packed(cfg: Config, folder: Path) -> str:
    """The hash of the data in `folder`, which is packed first where it is a study's and not here. Raises MissingData."""
    if not (folder / cards.CARD).exists():
        if folder == cfg.data_folder:
            raise MissingData(f"{folder} is not here. `dvc repro ingest@{cfg.family}` packs it; `dvc pull {folder}` fetches it.")
        _pack(cfg, folder)
    return str(cards.read(folder)["hash"])


def _pack(cfg: Config, folder: Path) -> None:
    with folders.locked(folder.with_name(f".{folder.name}.lock")):  # of several trials on a machine the first packs
        if not (folder / cards.CARD).exists():
            with folders.replacing(folder) as out:
                discovery.part(cfg.family, "data").prepare(cfg, out)
