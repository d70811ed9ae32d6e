"""What DVC says of files: dvc.lock, its cache with the lists of folders, and its records of runs."""

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
from pipelines.artifacts.lock import Out
from pipelines.audit import findings
from pipelines.audit.findings import Fault, Found, Item
from pipelines.datasets import cards
from pipelines.models import checksums, manifests

OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")


def locked_outs(names: list[str]) -> Iterator[Out | Fault]:
    """What DVC keeps of these families, by dvc.lock; where that is altered, by git's last commit, or without one by the ledger."""
    shown = git.committed(dvc_lock.LOCK)
    again = f"cp {dvc_lock.LOCK} {dvc_lock.LOCK}.broken && git checkout HEAD -- {dvc_lock.LOCK}"
    try:
        now = dvc_lock.outs(dvc_lock.content())
    except dvc_lock.BrokenLock:
        yield Fault(dvc_lock.LOCK, "cannot be read: it is not what DVC wrote", again if shown else "dvc repro")
        now = dvc_lock.outs(shown)
    for path, out in now.items():
        known = dvc_lock.outs(shown).get(path) if shown else _promoted(out)
        was = known if known and _astray(out, known) else out
        if was != out:
            words = f"is altered: of {path} it names {out.md5}, which is not here; it was {was.md5}"
            yield Fault(dvc_lock.LOCK, words, again if shown else _committing(was))
        if any(_belongs(path, name) for name in names) and was.md5.endswith(".dir"):  # git keeps the others
            yield was


def _committing(was: Out) -> str:
    """Have DVC name a folder anew, where every file of it is as it was."""
    if copies.dvc_hash(was.path) == was.md5:
        return f"dvc commit --force {shlex.quote(str(was.path))}"
    return f"make verify  # again, once the files of {was.path} are put right"


def _astray(now: Out, was: Out) -> bool:
    """Does dvc.lock name what is nowhere, where another witness names what is here?"""
    return now.path.exists() and now.md5 != was.md5 and not dvc_cache.path_of(now.md5).exists() and bool(intact_listing(was.md5))


def _promoted(out: Out) -> Out | None:
    """What the ledger says of a model's folder, or of a family's data: that of the last version made of it."""
    for family in discovery.names():
        if out.path in findings.family_folders(family):
            key = "data_dvc" if out.path.parts[0] == "data" else "dvc"
            known = [
                line[key]
                for line in findings.promotions(family)
                if line.get(key) and (key == "data_dvc" or line["candidate"] == out.path.name)
            ]
            return out._replace(md5=known[-1]) if known else None
    return None


def _belongs(path: Path, family: str) -> bool:
    return path in findings.family_folders(family) or path.is_relative_to(Path("reports", family))


def cached(names: list[str], outs: list[Out], whole: bool) -> Found:
    """DVC's cache, its list of held files and its records of runs: each is named by what must be in it."""
    repairs = _repairs(names, outs)
    root = dvc_cache.cache()
    for path in sorted(root.glob("*/*")) if root.is_dir() else []:
        md5 = path.parent.name + path.name
        if OBJECT.fullmatch(path.relative_to(root).as_posix()) and (whole or md5 in repairs):
            yield Item(path, "md5", md5.removesuffix(".dir"), "DVC's name for it", findings.removed(path, repairs.get(md5)))
    for path in sorted(dvc_cache.retained_path("").glob("*")):
        if whole or path.name in repairs:
            yield Item(path, "md5", path.name.removesuffix(".dir"), "its name", findings.removed(path, repairs.get(path.name)))
    if whole:
        yield from _runs(root)


def _repairs(names: list[str], outs: list[Out]) -> dict[str, str]:
    """{MD5: what brings it back when it has been removed}: for what stands in dvc.lock, and what a ledger names."""
    lines = [line for name in names for line in findings.promotions(name)]
    verb = "make rebuild" if remote() else f"{findings.NOWHERE}: `make rebuild` fetches it where a DVC remote has it"
    older = {md5: verb for line in lines for key in ("dvc", "data_dvc") if line.get(key) for md5 in _content(line[key])}
    return older | {md5: again for out in outs for md5, again in _again(out).items()}


def _again(out: Out) -> dict[str, str]:
    """{MD5: what brings it back}. Of one list DVC writes the same again, where every file that it names is as it was."""
    if not remote() and not intact_listing(out.md5) and copies.dvc_hash(out.path) == out.md5:
        return {out.md5: _committing(out)}
    again = f"dvc fetch {shlex.quote(str(out.path))}" if remote() else nowhere(out.stage)
    return dict.fromkeys(_content(out.md5), again)


def nowhere(stage: str) -> str:
    """What can be done without a good copy: no command on this machine brings back the very same."""
    another = f"`dvc repro --force --single-item {shlex.quote(stage)}` makes another"
    return f"{findings.NOWHERE}: `make rebuild` fetches it where a DVC remote has it, {another}"


def _content(md5: str) -> list[str]:
    """A folder's own hash, and those of the files in it."""
    return [md5, *intact_listing(md5).values()]


def remote() -> bool:
    """Has DVC somewhere to fetch from?"""
    return any(re.search(r"^\s*remote\s*=", page.read_text(), re.MULTILINE) for page in dvc_cache.CONFIG if page.is_file())


def _runs(root: Path) -> Iterator[Fault]:
    """DVC's records of runs: the name is the SHA-256 of what was recorded, without sizes. They only save time."""
    from dvc.utils import dict_sha256

    for path in sorted(root.parents[1].glob("runs/*/*/*")):
        try:
            fits = dict_sha256(yaml.load(path.read_text(), yaml.CSafeLoader), exclude=["size", "nfiles"]) == path.name
        except (yaml.YAMLError, UnicodeDecodeError, TypeError):
            fits = False
        if not fits:
            yield Fault(path, "is altered: what DVC recorded of a run does not fit its name", findings.removed(path, None))


def output(out: Out) -> Found:
    """A folder of the workspace, as dvc.lock and DVC's list of it say."""
    listed = intact_listing(out.md5)
    if not out.path.exists():
        return
    again = f"dvc pull --force {shlex.quote(str(out.path))}" if remote() else nowhere(out.stage)
    if not listed:
        yield from findings.described(out.path, again) if findings.describes(out.path) else _unlisted(out, again)
        return
    own = out.path / (manifests.MANIFEST if manifests.MANIFEST in listed else cards.CARD)
    if _made_since(own, listed.get(own.name, "")):
        words = f"was made since, and is not what {dvc_lock.LOCK} names: DVC does not keep it yet"
        yield Fault(out.path, words, f"dvc commit --force {shlex.quote(str(out.path))}")
        yield from findings.described(out.path, nowhere(out.stage))
        return
    for path in {out.path / name for name in listed} | set(checksums.files(out.path)):
        expected = listed.get(path.relative_to(out.path).as_posix(), findings.UNLISTED)
        yield Item(path, "md5", expected, dvc_lock.LOCK.name, findings.removed(path, again if expected else None))
    if (
        own.name in listed and own.is_file() and dvc_cache.intact(own, listed[own.name])
    ):  # so that nothing becomes right by being listed anew
        yield from (found for found in findings.described(out.path, again) if isinstance(found, Fault) or found.expected)


def _made_since(own: Path, md5: str) -> bool:
    """Is this the manifest or card of another training, or of other data, than the one that DVC lists, and one that is in no cache?

    No damage makes a digest that is another one and still follows from the rest.
    """
    now, was = _identity(own), _identity(dvc_cache.path_of(md5))
    if not now or not was or now == was:
        return False
    return not dvc_cache.path_of(hashlib.md5(own.read_bytes(), usedforsecurity=False).hexdigest()).exists()


def _identity(file: Path) -> str | None:
    """The digest of a manifest or the hash of a card; None where it does not follow from the rest."""
    try:
        facts = json.loads(file.read_bytes())
        own, told = (manifests.digest(facts), facts["digest"]) if "digest" in facts else (folders.hash_of(facts["files"]), facts["hash"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return own if own == told else None


def _unlisted(out: Out, again: str) -> Iterator[Fault]:
    """Sheets of which the list is not here: as a whole they still hash to what dvc.lock says, or do not."""
    if copies.dvc_hash(out.path) != out.md5:
        yield Fault(out.path, f"is altered: as a whole it is not what {dvc_lock.LOCK} names", again)
