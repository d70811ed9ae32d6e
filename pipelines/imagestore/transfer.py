"""Data sets, cfgs and weights into the image store of MONGO_URL, and out as the same bytes."""

from pathlib import Path

from pipelines.datasets import archives
from pipelines.errors import BadSetting
from pipelines.imagestore import datasets, weights


def put(dataset: str | None = None, source: str | None = None, cfg: Path | None = None, network: Path | None = None) -> str:
    """Store a data set from its source, or a Darknet cfg, or weights; what was done. Raises BadSetting."""
    _one(dataset, cfg, network)
    if bool(dataset) != bool(source):
        raise BadSetting("--dataset and --from go together: --dataset letters --from letters.tar")
    if dataset and source:
        moved = datasets.put(dataset, archives.located(source))
        return f"{dataset}: {_described(moved)}; {moved.transferred} sent, the rest was there."
    path = cfg or network or Path()
    return f"{path.name}: {weights.put_cfg(path) if cfg else weights.put_weights(path)} bytes sent."


def get(to: Path, dataset: str | None = None, cfg: Path | None = None, network: Path | None = None) -> str:
    """Write a data set, a Darknet cfg or weights; what was done. Raises BadSetting."""
    _one(dataset, cfg, network)
    if dataset:
        return f"{to}: {_described(datasets.get(dataset, to))}, as they were put in."
    path = cfg or network or Path()
    return f"{to}: {weights.get_cfg(path.name, to) if cfg else weights.get_weights(path.name, to)} bytes, as they were put in."


def _one(*named: object) -> None:
    if sum(each is not None for each in named) != 1:
        raise BadSetting("Name one thing: --dataset, --cfg or --weights.")


def _described(moved: datasets.Moved) -> str:
    return f"{moved.images} labelled images and {moved.files} other files, {moved.bytes / 1e6:.1f} MB"
