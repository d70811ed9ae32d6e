"""The expected hash of every file in reports/: by dvc.lock, the ledger, the code, or git's last commit."""

import hashlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines import folders, git, hashing
from pipelines.artifacts import cache, lock
from pipelines.artifacts.lock import LOCK, Out
from pipelines.audit import dvc_files, findings
from pipelines.audit.findings import ANOTHER, Found, Item, Notice
from pipelines.fingerprints import fingerprint
from pipelines.fingerprints.fingerprint import STAGES, Code
from pipelines.ledger import lines as ledger
from pipelines.models import checksums
from pipelines.registry import reports

RESTORE = "git checkout HEAD -- {}"


def files(family: str, others: set[Path]) -> Found:
    """The files below reports/<family>/ but in folders that dvc.lock names; `others` are folders of another commit than dvc.lock."""
    folder = Path("reports", family)
    locked = {path: out for path, out in dvc_files.locked().items() if path.is_relative_to(folder)}
    sheets = {path for path, out in locked.items() if out.md5.endswith(cache.LIST)}
    named = {path: out for path, out in locked.items() if path not in sheets}
    codes = {fingerprint.report(family, stage): stage for stage in STAGES}
    for path, out in named.items():
        if path not in codes:
            yield from _recorded(family, path, out, others)
    yield from _codes(family, {path: stage for path, stage in codes.items() if path.exists()})
    champion = folder / "champion.json"
    yield from _champion(family, champion)
    rest = {path for path in checksums.files(folder) if not sheets.intersection(path.parents)} - {*named, *codes, champion}
    yield from _committed(family, rest, others)


def _recorded(family: str, path: Path, out: Out, others: set[Path]) -> Found:
    """A report by dvc.lock, or one of the training or data that is here in place of the one that dvc.lock names."""
    if path.exists() and _belongs(family, path, others) and not cache.intact(path, out.md5):
        yield Notice(str(path), ANOTHER, RESTORE)
    else:
        yield Item(path, "md5", out.md5, LOCK.name, f"dvc repro {shlex.quote(out.stage)}")


def _belongs(family: str, path: Path, others: set[Path]) -> bool:
    """Does this report say that it is of the training or the data that is here instead of the one in dvc.lock?"""
    if path.name == "promotion.json":  # what `dvc exp run` decided is decided again
        return bool(others) and "inputs" not in ledger.parse(path.read_bytes())
    if path.name == "ingest.json":
        return Path("data", family) in others and ledger.parse(path.read_bytes()).get("data") == _card(family)
    candidate = path.stem if path.parent.name in {"candidates", "metrics"} else path.parent.name
    return Path("models", candidate) in others and _is_of(reports.path_of(family, candidate), Path("models", candidate))


def _card(family: str) -> Any:
    return ledger.parse(Path("data", family, "card.json").read_bytes()).get("hash")


def _is_of(report: Path, model: Path) -> bool:
    """Is this the report of the model in this folder?"""
    if not report.exists():
        return False
    return bool(ledger.parse(report.read_bytes()).get("digest") == ledger.parse((model / "model.json").read_bytes()).get("digest"))


def _codes(family: str, codes: dict[Path, str]) -> Iterator[Item]:
    """The fingerprints: one that dvc.lock names, of any stage, or git's, or that of the present code."""
    known = {md5 for deps in _dependencies() for path, md5 in deps.items() if Path(path) in codes}
    known |= {out.md5 for path, out in dvc_files.locked().items() if path in codes}
    for path, stage in codes.items():
        found = _md5(path.read_bytes())
        good = found in known or found == _md5(git.committed(path))
        repair = f"python -m pipelines.stages.code family={family}"
        yield Item(path, "md5", found if good else _md5(Code(family).fingerprint(stage).encode()), "the code", repair)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _dependencies() -> list[dict[str, str]]:
    try:
        return list(lock.dependencies().values())
    except lock.BrokenLock:
        return []


def _champion(family: str, path: Path) -> Iterator[Item]:
    """champion.json, as reconcile writes it."""
    try:
        line = ledger.champion(ledger.read(family))
    except ledger.AlteredLedger:
        return
    if line and path.exists():
        content = folders.as_json(reports.of_champion(line)).encode()
        yield Item(path, "sha256", hashlib.sha256(content).hexdigest(), "the ledger", findings.reconcile(family))


def _committed(family: str, paths: set[Path], others: set[Path]) -> Found:
    """What evaluate writes and dvc.lock does not name: as git has it, where dvc.lock is git's too; else nothing is known of it."""
    folder = Path("reports", family)
    known = findings.in_git(folder) if paths and lock.content() == git.committed(LOCK) else {}
    for path in sorted(paths):
        expected = known.get(path.relative_to(folder).as_posix())
        if expected and _belongs(family, path, others):
            yield Notice(str(path), ANOTHER, RESTORE)
        else:
            yield Item(path, hashing.GIT, expected, "git's last commit", findings.remove(path, findings.checkout(path)))
