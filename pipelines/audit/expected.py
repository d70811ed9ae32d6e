"""Who vouches for which file: what DVC, the manifests, the sums, the releases and git say must be in it.

Every place gives `Item`s: a file, the hash it must have, who says so, and the command that puts it right where this machine has no
good copy of it; and `Fault`s, for what shows before anything is hashed. A file that nobody vouches for is an `Item` too: it is counted.
"""

import json
import re
import shlex
from pathlib import Path

from pipelines import git, hashing, paths
from pipelines.artifacts import cache
from pipelines.artifacts.lock import Out
from pipelines.audit import dvc_files, findings
from pipelines.audit.findings import Fault, Found, Item
from pipelines.datasets import cards
from pipelines.models import checksums, manifests, selfcheck
from pipelines.models.signing import SIGNATURE
from pipelines.registry import modelcards, releases, store

FOLDER = re.compile(r"[0-9a-f]{32}\.dir")
STORED = re.compile(r"(?:c|v(\d+))-[0-9a-f]{12}")  # a model's folder in the store; a challenger has no version
WRITTEN = {"model.yaml", selfcheck.EXAMPLE, modelcards.README, cards.CROISSANT, SIGNATURE}  # what the store writes beside a model


def everything(names: list[str], whole: bool) -> Found:
    """What is expected of every file that these families have here; `whole` takes in what in DVC's cache belongs to none of them."""
    outs: list[Out] = []
    for found in dvc_files.locked_outs(names):
        if isinstance(found, Out):
            outs.append(found)
        else:
            yield found
    yield from dvc_files.cached(names, outs, whole)
    for out in outs:
        yield from dvc_files.output(out)
    for name in names:
        yield from without_dvc(name, {out.path for out in outs})
        yield from stored(name)
        yield from released(name)
    yield from restored(names, whole)


def without_dvc(family: str, known: set[Path]) -> Found:
    """Folders that no stage of dvc.lock has made, by what they say of themselves."""
    for folder in findings.family_folders(family):
        if folder.exists() and folder not in known:
            yield from findings.described(folder, f"make train family={family}")


def stored(family: str) -> Found:
    """The models that are served here, by the SHA256SUMS beside each; and BentoML's word of which came last, which nobody asks for."""
    latest = Path(paths.ROOT, "models", family, "latest")
    names = {folder.name for folder in store.models(family)}
    if names and latest.is_file() and latest.read_bytes().decode(errors="replace") not in names:
        yield Fault(latest, "names no model that is in the store", findings.removed(latest, None))
    lines = {store.tag_of(family, line["version"], line["digest"]): line for line in findings.promotions(family)}
    for folder in store.models(family):
        for found in _stored(folder, lines.get(f"{family}:{folder.name}", {}).get("dvc")):
            yield found if found.repair else found._replace(repair=_stored_again(family, folder, found.path))


def _stored(folder: Path, dvc: str | None) -> Found:
    """One model, without the repairs; its manifest, of which the digest does not cover all, also by DVC's list of the training."""
    if md5 := cache.intact_listing(dvc).get(manifests.MANIFEST) if dvc else None:
        yield Item(folder / manifests.MANIFEST, "md5", md5, "DVC's list", "")
    try:
        listed = checksums.read(folder)
    except checksums.BrokenSums as error:
        listed = {}
        yield Fault(folder / checksums.SUMS, str(error), "")
    if not listed:
        yield from (found._replace(repair="") for found in findings.described(folder, ""))
        return
    for path in {folder / name for name in listed} | set(checksums.files(folder)) - {folder / checksums.SUMS}:
        expected = listed.get(path.relative_to(folder).as_posix(), None if path.name in WRITTEN else findings.UNLISTED)
        yield Item(path, "sha256", expected, checksums.SUMS, findings.removed(path, None) if expected == findings.UNLISTED else "")


def _stored_again(family: str, folder: Path, path: Path) -> str:
    """Move the folder aside, which may be all there is of the model; where what it serves is not what broke, store it again from there."""
    moved, kind = store.ASIDE / f"{family}-{folder.name}", STORED.fullmatch(folder.name)
    words = f"mkdir -p {store.ASIDE} && mv -T --backup=numbered {shlex.quote(str(folder))} {shlex.quote(str(moved))}"
    if kind and path.name in {*WRITTEN, checksums.SUMS}:
        code = f"from pathlib import Path; from pipelines.registry import store as stores; stores.put(Path('{moved}'), {kind[1]})"
        words = f'rm -f {shlex.quote(str(path))} && {words} && python -c "{code}"'
    return f"{words} && {reconciling(family)}"


def reconciling(family: str) -> str:
    """The command that puts right what follows from the ledger."""
    return f"python -m pipelines.registry reconcile --family {family}"


def restored(names: list[str], whole: bool) -> Found:
    """What was copied out of DVC's cache for a while: it may always be removed."""
    wanted = {md5 for name in names for line in findings.promotions(name) for md5 in (line.get("dvc"), line.get("data_dvc"))}
    for folder in sorted(paths.ROOT.joinpath("restored").glob("*")):
        if FOLDER.fullmatch(folder.name) and (whole or folder.name in wanted):
            listed = cache.intact_listing(folder.name)
            for path in {folder / name for name in listed} | set(checksums.files(folder)):
                expected = listed.get(path.relative_to(folder).as_posix(), findings.UNLISTED if listed else None)
                yield Item(path, "md5", expected, "DVC's list", f"rm -rf {folder}")


def released(family: str) -> Found:
    """released/<family>/ by the files that release.json names; one of an earlier form by git's last commit."""
    folder = paths.RELEASED / family
    if not folder.is_dir() or not checksums.files(folder):
        return
    repair = f"make release family={family}"
    if not (folder / releases.RELEASE).exists() and not git.committed(folder / releases.RELEASE):
        yield Fault(folder / releases.RELEASE, "is missing: nothing says what was released", repair)
    named = _released_files(folder / releases.RELEASE)
    if not named:
        yield from _committed(folder, in_git(folder), repair)
        return
    for path in {folder / name for name in named} | set(checksums.files(folder)) - {folder / releases.RELEASE}:
        expected = named.get(path.relative_to(folder).as_posix(), findings.UNLISTED)
        yield Item(path, "sha256", expected, releases.RELEASE, findings.removed(path, repair if expected else None))


def _released_files(path: Path) -> dict[str, str]:
    """{file: SHA-256} that a release names; empty for one of an earlier form, and for one that was altered."""
    try:
        facts = json.loads(path.read_text())
        return dict(facts["files"]) if checksums.summed(facts) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _committed(folder: Path, committed: dict[Path, str], repair: str) -> Found:
    """By git where git has it, else by the manifest."""
    if not committed:
        yield from findings.described(folder, repair)
        return
    for path in committed.keys() | set(checksums.files(folder)):
        again = f"git checkout HEAD -- {shlex.quote(str(path))}"
        yield Item(path, hashing.GIT, committed.get(path), "git's last commit", findings.removed(path, again))


def in_git(place: Path) -> dict[Path, str]:
    """{file: git's name of its content} in the last commit, below this place; empty where there is no git."""
    listed = git.output("ls-tree", "-r", "-z", "HEAD", "--", str(place)) or b""
    rows = (row.partition("\t") for row in listed.decode().split("\0") if row)
    return {Path(name): facts.split()[2] for facts, _, name in rows}
