"""Who vouches for which file: what DVC, the manifests, the sums, the releases and git say must be in it.

Every place gives `Item`s: a file, the hash it must have, who says so, and the command that puts it right where this machine has no
good copy of it; and `Fault`s, for what shows before anything is hashed. A file that nobody vouches for is an `Item` too: it is counted.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines import cards, families, folders, git, hashing, ledger, manifests, outputs, stores, sums

OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")
FOLDER = re.compile(r"[0-9a-f]{32}\.dir")
RELEASED, RELEASE = Path("released"), "release.json"
UNLISTED = ""  # what is expected of a file that should not be there


class Item(NamedTuple):
    """One file and what is expected of it: a hash, UNLISTED, or None where nobody vouches for it."""

    path: Path
    algorithm: str
    expected: str | None
    witness: str
    repair: str


class Fault(NamedTuple):
    """One file, what is wrong with it, and the command that puts it right."""

    path: Path
    words: str
    repair: str


class Out(NamedTuple):
    """An output of dvc.lock: data/<family>, models/<candidate>, the sheets of one."""

    path: Path
    md5: str
    stage: str


Found = Iterator[Item | Fault]


def everything(names: list[str], whole: bool) -> Found:
    """What is expected of every file that these families have here; `whole` takes in what in DVC's cache belongs to none of them."""
    stages = _stages()
    outs = [out for name in names for out in _outs(stages, name)]
    yield from cached(names, outs, whole)
    for out in outs:
        yield from output(out)
    for name in names:
        yield from without_dvc(name, {out.path for out in outs})
        yield from stored(name)
        yield from released(name)
    yield from restored(names, whole)


def _outs(stages: dict[str, Any], family: str) -> list[Out]:
    """What DVC keeps of this family; git keeps the others."""
    listed = [Out(Path(out["path"]), out["md5"], name) for name, stage in stages.items() for out in stage.get("outs", [])]
    return [out for out in listed if _belongs(out.path, family) and out.md5.endswith(".dir")]


def _stages() -> dict[str, Any]:
    """{stage: its lines in dvc.lock}, by libyaml: they are thousands."""
    return (yaml.load(outputs.LOCK.read_text(), yaml.CSafeLoader) or {}).get("stages", {}) if outputs.LOCK.exists() else {}


def _belongs(path: Path, family: str) -> bool:
    return path in _folders(family) or path.is_relative_to(Path("reports", family))


def _folders(family: str) -> list[Path]:
    return [Path("data", family), *(Path("models", candidate) for candidate in families.candidates(family))]


def listing(md5: str) -> dict[str, str]:
    """{file: MD5} of a folder that DVC keeps; empty where its list is not in the cache, or damaged."""
    path = outputs.place(md5)
    if not path.is_file() or not outputs.sound(path, md5):
        return {}
    return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}


def cached(names: list[str], outs: list[Out], whole: bool) -> Found:
    """DVC's cache, its list of held files and its records of runs: each is named by what must be in it."""
    repairs = _repairs(names, outs)
    root = outputs.cache()
    for path in sorted(root.glob("*/*")) if root.is_dir() else []:
        md5 = path.parent.name + path.name
        if OBJECT.fullmatch(path.relative_to(root).as_posix()) and (whole or md5 in repairs):
            yield Item(path, "md5", md5.removesuffix(".dir"), "DVC's name for it", _removed(path, repairs.get(md5)))
    for path in sorted(outputs.held_place("").glob("*")):
        if whole or path.name in repairs:
            yield Item(path, "md5", path.name.removesuffix(".dir"), "its name", _removed(path, repairs.get(path.name)))
    if whole:
        yield from _runs(root)


def _repairs(names: list[str], outs: list[Out]) -> dict[str, str]:
    """{MD5: what brings it back when it has been removed}: for what stands in dvc.lock, and what a ledger names."""
    lines = [line for name in names for line in promotions(name)]
    older = {md5: "make rebuild" for line in lines for key in ("dvc", "data_dvc") if line.get(key) for md5 in _content(line[key])}
    verb = "dvc fetch" if remote() else "dvc commit --force"
    return older | {md5: f"{verb} {shlex.quote(str(out.path))}" for out in outs for md5 in _content(out.md5)}


def _content(md5: str) -> list[str]:
    """A folder's own hash, and those of the files in it."""
    return [md5, *listing(md5).values()]


def promotions(family: str) -> list[ledger.Line]:
    """Those of a ledger that can be read: one that cannot is told by itself."""
    try:
        return list(ledger.versions(ledger.read(family)).values())
    except ledger.AlteredLedger:
        return []


def remote() -> bool:
    """Has DVC somewhere to fetch from?"""
    return any(re.search(r"^\s*remote\s*=", page.read_text(), re.MULTILINE) for page in outputs.CONFIG if page.is_file())


def _removed(path: Path, then: str | None) -> str:
    return f"rm -f {shlex.quote(str(path))}" + (f" && {then}" if then else "")


def _runs(root: Path) -> Iterator[Fault]:
    """DVC's records of runs: the name is the SHA-256 of what was recorded, without sizes. They only save time."""
    from dvc.utils import dict_sha256

    for path in sorted(root.parents[1].glob("runs/*/*/*")):
        try:
            fits = dict_sha256(yaml.load(path.read_text(), yaml.CSafeLoader), exclude=["size", "nfiles"]) == path.name
        except (yaml.YAMLError, UnicodeDecodeError, TypeError):
            fits = False
        if not fits:
            yield Fault(path, "is altered: what DVC recorded of a run does not fit its name", _removed(path, None))


def output(out: Out) -> Found:
    """A folder of the workspace, as dvc.lock and DVC's list of it say."""
    listed = listing(out.md5)
    if not out.path.exists():
        return
    again = f"dvc pull --force {out.path}" if remote() else f"dvc repro --force --single-item {out.stage}"
    if not listed:
        yield from described(out.path, again)
        return
    for path in {out.path / name for name in listed} | set(sums.files(out.path)):
        expected = listed.get(path.relative_to(out.path).as_posix(), UNLISTED)
        yield Item(path, "md5", expected, outputs.LOCK.name, _removed(path, again if expected else None))


def without_dvc(family: str, known: set[Path]) -> Found:
    """Folders that no stage of dvc.lock has made, by what they say of themselves."""
    for folder in _folders(family):
        if folder.exists() and folder not in known:
            yield from described(folder, f"make train family={family}")


def described(folder: Path, repair: str) -> Found:
    """A model by its manifest, or data by their card: both name the SHA-256 of what matters. The rest nobody vouches for."""
    try:
        witness, named = _named(folder)
    except (manifests.BrokenModel, OSError, ValueError, KeyError) as error:
        yield Fault(folder, f"does not say what is in it: {error}", repair)
        return
    for path in {folder / name for name in named} | set(sums.files(folder)):
        expected = named.get(path.relative_to(folder).as_posix())
        yield Item(path, "sha256", expected, witness, _removed(path, repair))


def _named(folder: Path) -> tuple[str, dict[str, str]]:
    """(who says so, {file: SHA-256}). Raises BrokenModel, OSError, ValueError or KeyError."""
    if (folder / cards.CARD).exists() and not (folder / manifests.MANIFEST).exists():
        card = cards.read(folder)
        if folders.hash_of(card["files"]) != card["hash"]:
            raise ValueError(f"the hash in {cards.CARD} does not follow from it")
        return cards.CARD, dict(card["files"])
    manifest = manifests.read(folder)
    if manifests.digest(manifest) != manifest["digest"]:
        raise ValueError(f"the digest in {manifests.MANIFEST} does not follow from it")
    return manifests.MANIFEST, {
        name: entry["sha256"] for name, entry in manifest["files"].items() if (folder / name).exists() or entry["served"]
    }


def stored(family: str) -> Found:
    """The models that are served here, by the SHA256SUMS beside each; and BentoML's word of which came last, which nobody asks for."""
    latest = Path(stores.ROOT, "models", family, "latest")
    if latest.is_file() and latest.read_bytes().decode(errors="replace") not in {folder.name for folder in stores.kept(family)}:
        yield Fault(latest, "names no model that is in the store", _removed(latest, None))
    for folder in stores.kept(family):
        repair = f"rm -rf {shlex.quote(str(folder))} && {reconciling(family)}"
        try:
            listed = sums.read(folder)
        except sums.BrokenSums as error:
            yield Fault(folder / sums.SUMS, str(error), repair)
            continue
        if not listed:
            yield from described(folder, repair)
            continue
        for path in {folder / name for name in listed} | set(sums.files(folder)) - {folder / sums.SUMS}:
            yield Item(path, "sha256", listed.get(path.relative_to(folder).as_posix(), UNLISTED), sums.SUMS, repair)


def reconciling(family: str) -> str:
    """The command that puts right what follows from the ledger."""
    return f"python -m pipelines.registry reconcile --family {family}"


def restored(names: list[str], whole: bool) -> Found:
    """What was copied out of DVC's cache for a while: it may always be removed."""
    wanted = {md5 for name in names for line in promotions(name) for md5 in (line.get("dvc"), line.get("data_dvc"))}
    for folder in sorted(stores.ROOT.joinpath("restored").glob("*")):
        if FOLDER.fullmatch(folder.name) and (whole or folder.name in wanted):
            listed = listing(folder.name)
            for path in {folder / name for name in listed} | set(sums.files(folder)):
                expected = listed.get(path.relative_to(folder).as_posix(), UNLISTED if listed else None)
                yield Item(path, "md5", expected, "DVC's list", f"rm -rf {folder}")


def released(family: str) -> Found:
    """released/<family>/ by the files that release.json names; one of an earlier form by git's last commit."""
    folder = RELEASED / family
    if not (folder / RELEASE).exists():
        return
    repair = f"make release family={family}"
    named = _released_files(folder / RELEASE)
    if not named:
        yield from _committed(folder, in_git(folder), repair)
        return
    for path in {folder / name for name in named} | set(sums.files(folder)) - {folder / RELEASE}:
        expected = named.get(path.relative_to(folder).as_posix(), UNLISTED)
        yield Item(path, "sha256", expected, RELEASE, _removed(path, repair if expected else None))


def _released_files(path: Path) -> dict[str, str]:
    """{file: SHA-256} that a release names; empty for one of an earlier form, and for one that was altered."""
    try:
        facts = json.loads(path.read_text())
        return dict(facts["files"]) if summed(facts) else {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def summed(facts: dict[str, Any]) -> bool:
    """Is this what it was when its sum was taken? True also where none was."""
    return facts.get(stores.SUM) in {None, folders.hash_of({key: value for key, value in facts.items() if key != stores.SUM})}


def _committed(folder: Path, committed: dict[Path, str], repair: str) -> Found:
    """By git where git has it, else by the manifest."""
    if not committed:
        yield from described(folder, repair)
        return
    for path in committed.keys() | set(sums.files(folder)):
        yield Item(path, hashing.GIT, committed.get(path), "git's last commit", _removed(path, f"git checkout HEAD -- {path}"))


def committed(path: Path) -> bytes:
    """What git's last commit holds of a file; nothing where there is no such file, no commit or no git."""
    return git.says("show", f"HEAD:./{path}") or b""


def in_git(*places: Path) -> dict[Path, str]:
    """{file: git's name of its content} in the last commit, below these places; empty where there is no git."""
    listed = git.says("ls-tree", "-r", "-z", "HEAD", "--", *map(str, places)) or b""
    rows = (row.partition("\t") for row in listed.decode().split("\0") if row)
    return {Path(name): facts.split()[2] for facts, _, name in rows}
