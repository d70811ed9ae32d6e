"""`python -m pipelines.imagestore put|get`: data sets, cfgs and weights into the image store of MONGO_URL, and out as the same bytes."""

import argparse
from pathlib import Path

from pipelines import errors
from pipelines.datasets import archives
from pipelines.imagestore import datasets, weights


def put(options: argparse.Namespace) -> str:
    """Store what is named; return what was done."""
    if options.dataset:
        moved = datasets.put(options.dataset, archives.located(options.source))
        return f"{options.dataset}: {_described(moved)}; {moved.transferred} sent, the rest was there."
    sent = weights.put_cfg(options.cfg) if options.cfg else weights.put_weights(options.weights)
    return f"{(options.cfg or options.weights).name}: {sent} bytes sent."


def get(options: argparse.Namespace) -> str:
    """Write what is named; return what was done."""
    if options.dataset:
        return f"{options.to}: {_described(datasets.get(options.dataset, options.to))}, as they were put in."
    bytes_of = weights.get_cfg(options.cfg.name, options.to) if options.cfg else weights.get_weights(options.weights.name, options.to)
    return f"{options.to}: {bytes_of} bytes, as they were put in."


def _described(moved: datasets.Moved) -> str:
    return f"{moved.images} labelled images and {moved.files} other files, {moved.bytes / 1e6:.1f} MB"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("put", "get"):
        command = commands.add_parser(name)
        named = command.add_mutually_exclusive_group(required=True)
        named.add_argument("--dataset", help="name of the data set in the store")
        named.add_argument("--cfg", type=Path, help="a Darknet cfg")
        named.add_argument("--weights", type=Path, help="Darknet weights")
    commands.choices["put"].add_argument("--from", dest="source")
    commands.choices["get"].add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    if options.command == "put" and bool(options.dataset) != bool(options.source):
        parser.error("--dataset and --from go together")
    return options


def main() -> None:
    """Store or fetch, and print what was done."""
    options = _options()
    with errors.printed_once():
        print({"put": put, "get": get}[options.command](options))


if __name__ == "__main__":
    main()
