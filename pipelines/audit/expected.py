"""The expected hash of every file, as DVC, manifests, SHA256SUMS, releases and git record it; and the faults found without hashing."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipelines import discovery, git, hashing, paths
from pipelines.artifacts import cache
from pipelines.artifacts.lock import Out
from pipelines.audit import dvc_files, findings, reports
from pipelines.audit.findings import ABSENT, ANOTHER, NO_COPY, SERVED, UNLISTED, Checked, Found, Item, Notice
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.cross_checks import Fault
from pipelines.ledger.lines import Line
from pipelines.models import checksums, manifests, selfcheck
from pipelines.models.signing import SIGNATURE
from pipelines.registry import modelcards, releases, store
from pipelines.registry import reports as registry_reports
from pipelines.tracking import artifacts as mlflow_artifacts
from pipelines.tracking import client, locations, reader, tags
from pipelines.training import records

FOLDER = re.compile(r"[0-9a-f]{32}\.dir")
STORED = re.compile(r"(?:c|v(\d+))-[0-9a-f]{12}")  # a model's folder in the store; a challenger has no version
ADDED = {"model.yaml", selfcheck.EXAMPLE, modelcards.README, cards.CROISSANT, SIGNATURE}  # what the store adds to a model


def everything(names: list[str], complete: bool) -> Found:
    """What is expected of every file of these families; `complete` adds what in DVC's cache belongs to no family."""
    locked = list(dvc_files.locked_outs(names))
    outs = [found for found in locked if isinstance(found, Out)]
    yield from (found for found in locked if isinstance(found, Fault))
    yield from dvc_files.cached(names, outs, complete)
    others = list(dvc_files.others(outs))
    yield from dvc_files.absent(outs)
    for out in outs:
        yield from another(out) if out in others else dvc_files.output(out)
    for name in names:
        yield from reports.files(name, {out.path for out in others})
        yield from versions_here(name)
        yield from served_here(name)
        yield from artifacts(name)
        for folder in findings.family_folders(name):
            if folder.exists() and folder not in {out.path for out in outs}:
                yield from findings.described(folder, f"make train family={name}")
        yield from stored(name)
        yield from released(name)
    for old in locations.elsewhere(client.ROOT):
        yield Notice("mlruns/mlflow.db", f"names files in {old}, so that MLflow shows none", "make reconcile")
    yield from restored([line for name in names for line in findings.promotions(name)], complete)


def another(out: Out) -> Found:
    """A folder of another commit or experiment, by its own manifest or card."""
    yield Notice(str(out.path), ANOTHER, "dvc checkout {}")
    if any((out.path / name).exists() for name in (manifests.MANIFEST, cards.CARD)):
        repair = f"dvc checkout --force {shlex.quote(str(out.path))}"
        yield from (found for found in findings.described(out.path, repair) if isinstance(found, Fault) or found.expected)


def versions_here(family: str) -> Iterator[Notice]:
    """The versions whose complete model or data is not on this machine."""
    for number, line in ((line["version"], line) for line in findings.promotions(family)):
        if not _here(line["dvc"], Path("models", line["candidate"])):
            served = store.folder_of(store.tag_of(family, number, line["digest"])).is_dir()
            yield Notice(f"{family} version {number} ({line['candidate']})", SERVED if served else ABSENT, dvc_files.fetch())
        if not _here(line["data_dvc"], Path("data", family)):
            yield Notice(f"data of {family} version {number}", ABSENT, dvc_files.fetch())


def served_here(family: str) -> Iterator[Notice]:
    """The models that the pointers name and the store lacks."""
    for role in (store.CHAMPIONS, store.CHALLENGERS):
        with suppress(store.NoChampion):  # none, or a broken pointer, which is a fault of its own
            pointer = store.read_pointer(family, role)
            if "absent" not in pointer and not store.folder_of(pointer["tag"]).is_dir():
                yield Notice(str(Path(paths.ROOT, "models", *pointer["tag"].split(":"))), ABSENT, findings.reconcile(family))


def _here(md5: str | None, folder: Path) -> bool:
    """Is this in DVC's cache, or in the folder that dvc.lock names so?"""
    out = dvc_files.locked().get(folder)
    return bool(md5 and dvc_files.in_cache(md5)) or (folder.exists() and (out and out.md5) == md5)


def artifacts(family: str) -> Checked:
    """What MLflow shows beside its runs, by the SHA256SUMS that reconcile writes there."""
    for folder in mlflow_artifacts.folders_of(family):
        try:
            listed = checksums.read(folder)
        except checksums.BrokenSums as error:
            yield Fault(folder / checksums.SUMS, str(error), _logged_again(family, folder))
        else:
            unlisted = UNLISTED if listed else None
            for item in findings.items(folder, listed, "sha256", checksums.SUMS, "", unlisted, without=checksums.SUMS):
                yield item if item.expected == UNLISTED else item._replace(repair=_logged_again(family, folder))


def _logged_again(family: str, folder: Path) -> str:
    """Reconciling logs again what models/ or a ledger has."""
    remove = f"rm -rf {shlex.quote(str(folder))}"
    with suppress(reader.Unreadable):
        run = reader.run(folder.parent.name)
        if run and run.tags.get(tags.KEY) not in _keys(family):
            return f"{NO_COPY}, of a training that neither models/ nor the ledger has: `{remove}` takes its files out of MLflow"
    return f"{remove} && {findings.reconcile(family)}"


def _keys(family: str) -> set[str]:
    """The keys of the trainings in models/ and in the ledger, and of those that have a report."""
    files = [Path("models", candidate, records.RECORD) for candidate in discovery.candidates(family)]
    here = {str(ledger.parse(path.read_bytes()).get("key")) for path in files if path.is_file()}
    found = [registry_reports.path_of(family, candidate) for candidate in discovery.candidates(family)]
    reported = {str(ledger.parse(path.read_bytes()).get("digest")) for path in found if path.is_file()}
    return here | reported | {line["run"] for line in findings.promotions(family)}


def stored(family: str) -> Checked:
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


def _stored(folder: Path, dvc: str | None) -> Checked:
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


def restored(lines: list[Line], complete: bool) -> Checked:
    """Copies out of DVC's cache, which may always be removed."""
    wanted = {md5 for line in lines for md5 in (line.get("dvc"), line.get("data_dvc"))}
    for folder in sorted(paths.ROOT.joinpath("restored").glob("*")):
        if FOLDER.fullmatch(folder.name) and (complete or folder.name in wanted):
            listed = cache.intact_listing(folder.name)
            for item in findings.items(folder, listed, "md5", "DVC's list", "", unlisted=UNLISTED if listed else None):
                yield item._replace(repair=f"rm -rf {folder}")


def released(family: str) -> Checked:
    """released/<family>/ by the files that release.json names, or git's last commit where that file is altered."""
    folder, repair = paths.RELEASED / family, f"make release family={family}"
    if not folder.is_dir() or not checksums.files(folder):
        return
    release = folder / releases.RELEASE
    if not release.exists() and not git.committed(release):
        yield Fault(release, "is missing: nothing says what was released", repair)
    if listed := _released_files(release):
        yield from findings.items(folder, listed, "sha256", releases.RELEASE, repair, without=releases.RELEASE)
    elif committed := findings.in_git(folder):
        for item in findings.items(folder, committed, hashing.GIT, "git's last commit", "", unlisted=None):
            yield item._replace(repair=findings.remove(item.path, findings.checkout(item.path)))
    else:
        yield from findings.described(folder, repair)


def _released_files(release: Path) -> dict[str, str]:
    """{file: SHA-256} that a release names; {} where its file is altered."""
    try:
        facts = json.loads(release.read_text())
        return dict(facts["files"]) if checksums.summed(facts) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
