"""Ledgers, pointers, releases, signatures and predictions against each other: the faults, each with its repair."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

from pipelines import databases, folders, git, paths
from pipelines import predictions as recorded
from pipelines.audit import findings
from pipelines.fingerprints import accepted
from pipelines.ledger import ancestry, cross_checks, merge
from pipelines.ledger import lines as ledger
from pipelines.ledger.cross_checks import Fault
from pipelines.models import checksums, manifests, signing
from pipelines.registry import store
from pipelines.registry.releases import RELEASE

MOST_NAMED = 5  # rows of the prediction store that a repair names one by one
ALTERED = "is altered: it is not what was written"


def faults(family: str) -> list[Fault]:
    """Everything that contradicts the ledger of a family, or itself. Raises BadKey."""
    try:
        lines = ledger.read(family)
    except ledger.AlteredLedger:
        lines = None
    known = [] if lines is None else pointers(family, lines)
    return [*decisions(family), *known, *release(family, lines or []), *signatures(family), *trusted(family)]


def decisions(family: str) -> Iterator[Fault]:
    """Faults of the ledger's hash chain and bytes, and contradictions in the files that name its lines."""
    file = ledger.path(family)
    content = file.read_bytes() if file.exists() else b""
    if branches(content) > 1:
        yield Fault(file, "has the decisions of two branches, which are not merged", f"make merge family={family}")
    elif intact(content) < len(content):
        yield Fault(file, "is altered: a line is not what was written, or incomplete", _repair(file, content))
    else:
        found = cross_checks.contradictions(family)
        yield from found or lost(family)


def branches(content: bytes) -> int:
    """How many ledgers a file has in it, as git's conflict or a union merge leaves it; 1 where it is altered."""
    try:
        return len(merge.chains(content))
    except ledger.AlteredLedger:
        return 1


def lost(family: str) -> Iterator[Fault]:
    """Decisions of this branch's commits, and of those that it merged, that the ledger has not."""
    lines = ledger.read(family)
    for missing in [merge.missing(other, lines) for other in ancestry.lost(family, lines)][:1]:
        some = f"lacks {len(missing)} decisions that this branch, or one that it merged, has in git: {cross_checks.summary(missing[0])}"
        yield Fault(ledger.path(family), some, f"make merge family={family}")


def elsewhere(family: str) -> list[str]:
    """What other branches have decided that this one, which has not merged them, does not know: no fault."""
    try:
        found = ancestry.elsewhere(family, ledger.read(family))
    except ledger.AlteredLedger:
        return []
    return [f"{family}: branch {name} has {count} more decisions. `git merge {name}` brings them in." for name, count in found.items()]


def intact(content: bytes) -> int:
    """How many bytes of a ledger are lines just as they were written, each linked to the one before."""
    previous, size = None, 0
    for number, text in enumerate(content.splitlines(keepends=True), 1):
        line = ledger.parse(text)
        if not ledger.follows(line, previous, number) or (folders.canonical(line) + "\n").encode() != text:
            break
        previous, size = line["hash"], size + len(text)
    return size


def _repair(file: Path, content: bytes) -> str:
    """Add a newline that an editor dropped; else splice git's last commit and this file's later lines; else cut to the intact lines."""
    name = shlex.quote(str(file))
    if intact(content + b"\n") == len(content) + 1:
        return f"echo >> {name}"
    committed = git.committed(file)
    spliced = committed + content[len(committed) :]
    if committed and intact(spliced) == len(spliced):
        return f"{{ git show HEAD:./{name}; tail -c +{len(committed) + 1} {name}; }} > {name}.mended && mv {name}.mended {name}"
    last = findings.checkout(file) if len(committed) > intact(content) else f"truncate -s {intact(content)} {name}"
    return f"cp {name} {name}.broken && {last}"


def pointers(family: str, lines: list[ledger.Line]) -> Iterator[Fault]:
    """The pointers that services follow, against those that follow from the ledger."""
    for role in (store.CHAMPIONS, store.CHALLENGERS):
        path = store.pointer_path(family, role)
        if path.exists() and (words := _pointer_fault(path.read_bytes(), lines)):
            yield Fault(path, words, findings.remove(path, findings.reconcile(family)))


def _pointer_fault(content: bytes, lines: list[ledger.Line]) -> str | None:
    pointer, known = ledger.parse(content), _lines_as_written(lines)
    if not _as_written(content) or not checksums.summed(pointer):
        return ALTERED
    hashes: dict[str, str | None] = {key: pointer[key].get("hash") for key in ("promotion", "decision", "challenge") if key in pointer}
    if any(name not in {None, *known} for name in hashes.values()):
        return None  # a fault of the ledger, which lost a line; this file may hold the only copy of it
    named = {key: known.get(name) for key, name in hashes.items()}
    line = named.get("promotion") or named.get("challenge")
    if line is None:
        return "is altered: it names no line of the ledger"
    model = store.identity(line, line["version"] if "promotion" in named else None, pointer.get("model", {}).get("run_id"))
    right: ledger.Line = {**pointer, **named, "tag": store.tag_of(line["family"], model["version"], line["digest"]), "model": model}
    return None if pointer == right else "is altered: it names another model than its line of the ledger"


def _lines_as_written(lines: list[ledger.Line]) -> dict[str | None, ledger.Line]:
    """{hash: line}, a merged one also as it was before: what named it then has not changed."""
    return {each["hash"]: each for line in lines for each in merge.as_written(line)}


def _as_written(content: bytes) -> bool:
    """Is this JSON just as folders.write_json writes it?"""
    return (json.dumps(ledger.parse(content), indent=2, ensure_ascii=False) + "\n").encode() == content


def release(family: str, lines: list[ledger.Line]) -> Iterator[Fault]:
    """release.json is unaltered, and names a line of the ledger and the model in its folder."""
    path = paths.RELEASED / family / RELEASE
    if path.exists() and (words := _release_fault(path.parent, path.read_bytes(), lines)):
        good = not _release_fault(path.parent, git.committed(path), lines)
        yield Fault(path, words, findings.remove(path, findings.checkout(path) if good else f"make release family={family}"))


def _release_fault(folder: Path, content: bytes, lines: list[ledger.Line]) -> str | None:
    facts = ledger.parse(content)
    if not facts or not _as_written(content) or not checksums.summed(facts):
        return ALTERED
    line = _lines_as_written(lines).get(facts.get("hash"))
    if line is None:  # one that the ledger lost is a fault of the ledger
        return None if facts.get("hash") else "names no line of the ledger"
    wrong = [key for key, value in facts.items() if key not in {"files", checksums.SUM} and line.get(key) != value]
    if wrong:
        return f"is altered: its {', '.join(wrong)} is not what line {line['seq']} of the ledger says"
    found = _digest(folder) if _as_released(folder / manifests.MANIFEST, facts.get("files", {})) else None
    return f"is beside another model: {found[:12]}, not {line['digest'][:12]}" if found and found != line["digest"] else None


def _as_released(manifest: Path, named: dict[str, str]) -> bool:
    """Is this the manifest that the release names?"""
    return manifest.exists() and folders.sha256(manifest) == named.get(manifest.name)


def _digest(folder: Path) -> str | None:
    """The digest that follows from a manifest; None where it cannot be read, which is a fault of its own."""
    try:
        return manifests.digest(manifests.read(folder))
    except (manifests.BrokenModel, KeyError, TypeError):
        return None


def evidence() -> Iterator[Fault]:
    """registry/accepted.jsonl can be read, and begins as git's last commit has it: lines are only added."""
    path = accepted.LOG
    if path.exists() and not (path.read_bytes().startswith(git.committed(path)) and _legible(path)):
        yield Fault(path, "is altered: it can no longer be read, or does not begin as git has it", findings.checkout(path))


def _legible(path: Path) -> bool:
    try:
        return bool(accepted.read()) or not path.read_bytes()
    except (accepted.BrokenLog, UnicodeDecodeError):
        return False


def predictions() -> Iterator[Fault]:
    """Rows of the prediction store that are not what was recorded. They have no other copy: the repair forgets them."""
    predictions = recorded.Store()
    file = Path(predictions.place.removeprefix("sqlite:///"))
    rows: dict[str, str] = {}
    try:
        for name, words in predictions.faults():
            if name:
                rows[name] = words
            else:
                yield Fault(file, words, _set_aside(file))
    except databases.NoDatabase as fault:
        yield Fault(file, str(fault), _set_aside(file) if fault.reason == "broken" else "make verify  # again, once that is repaired")
    if rows:
        some = shlex.join(rows) if len(rows) < MOST_NAMED else "all"
        words = f"{next(iter(rows.values()))} (rows of {len(rows):,} ids in all)"
        yield Fault(file, words, f"make verify forget={some}")


def _set_aside(file: Path) -> str:
    """Move a broken SQLite file away, with its -wal and -shm."""
    if not file.is_file():
        return "restore the database from a backup"
    names = " ".join(shlex.quote(f"{file}{ending}") for ending in ("", "-wal", "-shm"))
    return f'for file in {names}; do [ ! -e "$file" ] || mv --backup=numbered "$file" "$file.broken"; done'


def signatures(family: str) -> Iterator[Fault]:
    """The signatures in git, against the last commit and the copies beside the same model in the store and the release."""
    for path in sorted((signing.ROOT / family).glob("*.sig")):
        copies = [folder / signing.SIGNATURE for folder in _served_folders(family) if (folder / signing.SIGNATURE).is_file()]
        good = {copy.read_bytes(): f"cp -f {copy} {shlex.quote(str(path))}" for copy in copies if _digest(copy.parent) == path.stem}
        if committed := git.committed(path):
            good[committed] = findings.remove(path, findings.checkout(path))
        if good and path.read_bytes() not in good:
            yield Fault(path, "is altered: neither git nor the copy beside its model is the same", next(iter(good.values())))


def _served_folders(family: str) -> list[Path]:
    """The folders that a service could serve."""
    return [*store.models(family), *([paths.RELEASED / family] if (paths.RELEASED / family).is_dir() else [])]


def trusted(family: str) -> Iterator[Fault]:
    """Where this machine asks for signatures: every model that it could serve has a valid one. Raises BadKey."""
    for folder in _served_folders(family):
        try:
            signing.check(folder)
        except (signing.Unsigned, signing.BadSignature) as error:
            release = f" && make release family={family}" if folder == paths.RELEASED / family else ""
            yield Fault(folder / signing.SIGNATURE, str(error), f"make sign family={family}{release}")
        except manifests.BrokenModel:  # a fault of its own
            continue
