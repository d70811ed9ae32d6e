"""Who vouches for which file: what DVC, the manifests, the sums, the releases and git say must be in it.

Every place gives `Item`s: a file, the hash it must have, who says so, and the command that puts it right where this machine has no
good copy of it; and `Fault`s, for what shows before anything is hashed. A file that nobody vouches for is an `Item` too: it is counted.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines import cards, discovery, folders, git, hashing, ledger, manifests, modelcards, paths, probes, stores, sums
from pipelines.artifacts import cache as dvc_cache
from pipelines.artifacts import copies
from pipelines.artifacts import lock as dvc_lock
from pipelines.modelsigning import SIGNATURE

OBJECT = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}(\.dir)?")
FOLDER = re.compile(r"[0-9a-f]{32}\.dir")
RELEASE = "release.json"
STORED = re.compile(r"(?:c|v(\d+))-[0-9a-f]{12}")  # a model's folder in the store; a challenger has no version
UNLISTED = ""  # what is expected of a file that should not be there
NOWHERE = "no good copy of it is on this machine"
WRITTEN = {"model.yaml", probes.EXAMPLE, modelcards.README, cards.CROISSANT, SIGNATURE}  # what the store writes beside a model


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
    outs: list[Out] = []
    for found in _locked(names):
        if isinstance(found, Out):
            outs.append(found)
        else:
            yield found
    yield from cached(names, outs, whole)
    for out in outs:
        yield from output(out)
    for name in names:
        yield from without_dvc(name, {out.path for out in outs})
        yield from stored(name)
        yield from released(name)
    yield from restored(names, whole)


def _locked(names: list[str]) -> Iterator[Out | Fault]:
    """What DVC keeps of these families, by dvc.lock; where that is altered, by git's last commit, or without one by the ledger."""
    content, shown = dvc_lock.LOCK.read_bytes() if dvc_lock.LOCK.exists() else b"", git.shown(dvc_lock.LOCK)
    again = f"cp {dvc_lock.LOCK} {dvc_lock.LOCK}.broken && git checkout HEAD -- {dvc_lock.LOCK}"
    try:
        now = _outs(content)
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        yield Fault(dvc_lock.LOCK, "cannot be read: it is not what DVC wrote", again if shown else "dvc repro")
        now = _outs(shown)
    for path, out in now.items():
        known = _outs(shown).get(path) if shown else _promoted(out)
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


@cache
def _outs(lock: bytes) -> dict[Path, Out]:
    """{path: output}, by libyaml: they are thousands of lines. Raises what a broken file raises."""
    stages = (yaml.load(lock.decode(), yaml.CSafeLoader) or {}).get("stages", {})
    listed = [Out(Path(out["path"]), out["md5"], name) for name, stage in stages.items() for out in stage.get("outs", [])]
    return {out.path: out for out in listed}


def _astray(now: Out, was: Out) -> bool:
    """Does dvc.lock name what is nowhere, where another witness names what is here?"""
    return now.path.exists() and now.md5 != was.md5 and not dvc_cache.place(now.md5).exists() and bool(listing(was.md5))


def _promoted(out: Out) -> Out | None:
    """What the ledger says of a model's folder, or of a family's data: that of the last version made of it."""
    for family in discovery.names():
        if out.path in _folders(family):
            key = "data_dvc" if out.path.parts[0] == "data" else "dvc"
            known = [
                line[key] for line in promotions(family) if line.get(key) and (key == "data_dvc" or line["candidate"] == out.path.name)
            ]
            return out._replace(md5=known[-1]) if known else None
    return None


def _belongs(path: Path, family: str) -> bool:
    return path in _folders(family) or path.is_relative_to(Path("reports", family))


def _folders(family: str) -> list[Path]:
    return [Path("data", family), *(Path("models", candidate) for candidate in discovery.candidates(family))]


def listing(md5: str) -> dict[str, str]:
    """{file: MD5} of a folder that DVC keeps; empty where its list is not in the cache, or damaged."""
    path = dvc_cache.place(md5)
    try:
        if not dvc_cache.sound(path, md5):
            return {}
    except OSError:
        return {}
    return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text())}


def cached(names: list[str], outs: list[Out], whole: bool) -> Found:
    """DVC's cache, its list of held files and its records of runs: each is named by what must be in it."""
    repairs = _repairs(names, outs)
    root = dvc_cache.cache()
    for path in sorted(root.glob("*/*")) if root.is_dir() else []:
        md5 = path.parent.name + path.name
        if OBJECT.fullmatch(path.relative_to(root).as_posix()) and (whole or md5 in repairs):
            yield Item(path, "md5", md5.removesuffix(".dir"), "DVC's name for it", _removed(path, repairs.get(md5)))
    for path in sorted(dvc_cache.held_place("").glob("*")):
        if whole or path.name in repairs:
            yield Item(path, "md5", path.name.removesuffix(".dir"), "its name", _removed(path, repairs.get(path.name)))
    if whole:
        yield from _runs(root)


def _repairs(names: list[str], outs: list[Out]) -> dict[str, str]:
    """{MD5: what brings it back when it has been removed}: for what stands in dvc.lock, and what a ledger names."""
    lines = [line for name in names for line in promotions(name)]
    verb = "make rebuild" if remote() else f"{NOWHERE}: `make rebuild` fetches it where a DVC remote has it"
    older = {md5: verb for line in lines for key in ("dvc", "data_dvc") if line.get(key) for md5 in _content(line[key])}
    return older | {md5: again for out in outs for md5, again in _again(out).items()}


def _again(out: Out) -> dict[str, str]:
    """{MD5: what brings it back}. Of one list DVC writes the same again, where every file that it names is as it was."""
    if not remote() and not listing(out.md5) and copies.dvc_hash(out.path) == out.md5:
        return {out.md5: _committing(out)}
    again = f"dvc fetch {shlex.quote(str(out.path))}" if remote() else nowhere(out.stage)
    return dict.fromkeys(_content(out.md5), again)


def nowhere(stage: str) -> str:
    """What can be done without a good copy: no command on this machine brings back the very same."""
    another = f"`dvc repro --force --single-item {shlex.quote(stage)}` makes another"
    return f"{NOWHERE}: `make rebuild` fetches it where a DVC remote has it, {another}"


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
    return any(re.search(r"^\s*remote\s*=", page.read_text(), re.MULTILINE) for page in dvc_cache.CONFIG if page.is_file())


def _removed(path: Path, then: str | None) -> str:
    """Remove the broken file and let it come again; where nothing brings it, it stays."""
    if then and then.startswith(NOWHERE):
        return then
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
    again = f"dvc pull --force {shlex.quote(str(out.path))}" if remote() else nowhere(out.stage)
    if not listed:
        yield from described(out.path, again) if _describes(out.path) else _unlisted(out, again)
        return
    own = out.path / (manifests.MANIFEST if manifests.MANIFEST in listed else cards.CARD)
    if _made_since(own, listed.get(own.name, "")):
        words = f"was made since, and is not what {dvc_lock.LOCK} names: DVC does not keep it yet"
        yield Fault(out.path, words, f"dvc commit --force {shlex.quote(str(out.path))}")
        yield from described(out.path, nowhere(out.stage))
        return
    for path in {out.path / name for name in listed} | set(sums.files(out.path)):
        expected = listed.get(path.relative_to(out.path).as_posix(), UNLISTED)
        yield Item(path, "md5", expected, dvc_lock.LOCK.name, _removed(path, again if expected else None))
    if (
        own.name in listed and own.is_file() and dvc_cache.sound(own, listed[own.name])
    ):  # so that nothing becomes right by being listed anew
        yield from (found for found in described(out.path, again) if isinstance(found, Fault) or found.expected)


def _made_since(own: Path, md5: str) -> bool:
    """Is this the manifest or card of another training, or of other data, than the one that DVC lists, and one that is in no cache?

    No damage makes a digest that is another one and still follows from the rest.
    """
    now, was = _identity(own), _identity(dvc_cache.place(md5))
    if not now or not was or now == was:
        return False
    return not dvc_cache.place(hashlib.md5(own.read_bytes(), usedforsecurity=False).hexdigest()).exists()


def _identity(file: Path) -> str | None:
    """The digest of a manifest or the hash of a card; None where it does not follow from the rest."""
    try:
        facts = json.loads(file.read_bytes())
        own, told = (manifests.digest(facts), facts["digest"]) if "digest" in facts else (folders.hash_of(facts["files"]), facts["hash"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return own if own == told else None


def _describes(folder: Path) -> bool:
    return any((folder / name).exists() for name in (manifests.MANIFEST, cards.CARD))


def _unlisted(out: Out, again: str) -> Iterator[Fault]:
    """Sheets of which the list is not here: as a whole they still hash to what dvc.lock says, or do not."""
    if copies.dvc_hash(out.path) != out.md5:
        yield Fault(out.path, f"is altered: as a whole it is not what {dvc_lock.LOCK} names", again)


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
    latest = Path(paths.ROOT, "models", family, "latest")
    names = {folder.name for folder in stores.kept(family)}
    if names and latest.is_file() and latest.read_bytes().decode(errors="replace") not in names:
        yield Fault(latest, "names no model that is in the store", _removed(latest, None))
    lines = {stores.tagged(family, line["version"], line["digest"]): line for line in promotions(family)}
    for folder in stores.kept(family):
        for found in _stored(folder, lines.get(f"{family}:{folder.name}", {}).get("dvc")):
            yield found if found.repair else found._replace(repair=_stored_again(family, folder, found.path))


def _stored(folder: Path, dvc: str | None) -> Found:
    """One model, without the repairs; its manifest, of which the digest does not cover all, also by DVC's list of the training."""
    if md5 := listing(dvc).get(manifests.MANIFEST) if dvc else None:
        yield Item(folder / manifests.MANIFEST, "md5", md5, "DVC's list", "")
    try:
        listed = sums.read(folder)
    except sums.BrokenSums as error:
        listed = {}
        yield Fault(folder / sums.SUMS, str(error), "")
    if not listed:
        yield from (found._replace(repair="") for found in described(folder, ""))
        return
    for path in {folder / name for name in listed} | set(sums.files(folder)) - {folder / sums.SUMS}:
        expected = listed.get(path.relative_to(folder).as_posix(), None if path.name in WRITTEN else UNLISTED)
        yield Item(path, "sha256", expected, sums.SUMS, _removed(path, None) if expected == UNLISTED else "")


def _stored_again(family: str, folder: Path, path: Path) -> str:
    """Move the folder aside, which may be all there is of the model; where what it serves is not what broke, store it again from there."""
    moved, kind = stores.ASIDE / f"{family}-{folder.name}", STORED.fullmatch(folder.name)
    words = f"mkdir -p {stores.ASIDE} && mv -T --backup=numbered {shlex.quote(str(folder))} {shlex.quote(str(moved))}"
    if kind and path.name in {*WRITTEN, sums.SUMS}:
        code = f"from pathlib import Path; from pipelines import stores; stores.put(Path('{moved}'), {kind[1]})"
        words = f'rm -f {shlex.quote(str(path))} && {words} && python -c "{code}"'
    return f"{words} && {reconciling(family)}"


def reconciling(family: str) -> str:
    """The command that puts right what follows from the ledger."""
    return f"python -m pipelines.registry reconcile --family {family}"


def restored(names: list[str], whole: bool) -> Found:
    """What was copied out of DVC's cache for a while: it may always be removed."""
    wanted = {md5 for name in names for line in promotions(name) for md5 in (line.get("dvc"), line.get("data_dvc"))}
    for folder in sorted(paths.ROOT.joinpath("restored").glob("*")):
        if FOLDER.fullmatch(folder.name) and (whole or folder.name in wanted):
            listed = listing(folder.name)
            for path in {folder / name for name in listed} | set(sums.files(folder)):
                expected = listed.get(path.relative_to(folder).as_posix(), UNLISTED if listed else None)
                yield Item(path, "md5", expected, "DVC's list", f"rm -rf {folder}")


def released(family: str) -> Found:
    """released/<family>/ by the files that release.json names; one of an earlier form by git's last commit."""
    folder = paths.RELEASED / family
    if not folder.is_dir() or not sums.files(folder):
        return
    repair = f"make release family={family}"
    if not (folder / RELEASE).exists() and not git.shown(folder / RELEASE):
        yield Fault(folder / RELEASE, "is missing: nothing says what was released", repair)
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
        again = f"git checkout HEAD -- {shlex.quote(str(path))}"
        yield Item(path, hashing.GIT, committed.get(path), "git's last commit", _removed(path, again))


def in_git(place: Path) -> dict[Path, str]:
    """{file: git's name of its content} in the last commit, below this place; empty where there is no git."""
    listed = git.says("ls-tree", "-r", "-z", "HEAD", "--", str(place)) or b""
    rows = (row.partition("\t") for row in listed.decode().split("\0") if row)
    return {Path(name): facts.split()[2] for facts, _, name in rows}
