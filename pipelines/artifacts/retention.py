"""Retain what the ledgers name in DVC's cache, as hard links: `dvc gc` keeps only what dvc.lock names, which lacks older versions."""

import sys
from collections.abc import Iterable, Iterator

from pipelines import hashing
from pipelines.artifacts import cache
from pipelines.hashing import Wanted
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line


def names(lines: list[Line]) -> list[str]:
    """The DVC hashes of the model and data folders of every version and of the challenger, each once."""
    needed = [*ledger.versions(lines).values(), *filter(None, [ledger.challenger(lines)])]
    found = [line.get(key) for line in needed for key in ("dvc", "data_dvc")]
    return list(dict.fromkeys(name for name in found if name))


def retain(lines: list[Line]) -> None:
    """Retain every cached file that these lines name, and restore what a garbage collection has taken."""
    for name in names(lines):
        try:
            for each in files(name):
                if cache.path_of(each).is_file() or cache.put_back(each):
                    cache.retain(each)
        except OSError as fault:
            remedy = "`dvc gc` may remove it: use `make gc`, or store it on a DVC remote with `make push`."
            print(f"WARNING: {name} cannot be retained beside DVC's cache ({fault}). {remedy}", file=sys.stderr)


def discard_unused(used: set[str]) -> None:
    """Remove the hard links that nothing uses any more."""
    for path in cache.retained_path("").glob("*"):
        if path.name not in used:
            path.unlink()


def files(name: str) -> Iterator[str]:
    """The MD5 names of a folder's list and, where that is intact, of its files; of a file, its own."""
    yield name
    try:
        yield from dict.fromkeys(cache.listing(name).values() if name.endswith(cache.LIST) else [])
    except (cache.NotHere, cache.BrokenCache):
        return


def lacking(names: Iterable[str]) -> list[str]:
    """The lists and files of these folders that the cache lacks or holds damaged, each read once, on every core."""
    wanted = {each: Wanted(cache.path_of(each), "md5") for name in names for each in files(name)}
    for each, file in wanted.items():
        if not file.path.is_file():
            cache.put_back(each)
    found = hashing.hashes(wanted.values())
    return [each for each, file in wanted.items() if found[file] != each.removesuffix(cache.LIST)]


def intact(name: str) -> bool:
    """Is this file in the cache, intact?"""
    try:
        return cache.cached(name).is_file()
    except (cache.NotHere, cache.BrokenCache):
        return False
