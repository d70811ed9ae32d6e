"""`python -m pipelines.imagestore put|get`: data sets, cfgs and weights into the image store of MONGO_URL, and out as the same bytes."""

import argparse
from pathlib import Path

from pipelines import errors, folders, paths
from pipelines.datasets import archives
from pipelines.imagestore import datasets, weights


def put(asked: argparse.Namespace) -> str:
    """Move in what is named; what was done, in words."""
    if asked.dataset:
        moved = datasets.put(asked.dataset, archives.located(asked.source))
        return f"{asked.dataset}: {_told(moved)}; {moved.fresh} sent, the rest was there."
    if asked.cfg:
        return f"{asked.cfg.name}: {weights.put_cfg(asked.cfg)} bytes sent."
    return f"{asked.weights.name}: {weights.put_weights(asked.weights)} bytes sent."


def get(asked: argparse.Namespace) -> str:
    """Move out what is named, one get to a place at a time: each deletes what is half collected for it there. What was done, in words."""
    with folders.locked(paths.ROOT / "imagestore" / f"{folders.hash_of(str(asked.to.resolve()))[:16]}.lock"):
        if asked.dataset:
            return f"{asked.to}: {_told(datasets.get(asked.dataset, asked.to))}, as they were put in."
        bytes_of = weights.get_cfg(asked.cfg.name, asked.to) if asked.cfg else weights.get_weights(asked.weights.name, asked.to)
        return f"{asked.to}: {bytes_of} bytes, as they were put in."


def _told(moved: datasets.Moved) -> str:
    return f"{moved.pictures} labelled pictures and {moved.files} other files, {moved.bytes / 1e6:.1f} MB"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, ends in (("put", "--from"), ("get", "--to")):
        command = commands.add_parser(name)
        named = command.add_mutually_exclusive_group(required=True)
        named.add_argument("--dataset", help="name of the data set in the store")
        named.add_argument("--cfg", type=Path, help="a Darknet cfg")
        named.add_argument("--weights", type=Path, help="Darknet weights")
        command.add_argument(ends, dest="source" if name == "put" else "to", type=str if name == "put" else Path, required=name == "get")
    asked = parser.parse_args()
    if asked.command == "put" and bool(asked.dataset) != bool(asked.source):
        parser.error("--dataset and --from go together")
    return asked


def main() -> None:
    """Move, and say what was moved."""
    asked = _arguments()
    with errors.printed_once():
        print({"put": put, "get": get}[asked.command](asked))


if __name__ == "__main__":
    main()
