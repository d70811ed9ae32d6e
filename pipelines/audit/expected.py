"""The expected hash of every file, as DVC, manifests, SHA256SUMS, releases and git record it; and the faults found without hashing."""

import json
import re
import shlex
from pathlib import Path

from pipelines import git, hashing, paths
from pipelines.artifacts import cache
from pipelines.artifacts.lock import Out
from pipelines.audit import dvc_files, findings
from pipelines.audit.findings import UNLISTED, Found, Item
from pipelines.datasets import cards
from pipelines.ledger.cross_checks import Fault
from pipelines.ledger.lines import Line
from pipelines.models import checksums, manifests, selfcheck
from pipelines.models.signing import SIGNATURE
from pipelines.registry import modelcards, releases, store

FOLDER = re.compile(r"[0-9a-f]{32}\.dir")
STORED = re.compile(r"(?:c|v(\d+))-[0-9a-f]{12}")  # a model's folder in the store; a challenger has no version
ADDED = {"model.yaml", selfcheck.EXAMPLE, modelcards.README, cards.CROISSANT, SIGNATURE}  # what the store adds to a model


def everything(names: list[str], complete: bool) -> Found:
    """What is expected of every file of these families; `complete` adds what in DVC's cache belongs to no family."""
    locked = list(dvc_files.locked_outs(names))
    outs = [found for found in locked if isinstance(found, Out)]
    yield from (found for found in locked if isinstance(found, Fault))
    yield from dvc_files.cached(names, outs, complete)
    for out in outs:
        yield from dvc_files.output(out)
    for name in names:
        for folder in findings.family_folders(name):
            if folder.exists() and folder not in {out.path for out in outs}:
                yield from findings.described(folder, f"make train family={name}")
        yield from stored(name)
        yield from released(name)
    yield from restored([line for name in names for line in findings.promotions(name)], complete)


def stored(family: str) -> Found:
    """The models in the store, by the SHA256SUMS beside each; and BentoML's note of the latest, which nothing reads."""
    latest = Path(paths.ROOT, "models", family, "latest")
    names = {folder.name for folder in store.models(family)}
    if names and latest.is_file() and latest.read_bytes().decode(errors="replace") not in names:
        yield Fault(latest, "names no model that is in the store", findings.remove(latest, ""))
    lines = {store.tag_of(family, line["version"], line["digest"]): line for line in findings.promotions(family)}
    for folder in store.models(family):
        for found in _stored(folder, lines.get(f"{family}:{folder.name}", {}).get("dvc")):
            unlisted = isinstance(found, Item) and found.expected == UNLISTED
            yield found if unlisted else found._replace(repair=_store_again(family, folder, found.path))


def _stored(folder: Path, dvc: str | None) -> Found:
    """A model in the store; its manifest, which the digest covers in part, also by DVC's list of the training."""
    if md5 := cache.intact_listing(dvc).get(manifests.MANIFEST) if dvc else None:
        yield Item(folder / manifests.MANIFEST, "md5", md5, "DVC's list", "")
    try:
        listed = checksums.read(folder)
    except checksums.BrokenSums as error:
        listed = {}
        yield Fault(folder / checksums.SUMS, str(error), "")
    if listed:
        added = {path.relative_to(folder).as_posix(): None for path in checksums.files(folder) if path.name in ADDED}
        yield from findings.items(folder, {**added, **listed}, "sha256", checksums.SUMS, "", without=checksums.SUMS)
    else:
        yield from findings.described(folder, "")


def _store_again(family: str, folder: Path, path: Path) -> str:
    """Move the folder aside, as it may be the only copy of the model; where what it serves is intact, store it again from there."""
    moved, kind = store.ASIDE / f"{family}-{folder.name}", STORED.fullmatch(folder.name)
    words = f"mkdir -p {store.ASIDE} && mv -T --backup=numbered {shlex.quote(str(folder))} {shlex.quote(str(moved))}"
    if kind and path.name in {*ADDED, checksums.SUMS}:
        code = f"from pathlib import Path; from pipelines.registry import store; store.put(Path('{moved}'), {kind[1]})"
        words = f'rm -f {shlex.quote(str(path))} && {words} && python -c "{code}"'
    return f"{words} && {findings.reconcile(family)}"


def restored(lines: list[Line], complete: bool) -> Found:
    """Copies out of DVC's cache, which may always be removed."""
    wanted = {md5 for line in lines for md5 in (line.get("dvc"), line.get("data_dvc"))}
    for folder in sorted(paths.ROOT.joinpath("restored").glob("*")):
        if FOLDER.fullmatch(folder.name) and (complete or folder.name in wanted):
            listed = cache.intact_listing(folder.name)
            for item in findings.items(folder, listed, "md5", "DVC's list", "", unlisted=UNLISTED if listed else None):
                yield item._replace(repair=f"rm -rf {folder}")


def released(family: str) -> Found:
    """released/<family>/ by the files that release.json names; one of an earlier format by git's last commit."""
    folder, repair = paths.RELEASED / family, f"make release family={family}"
    if not folder.is_dir() or not checksums.files(folder):
        return
    release = folder / releases.RELEASE
    if not release.exists() and not git.committed(release):
        yield Fault(release, "is missing: nothing says what was released", repair)
    if listed := _released_files(release):
        yield from findings.items(folder, listed, "sha256", releases.RELEASE, repair, without=releases.RELEASE)
    elif committed := _in_git(folder):
        for item in findings.items(folder, committed, hashing.GIT, "git's last commit", "", unlisted=None):
            yield item._replace(repair=findings.remove(item.path, findings.checkout(item.path)))
    else:
        yield from findings.described(folder, repair)


def _released_files(release: Path) -> dict[str, str]:
    """{file: SHA-256} that a release names; {} for one of an earlier format, and for an altered one."""
    try:
        facts = json.loads(release.read_text())
        return dict(facts["files"]) if checksums.summed(facts) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _in_git(folder: Path) -> dict[str, str]:
    """{file: git's hash of its content} in the last commit, below a folder; {} without git."""
    listed = git.output("ls-tree", "-r", "-z", "HEAD", "--", str(folder)) or b""
    rows = (row.partition("\t") for row in listed.decode().split("\0") if row)
    return {Path(name).relative_to(folder).as_posix(): facts.split()[2] for facts, _, name in rows}
