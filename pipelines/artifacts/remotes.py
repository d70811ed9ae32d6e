"""`make push` and `make gc`: what the ledgers name, also of older versions, on DVC's remotes, by DVC's own API.

DVC counts damaged files as transferred and trusts its cached index of a remote. So the remote is listed anew, fetched files are hashed,
and a folder's list is sent after its files.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipelines import discovery
from pipelines.artifacts import branches, cache, lock, retention
from pipelines.ledger import lines as ledger
from pipelines.ledger.lines import Line

SENT, THERE = "sent", "there already"
GRACE = 14 * 86400  # seconds that an unused file stays on a remote, as in git


class SharedCache(ValueError):
    """A cache that others may use who are not named, or a named project that uses another one."""


class RemoteFault(OSError):
    """There is no such DVC remote, or it does not answer or fails."""


@contextmanager
def _project(folder: Path | None = None) -> Iterator[Any]:
    """DVC's view of this project, or of the one in a folder. Raises RemoteFault for DVC's own errors."""
    from dvc.config import RemoteConfigError
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_objects.errors import ObjectDBError

    try:
        with Repo(folder) as repo:
            yield repo
    except RemoteConfigError as fault:
        raise RemoteFault(f"DVC: {fault}. Add one, such as a folder: `dvc remote add -d store /path/to/folder`.") from fault
    except (DvcException, ObjectDBError, OSError) as fault:
        raise RemoteFault(f"DVC: {fault}. What is there already stays; repair this and run the same command again.") from fault


def check(folder: Path) -> None:
    """Raises RemoteFault where the project in this folder has no DVC remote."""
    with _project(folder) as repo:
        default = repo.config["core"].get("remote")
    if not default:
        words = f"{folder} has no DVC remote, which data and models travel through"
        raise RemoteFault(f"{words}. There: `dvc remote add --local -d store <folder or address that all nodes reach>`.")


def share(folder: Path) -> None:
    """Give a clone on this machine this project's default DVC remote, where there is one."""
    with _project() as repo:
        name = repo.config["core"].get("remote")
        settings = dict(repo.config["remote"].get(name, {}))
    if name:
        with _project(folder) as other, other.config.edit("local") as config:
            config["remote"][name] = settings
            config["core"]["remote"] = name


def _copy(source: Any, target: Any, names: list[str], verify: bool) -> None:
    """Copy files from one of DVC's stores to another, folders' lists last: a list on the remote then has its files there."""
    from dvc.fs.callbacks import TqdmCallback

    for wanted in ([name for name in names if not _is_list(name)], list(filter(_is_list, names))):
        if wanted:
            paths = [source.oid_to_path(name) for name in wanted]
            with TqdmCallback(desc=str(target.path), unit="file") as bar:
                target.add(paths, source.fs, wanted, callback=bar, verify=verify, on_error=_failed)


def _is_list(name: str) -> bool:
    return name.endswith(cache.LIST)


def _failed(name: str, fault: BaseException) -> None:
    print(f"WARNING: {name} was not copied: {fault}", file=sys.stderr)


def push(names: list[str], remote: str | None = None) -> dict[str, str]:
    """Send these folders and those of dvc.lock to a remote, each file checked; {name: SENT, THERE or why it is not there}.

    A folder with a file in neither place is not sent. Raises RemoteFault.
    """
    with _project() as repo:
        there = repo.cloud.get_remote_odb(remote, "push")
        wanted = {name: list(retention.files(name)) for name in names}
        known = _intact(there, set(there.oids_exist(_distinct(wanted))))
        gaps = {name: [each for each in files if each not in known and not retention.intact(each)] for name, files in wanted.items()}
        ready = _distinct({name: wanted[name] for name in names if not gaps[name]})
        with repo.lock:
            _copy(repo.cache.local, there, [each for each in ready if each not in known], verify=False)
        repo.push(remote=remote)
        now = set(there.oids_exist(_distinct(wanted)))
    return {name: _state(wanted[name], gaps[name], known, now) for name in names}


def _intact(there: Any, known: set[str]) -> set[str]:
    """Remove files of another size from a remote that is a folder; the rest of `known`. Other kinds of remotes are not checked."""
    if there.fs.protocol != "local":
        return known
    sizes = {name: Path(there.oid_to_path(name)).stat().st_size for name in known if cache.path_of(name).is_file()}
    damaged = {name for name, size in sizes.items() if cache.path_of(name).stat().st_size != size and retention.intact(name)}
    for name in damaged:
        Path(there.oid_to_path(name)).unlink()
    return known - damaged


def _distinct(files: dict[str, list[str]]) -> list[str]:
    return list({each for found in files.values() for each in found})


def _state(files: list[str], gaps: list[str], before: set[str], now: set[str]) -> str:
    if gaps:
        return "not here" if files[0] in gaps else f"not sent: {len(gaps)} of {len(files)} files damaged or not here"
    if not now.issuperset(files):
        return "not sent: the remote did not take it"
    return THERE if before.issuperset(files) else SENT


def fetch(names: list[str], remote: str | None = None) -> None:
    """Fetch what the cache lacks of these folders and the remote has, each file checked. Raises RemoteFault."""
    if lacking := retention.lacking(names):
        with _project() as repo:
            there = repo.cloud.get_remote_odb(remote, "fetch")
            _fetch(repo, there, lacking)
            _fetch(repo, there, retention.lacking(filter(_is_list, lacking)))


def _fetch(repo: Any, there: Any, lacking: list[str]) -> None:
    """Fetch these files, in place of damaged ones."""
    found = list(there.oids_exist(lacking))
    with repo.lock:
        for name in found:
            cache.path_of(name).unlink(missing_ok=True)
        _copy(there, repo.cache.local, found, verify=True)


def collect(names: list[str], remote: str | None = None, projects: Sequence[Path] = ()) -> dict[str, int]:
    """Remove from the cache, and from a named remote, the files that no dvc.lock and no ledger of any branch needs; {place: count}.

    `projects` are the other ones that use the same cache, whose needs count too. From a remote, no file that is younger than GRACE or
    the newest known commit: others may need it. Raises RemoteFault, or, before anything is removed, branches.UnknownNeeds, SharedCache
    or git.Unusable.
    """
    newest = branches.fetch() if remote else 0.0
    with _project() as repo, ExitStack() as stack:
        others = [stack.enter_context(_sharing(repo, folder)) for folder in _named(repo, projects)]
        places = {"cache": repo.cache.local}
        if remote:
            places[remote] = repo.cloud.get_remote_odb(remote, "gc")
        used = _used(repo, names, places.get(str(remote)), others)
        with repo.lock:
            removed = {"cache": _removed(places["cache"], used)}
            retention.discard_unused(used)
            if remote:
                there, before = places[remote], min(newest, time.time() - GRACE)
                young = {name for name in there.all() if name not in used and _modified(there, name) >= before}
                removed[remote] = _removed(there, used | young)
    return removed


def _named(repo: Any, projects: Sequence[Path]) -> list[Path]:
    """The other projects that are named. Raises SharedCache where a cache outside of this project may have others."""
    root = Path(repo.root_dir).resolve()
    if not projects and not _cache(repo).is_relative_to(root):
        raise SharedCache(
            f"DVC's cache, {_cache(repo)}, is outside of this project: others may use it. Nothing was removed. "
            "Name every other project that does: `make gc projects='../one ../two'`, or `make gc projects=.` where there is none."
        )
    return [folder for folder in projects if folder.resolve() != root]


@contextmanager
def _sharing(repo: Any, folder: Path) -> Iterator[Any]:
    """DVC's view of another project on the same cache, locked. Raises SharedCache, RemoteFault."""
    with _project(folder) as other:
        if _cache(other) != _cache(repo):
            raise SharedCache(f"{folder} uses another cache, {_cache(other)}, not {_cache(repo)}. Nothing was removed. Leave it out.")
        with other.lock:
            yield other


def _cache(repo: Any) -> Path:
    return Path(repo.cache.local.path).resolve()


def _removed(place: Any, used: set[str]) -> int:
    from dvc_data.hashfile.db import get_index
    from dvc_data.hashfile.gc import gc
    from dvc_data.hashfile.hash_info import HashInfo

    count: int = gc(place, [HashInfo("md5", name) for name in used])
    get_index(place).clear()
    return count


def _used(repo: Any, names: list[str], there: Any, others: list[Any]) -> set[str]:
    """Every file that stays. Raises branches.UnknownNeeds where a folder's list is lost, and its files would be removed."""
    roots = [Path(), *(Path(other.root_dir) for other in others)]
    needed = [name for root in roots for name in branches.needed(root)]
    locked = [name for root in roots for name in branches.locked(root)]
    lists = [*needed, *filter(_is_list, locked)]
    if there:
        _fetch(repo, there, [name for name in {*names, *lists} if not retention.intact(name)])
    wanted = [*names, *(needed if there else []), *_here(lists), *(name for root in roots for name in _in_use(root))]
    unknown = [name for name in dict.fromkeys(wanted) if not retention.intact(name)]
    if unknown:
        raise branches.UnknownNeeds(
            f"{', '.join(unknown)}: the list of its files is damaged or not here{' and not on the remote' if there else ''}. "
            f"Nothing was removed. {cache.fetching()} `dvc commit` lists a folder in the workspace again."
        )
    with repo.lock:
        used = {info.value for each in (repo, *others) for found in each.used_objs(force=True).values() for info in found}
    return used | {each for name in {*names, *needed, *locked} for each in retention.files(name)}


def _here(names: list[str]) -> list[str]:
    """Those of these lists that are here; one that another branch names may never have been fetched."""
    return [name for name in names if cache.path_of(name).exists()]


def _in_use(root: Path) -> list[str]:
    """The lists that dvc.lock names of folders in a project, or in the cache."""
    outs = [out for out in lock.outs(lock.content(root)).values() if _is_list(out.md5)]
    return [out.md5 for out in outs if (root / out.path).exists() or cache.path_of(out.md5).exists()]


def _modified(there: Any, name: str) -> float:
    """When a file was written to a remote (seconds since 1970); the present time where that is unknown."""
    try:
        return float(there.fs.modified(there.oid_to_path(name)).timestamp())
    except (NotImplementedError, FileNotFoundError):
        return time.time()


def show(lines: list[Line], states: dict[str, str]) -> None:
    """Print which versions' folders were sent."""
    table = Table("family", "version", "candidate", "model", "data")
    for line in lines:
        sent = [states.get(str(line.get(key)), "trained without DVC") for key in ("dvc", "data_dvc")]
        table.add_row(line["family"], str(line["version"]), line["candidate"], *sent)
    Console(width=max(110, Console().width)).print(table, highlight=False)


def push_all(remote: str | None = None) -> None:
    """Push what dvc.lock and the ledgers need, and print; exit 1 where the remote lacks a version."""
    ledgers = _retained()
    states = push([name for lines in ledgers for name in retention.names(lines)], remote)
    show([line for lines in ledgers for line in ledger.versions(lines).values()], states)
    left = [state for state in states.values() if state not in {SENT, THERE}]
    if left:
        raise SystemExit(f"{len(left)} of {len(states)} folders are not on the remote. Push from the machine that trained them.")


def collect_all(remote: str | None = None, projects: Sequence[Path] = ()) -> None:
    """Remove what neither dvc.lock nor a ledger needs, and print."""
    for place, count in collect([name for lines in _retained() for name in retention.names(lines)], remote, projects).items():
        print(f"{place}: {count} files removed; what dvc.lock and the ledgers need stays.")


def _retained() -> list[list[Line]]:
    """The ledgers of all families; what they name is retained in DVC's cache first."""
    ledgers = [ledger.read(family) for family in discovery.names()]
    for lines in ledgers:
        retention.retain(lines)
    return ledgers
