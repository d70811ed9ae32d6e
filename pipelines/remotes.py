"""DVC's remotes by DVC's own API: what the ledgers name is sent there, also of older versions, and fetched from there.

DVC's word that something has been transferred is not taken: it counts a damaged file and trusts its memory of the remote. What is
on a remote is asked of the remote, what has come is read, and a folder is named by its list, which is sent last.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines import errors, families, held, ledger, outputs
from pipelines.ledger import Line

SENT, THERE = "sent", "there already"


class NoRemote(LookupError):
    """There is no DVC remote, or it does not answer."""


class UnknownFiles(LookupError):
    """A folder whose list of files is nowhere, so that nobody can say which files of a remote are its own."""


@contextmanager
def _project() -> Iterator[Any]:
    """DVC's view of this project, locked against its other commands. Raises NoRemote in place of DVC's own errors."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            yield repo
    except (DvcException, ConnectionError) as fault:
        raise NoRemote(f"DVC: {fault}. A folder will do: `dvc remote add -d store /path/to/folder`; then `make push`.") from fault


def _copied(source: Any, target: Any, names: list[str], verify: bool) -> None:
    """Copy these files from one of DVC's stores to another: folders' lists last, so that a list that is there names files that are."""
    from dvc.fs.callbacks import TqdmCallback

    for wanted in ([name for name in names if not _is_list(name)], list(filter(_is_list, names))):
        if wanted:
            paths = [source.oid_to_path(name) for name in wanted]
            with TqdmCallback(desc=str(target.path), unit="file") as bar:
                target.add(paths, source.fs, wanted, callback=bar, verify=verify, on_error=_failed)


def _is_list(name: str) -> bool:
    return name.endswith(".dir")


def _failed(name: str, fault: BaseException) -> None:
    print(f"WARNING: {name} was not copied: {fault}", file=sys.stderr)


def push(names: list[str], remote: str | None = None) -> dict[str, str]:
    """Send these folders to a remote, those of dvc.lock too; {name: "sent", "there already" or why it is not there}.

    Each file is read before it is sent; a folder of which one is in neither place is not sent. Raises NoRemote.
    """
    with _project() as repo:
        there = repo.cloud.get_remote_odb(remote, "push")
        wanted = {name: list(held.files(name)) for name in names}
        known = set(there.oids_exist(_flat(wanted)))
        gaps = {name: [each for each in files if each not in known and not held.whole(each)] for name, files in wanted.items()}
        ready = _flat({name: wanted[name] for name in names if not gaps[name]})
        with repo.lock:
            _copied(repo.cache.local, there, [each for each in ready if each not in known], verify=False)
        repo.push(remote=remote)
        now = set(there.oids_exist(_flat(wanted)))
    return {name: _state(wanted[name], gaps[name], known, now) for name in names}


def _flat(files: dict[str, list[str]]) -> list[str]:
    return list({each for found in files.values() for each in found})


def _state(files: list[str], gaps: list[str], before: set[str], now: set[str]) -> str:
    if gaps:
        return "not here" if files[0] in gaps else f"not sent: {len(gaps)} of {len(files)} files damaged or not here"
    if not now.issuperset(files):
        return "not sent: the remote did not take it"
    return THERE if before.issuperset(files) else SENT


def fetch(names: list[str], remote: str | None = None) -> None:
    """Bring what the cache lacks of these folders from a remote, each file checked. What the remote lacks stays away. Raises NoRemote."""
    with _project() as repo:
        there = repo.cloud.get_remote_odb(remote, "fetch")
        _fetch(repo, there, [name for name in names if not held.whole(name)])
        _fetch(repo, there, [each for name in names for each in held.lacking(name)])


def _fetch(repo: Any, there: Any, lacking: list[str]) -> None:
    """Damaged files make way for those that the remote holds."""
    found = list(there.oids_exist(lacking))
    with repo.lock:
        for name in found:
            outputs.place(name).unlink(missing_ok=True)
        _copied(there, repo.cache.local, found, verify=True)


def collect(names: list[str], remote: str | None = None) -> dict[str, int]:
    """Remove what neither dvc.lock nor these folders need from the cache and, where one is named, from a remote: {place: files removed}.

    Raises NoRemote, or UnknownFiles before anything is removed there.
    """
    from dvc_data.hashfile.db import get_index
    from dvc_data.hashfile.gc import gc
    from dvc_data.hashfile.hash_info import HashInfo

    with _project() as repo:
        places = {"cache": repo.cache.local}
        if remote:
            places[remote] = repo.cloud.get_remote_odb(remote, "gc")
            _listed(repo, places[remote], names)
        used = {HashInfo("md5", each) for name in names for each in held.files(name)}
        with repo.lock:
            used |= {info for found in repo.used_objs(force=not remote).values() for info in found}
            removed = {place: gc(store, used) for place, store in places.items()}
        if remote:
            get_index(places[remote]).clear()
    return removed


def _listed(repo: Any, there: Any, names: list[str]) -> None:
    """Have the lists of all these folders here: whatever they do not name would be removed."""
    _fetch(repo, there, [name for name in names if not held.whole(name)])
    unknown = [name for name in names if not held.whole(name)]
    if unknown:
        raise UnknownFiles(f"{', '.join(unknown)}: neither here nor on the remote is the list of its files. Nothing was removed.")


def show(lines: list[Line], states: dict[str, str]) -> None:
    """Which version's folders went, as a table."""
    table = Table("family", "version", "candidate", "model", "data")
    for line in lines:
        told = [states.get(str(line.get(key)), "trained without DVC") for key in ("dvc", "data_dvc")]
        table.add_row(line["family"], str(line["version"]), line["candidate"], *told)
    Console(width=max(110, Console().width)).print(table, highlight=False)


def pushed(ledgers: list[list[Line]], remote: str | None) -> None:
    """Send, tell, and end with 1 where the remote does not have every version."""
    states = push([name for lines in ledgers for name in held.names(lines)], remote)
    show([line for lines in ledgers for line in ledger.versions(lines).values()], states)
    left = [state for state in states.values() if state not in {SENT, THERE}]
    if left:
        raise SystemExit(f"{len(left)} of {len(states)} folders are not on the remote. Push from the machine that has trained them.")


def collected(ledgers: list[list[Line]], remote: str | None) -> None:
    """Remove, and tell."""
    for place, count in collect([name for lines in ledgers for name in held.names(lines)], remote).items():
        print(f"{place}: {count} files removed; what dvc.lock and the ledgers need stays.")


def main() -> None:
    """`push [--remote NAME]`: what dvc.lock and the ledgers need, to a remote. `gc [--remote NAME]`: remove what neither needs."""
    verbs = {"push": pushed, "gc": collected}
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("verb", choices=verbs)
    parser.add_argument("--remote", default=None)
    asked = parser.parse_args()
    with errors.printed_once():
        ledgers = [ledger.read(family) for family in families.names()]
        for lines in ledgers:
            held.keep(lines)
        verbs[asked.verb](ledgers, asked.remote)


if __name__ == "__main__":
    main()
