"""What DVC records of files: dvc.lock, its cache with the lists of folders, and its records of runs."""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import yaml

from pipelines import discovery, folders, git
from pipelines.artifacts import cache as dvc_cache
from pipelines.artifacts import copies
from pipelines.artifacts import lock as dvc_lock
from pipelines.artifacts.cache import intact_listing
from pipelines.artifacts.lock import LOCK, Out
from pipelines.audit import findings
from pipelines.audit.findings import ABSENT, NO_COPY, UNCACHED, Found, Item, Notice
from pipelines.datasets import cards
from pipelines.ledger.cross_checks import Fault
from pipelines.models import manifests
from pipelines.training import records

OWN = (manifests.MANIFEST, records.RECORD, cards.CARD)  # small files that differ between any two trainings or data
OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")


def locked_outs(names: list[str]) -> Iterator[Out | Fault]:
    """The folders of these families in dvc.lock; where it is altered, those of git's last commit, or without that of the ledgers."""
    committed = git.committed(LOCK)
    checkout = "make merge" if dvc_lock.in_conflict() else f"cp {LOCK} {LOCK}.broken && {findings.checkout(LOCK)}"
    try:
        outs = dvc_lock.outs(dvc_lock.content())
    except dvc_lock.BrokenLock:
        yield Fault(LOCK, "cannot be read: it is not what DVC wrote", checkout if committed else "dvc repro")
        outs = dvc_lock.outs(committed)
    for path, out in outs.items():
        recorded = dvc_lock.outs(committed).get(path) if committed else _promoted(out)
        right = recorded if recorded and _misnamed(out, recorded) else out
        if right != out:
            words = f"is altered: of {path} it names {out.md5}, which is not here; it was {right.md5}"
            yield Fault(LOCK, words, checkout if committed else _commit(right))
        own = any(path in findings.family_folders(name) or path.is_relative_to(Path("reports", name)) for name in names)
        if own and right.md5.endswith(".dir"):  # files are in git
            yield right


def locked() -> dict[Path, Out]:
    """The outputs in dvc.lock, in git's last one where this one cannot be read, which is a fault of its own."""
    try:
        return dvc_lock.outs(dvc_lock.content())
    except dvc_lock.BrokenLock:
        return dvc_lock.outs(git.committed(LOCK))


def _commit(out: Out) -> str:
    """The command that has DVC list a folder again, where its files are unchanged; else the one to run first."""
    if copies.dvc_hash(out.path) == out.md5:
        return f"dvc commit --force {shlex.quote(str(out.path))}"
    return f"make verify  # again, once the files of {out.path} are repaired"


def _misnamed(out: Out, recorded: Out) -> bool:
    """Does dvc.lock name a hash that is in no cache, where another record names one that is?"""
    absent = out.path.exists() and out.md5 != recorded.md5 and not dvc_cache.path_of(out.md5).exists()
    return absent and bool(intact_listing(recorded.md5))


def _promoted(out: Out) -> Out | None:
    """This output with the hash that the last promotion using it recorded; None without one."""
    lines = [line for family in discovery.names() for line in findings.promotions(family)]
    named = [(Path("models", line["candidate"]), line.get("dvc")) for line in lines]
    named += [(Path("data", line["family"]), line.get("data_dvc")) for line in lines]
    found = [md5 for path, md5 in named if path == out.path and md5]
    return out._replace(md5=found[-1]) if found else None


def cached(names: list[str], outs: list[Out], everything: bool) -> Found:
    """DVC's cache, the retained files and the records of runs: the name of each is the hash of its content.

    A file that a list in the cache names is expected too; a folder without a list is not here, which is no fault.
    """
    repairs = _repairs(names, outs)
    root = dvc_cache.cache()
    listed = {dvc_cache.path_of(md5): md5 for md5 in repairs if not md5.endswith(dvc_cache.LIST)}
    objects = {path: path.parent.name + path.name for path in root.glob("*/*") if OBJECT.fullmatch(path.relative_to(root).as_posix())}
    for path, md5 in sorted((listed | objects | {path: path.name for path in dvc_cache.retained_path("").glob("*")}).items()):
        if everything or md5 in repairs:
            yield Item(path, "md5", md5.removesuffix(".dir"), "its name", findings.remove(path, repairs.get(md5, "")))
    if everything:
        yield from _runs(root)


def _repairs(names: list[str], outs: list[Out]) -> dict[str, str]:
    """{MD5: the command that restores it} for what dvc.lock and the ledgers name."""
    lines = [line for name in names for line in findings.promotions(name)]
    rebuild = "make rebuild" if dvc_cache.has_remote() else f"{NO_COPY}: `make rebuild` fetches it where a DVC remote has it"
    older = {md5: rebuild for line in lines for key in ("dvc", "data_dvc") if line.get(key) for md5 in _content(line[key])}
    return older | {md5: command for out in outs for md5, command in _fetch(out).items()}


def _fetch(out: Out) -> dict[str, str]:
    """{MD5: the command that restores it}. DVC writes the same list again where all files of the folder are unchanged."""
    if not dvc_cache.has_remote() and not intact_listing(out.md5) and copies.dvc_hash(out.path) == out.md5:
        return {out.md5: _commit(out)}
    return dict.fromkeys(_content(out.md5), _from_remote("fetch", out))


def _from_remote(verb: str, out: Out) -> str:
    return f"dvc {verb} {shlex.quote(str(out.path))}" if dvc_cache.has_remote() else no_copy(out.stage)


def no_copy(stage: str) -> str:
    """The advice where this machine has neither a good copy nor a remote."""
    another = f"`dvc repro --force --single-item {shlex.quote(stage)}` makes another"
    return f"{NO_COPY}: `make rebuild` fetches it where a DVC remote has it, {another}"


def _content(md5: str) -> list[str]:
    """A folder's own hash, and those of its files."""
    return [md5, *intact_listing(md5).values()]


def _runs(root: Path) -> Iterator[Fault]:
    """DVC's records of runs: the name is the SHA-256 of the content without sizes. They only save time, and may go."""
    from dvc.utils import dict_sha256

    for path in sorted(root.parents[1].glob("runs/*/*/*")):
        try:
            fits = dict_sha256(yaml.load(path.read_text(), yaml.CSafeLoader), exclude=["size", "nfiles"]) == path.name
        except (yaml.YAMLError, UnicodeDecodeError, TypeError):
            fits = False
        if not fits:
            yield Fault(path, "is altered: what DVC recorded of a run does not match its name", findings.remove(path, ""))


def absent(outs: list[Out]) -> Iterator[Notice]:
    """The folders that dvc.lock names and this machine lacks, and those of which DVC's cache has no copy."""
    for out in outs:
        cached, name = in_cache(out.md5), str(out.path)
        if not out.path.exists():
            yield Notice(name, ABSENT, "dvc checkout {}" if cached else fetch())
        elif not cached:
            yield Notice(name, UNCACHED, "dvc commit --force {}" if copies.dvc_hash(out.path) == out.md5 else fetch())


def in_cache(md5: str) -> bool:
    """Has the cache this folder's list? Its files are expected then."""
    return dvc_cache.path_of(md5).is_file() or dvc_cache.retained_path(md5).is_file()


def fetch() -> str:
    """How to get what neither workspace nor cache has."""
    return "make rebuild && dvc checkout" if dvc_cache.has_remote() else f"{NO_COPY}: `make rebuild` fetches it where a DVC remote has it"


def others(outs: list[Out]) -> Iterator[Out]:
    """The outputs whose folder is complete, and of another commit or experiment than dvc.lock: DVC's cache has it."""
    for out in outs:
        listed = intact_listing(out.md5)
        own = [name for name in OWN if name in listed]
        if listed and out.path.exists() and not (own and all(_is_listed(out.path / name, listed[name]) for name in own)):
            found = copies.dvc_hash(out.path)
            if found != out.md5 and intact_listing(found):
                yield out


def _is_listed(path: Path, md5: str) -> bool:
    return path.is_file() and dvc_cache.intact(path, md5)


def output(out: Out) -> Found:
    """A folder of the workspace, by dvc.lock and DVC's list of it."""
    listed, repair = intact_listing(out.md5), _from_remote("pull --force", out)
    own = out.path / (manifests.MANIFEST if manifests.MANIFEST in listed else cards.CARD)
    if not out.path.exists():
        return
    if not listed and any((out.path / name).exists() for name in (manifests.MANIFEST, cards.CARD)):
        yield from findings.described(out.path, repair)
    elif not listed:  # example sheets
        if copies.dvc_hash(out.path) != out.md5:
            yield Fault(out.path, f"is altered: its hash is not the one in {LOCK}", repair)
    elif _made_since(own, listed.get(own.name, "")):
        words = f"was made since, and is not what {LOCK} names: DVC has no copy of it yet"
        yield Fault(out.path, words, f"dvc commit --force {shlex.quote(str(out.path))}")
        yield from findings.described(out.path, no_copy(out.stage))
    else:
        yield from findings.items(out.path, listed, "md5", LOCK.name, repair)
        if own.name in listed and own.is_file() and dvc_cache.intact(own, listed[own.name]):  # a damaged file that DVC listed is a fault
            yield from (found for found in findings.described(out.path, repair) if isinstance(found, Fault) or found.expected)


def _made_since(own: Path, md5: str) -> bool:
    """Is this a valid manifest or card (so not a damaged one) of another training or other data than the listed one, and in no cache?"""
    now, listed = _identity(own), _identity(dvc_cache.path_of(md5))
    if not now or not listed or now == listed:
        return False
    return not dvc_cache.path_of(hashlib.md5(own.read_bytes(), usedforsecurity=False).hexdigest()).exists()


def _identity(file: Path) -> str | None:
    """The digest of a manifest or the hash of a card; None where it does not follow from the rest."""
    try:
        facts = json.loads(file.read_bytes())
        own, named = (manifests.digest(facts), facts["digest"]) if "digest" in facts else (folders.hash_of(facts["files"]), facts["hash"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return own if own == named else None
