"""Ledgers, pointers, releases and signatures, held against each other: what is wrong with them, and the command that puts it right."""

import hashlib
import json
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pipelines import databases, folders, git, paths
from pipelines import predictions as recorded
from pipelines.audit.expected import reconciling
from pipelines.audit.findings import Fault
from pipelines.ledger import cross_checks
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests, signing
from pipelines.models.checksums import summed
from pipelines.registry import store as model_store
from pipelines.registry.releases import RELEASE

SOME = 5  # as many rows of the prediction store are named one by one


def faults(family: str) -> list[Fault]:
    """Everything that contradicts the ledger of a family, or itself."""
    return [*chain(decisions(family), pointers(family), release(family), signatures(family), trusted(family))]


def decisions(family: str) -> Iterator[Fault]:
    """The ledger: its chain, its bytes, and what git, the pointers and the release have seen of it."""
    file = ledger.path(family)
    content = file.read_bytes() if file.exists() else b""
    if intact(content) < len(content):
        yield Fault(file, "is altered: a line of it is not what was written, or is not whole", _mending(file, content))
        return
    for found in cross_checks.contradictions(family):
        yield Fault(found.path, found.words, found.repair)


def intact(content: bytes) -> int:
    """How many bytes of a ledger are lines just as they were written, each linked to the one before."""
    previous, size = None, 0
    for number, text in enumerate(content.splitlines(keepends=True), 1):
        line = ledger.parse(text)
        own = folders.hash_of({key: value for key, value in line.items() if key != "hash"})
        linked = (line.get("hash"), line.get("previous"), line.get("seq")) == (own, previous, number)
        if not linked or (folders.canonical(line) + "\n").encode() != text:
            return size
        previous, size = own, size + len(text)
    return size


def _mending(file: Path, content: bytes) -> str:
    """A newline that an editor dropped; what git's last commit has, and then what this file has after it; else as much as is whole."""
    name = shlex.quote(str(file))
    if intact(content + b"\n") == len(content) + 1:
        return f"echo >> {name}"
    shown = git.committed(file)
    spliced = shown + content[len(shown) :]
    if shown and intact(spliced) == len(spliced):
        return f"{{ git show HEAD:./{name}; tail -c +{len(shown) + 1} {name}; }} > {name}.mended && mv {name}.mended {name}"
    last = f"git checkout HEAD -- {name}" if len(shown) > intact(content) else f"truncate -s {intact(content)} {name}"
    return f"cp {name} {name}.broken && {last}"


def pointers(family: str) -> Iterator[Fault]:
    """What services follow: written from lines that the ledger holds."""
    lines = _lines(family)
    for role in (model_store.CHAMPIONS, model_store.CHALLENGERS):
        path = model_store.pointer_path(family, role)
        words = _astray(path, lines) if path.exists() and lines is not None else None
        if words:
            yield Fault(path, words, f"rm -f {path} && {reconciling(family)}")


def _lines(family: str) -> list[ledger.Line] | None:
    """None where the chain does not hold, which is told by itself."""
    try:
        return ledger.read(family)
    except ledger.AlteredLedger:
        return None


def _astray(path: Path, lines: list[ledger.Line]) -> str | None:
    content = path.read_bytes()
    pointer = ledger.parse(content)
    if not _as_written(content) or not summed(pointer):
        return "is altered: it is not what was written"
    named = [pointer[key] for key in ("promotion", "decision", "challenge") if key in pointer]
    if any(line.get("hash") not in {None, *(line["hash"] for line in lines)} for line in named):
        return None  # cross_checks.contradictions tells it, and how the line comes back: this file may hold the only whole copy of it
    if not named or any(line not in lines for line in named):
        return "is altered: a line that it names is another one in the ledger"
    model, version = pointer.get("model", {}), named[0]["version"] if "promotion" in pointer else None
    wanted = {key: named[0].get(key) for key in ("family", "digest", "data", "commit")} | {"version": version}
    if any(model.get(key) != value for key, value in wanted.items()) or pointer.get("tag") != model_store.tag_of(
        wanted["family"], version, wanted["digest"]
    ):
        return "is altered: it names another model than its line of the ledger"
    return None


def _as_written(content: bytes) -> bool:
    """Is this JSON just as folders.write_json writes it?"""
    return (json.dumps(ledger.parse(content), indent=2, ensure_ascii=False) + "\n").encode() == content


def release(family: str) -> Iterator[Fault]:
    """release.json: as it was written, of a line that the ledger holds, beside the very model of that line."""
    folder = paths.RELEASED / family
    path = folder / RELEASE
    if not path.exists():
        return
    lines = _lines(family) or []
    if words := _mistaken(folder, path.read_bytes(), lines):
        again = f"make release family={family}" if _mistaken(folder, git.committed(path), lines) else f"git checkout HEAD -- {path}"
        yield Fault(path, words, f"rm -f {path} && {again}")


def _mistaken(folder: Path, content: bytes, lines: list[ledger.Line]) -> str | None:
    """What is wrong with a release.json; None where it is as it should be."""
    facts = ledger.parse(content)
    if not facts or not _as_written(content) or not summed(facts):
        return "is altered: it is not what was written"
    line = next((line for line in lines if line["hash"] == facts.get("hash")), None)
    if line is None:  # where it names one cross_checks.contradictions tells it, and how that comes back
        return None if facts.get("hash") else "names no line of the ledger"
    wrong = [key for key, value in facts.items() if key not in {"files", checksums.SUM} and line.get(key) != value]
    if wrong:
        return f"is altered: its {', '.join(wrong)} is not what line {line['seq']} of the ledger says"
    found = _digest(folder) if _as_released(folder / manifests.MANIFEST, facts.get("files", {})) else None
    return f"stands beside another model: {found[:12]}, not {line['digest'][:12]}" if found and found != line["digest"] else None


def _as_released(manifest: Path, named: dict[str, str]) -> bool:
    """Is this manifest what the release names, or where an earlier one names no files, what git has? What is not is told by itself."""
    content = manifest.read_bytes() if manifest.exists() else b""
    return hashlib.sha256(content).hexdigest() == named.get(manifest.name) if named else content == (git.committed(manifest) or content)


def _digest(folder: Path) -> str | None:
    """What the manifest's files add up to; None where it cannot be read, which is told by itself."""
    try:
        return manifests.digest(manifests.read(folder))
    except (manifests.BrokenModel, KeyError, TypeError):
        return None


def predictions() -> Iterator[Fault]:
    """Rows of the prediction store that are not what was recorded. There is no other copy of them: the repair forgets them."""
    store = recorded.Store()
    place = Path(store.place.removeprefix("sqlite:///"))
    found: list[tuple[str, str]] = []
    try:
        for each in store.faults():  # those that come before it breaks off count
            found.append(each)
    except databases.NoDatabase as fault:
        yield Fault(place, str(fault), _away(place) if fault.reason == "broken" else "make verify  # again, once that is put right")
    named = {name: words for name, words in found if name}
    if named:
        some = shlex.join(named) if len(named) < SOME else "all"
        yield Fault(
            place, f"{next(iter(named.values()))} (rows of {len(named):,} ids in all)", f"python -m pipelines.audit.verify --forget {some}"
        )
    for words in (words for name, words in found if not name):
        yield Fault(place, words, _away(place))


def _away(place: Path) -> str:
    """Take a broken file away, with what SQLite keeps beside it."""
    if not place.is_file():
        return "restore the database from a backup"
    files = " ".join(shlex.quote(f"{place}{rest}") for rest in ("", "-wal", "-shm"))
    return f'for file in {files}; do [ ! -e "$file" ] || mv --backup=numbered "$file" "$file.broken"; done'


def signatures(family: str) -> Iterator[Fault]:
    """The signatures in git: as the last commit has them, or as the store and the release have them of the same model."""
    copies = _signature_copies(family)
    for path in sorted((signing.ROOT / family).glob("*.sig")):
        name = shlex.quote(str(path))
        known = {copy.read_bytes(): f"cp -f {copy} {name}" for copy in copies.get(path.stem, [])}
        if shown := git.committed(path):
            known[shown] = f"rm -f {name} && git checkout HEAD -- {name}"
        if known and path.read_bytes() not in known:
            yield Fault(path, "is altered: neither git nor the model beside which it lies has it so", next(iter(known.values())))


def _signature_copies(family: str) -> dict[str, list[Path]]:
    """{digest: the copies of its signature}."""
    found: dict[str, list[Path]] = {}
    for folder in _served_here(family):
        if (copy := folder / signing.SIGNATURE).is_file() and (digest := _digest(folder)):
            found.setdefault(digest, []).append(copy)
    return found


def _served_here(family: str) -> list[Path]:
    """The folders that a service could serve."""
    return [*model_store.models(family), *([paths.RELEASED / family] if (paths.RELEASED / family).is_dir() else [])]


def trusted(family: str) -> Iterator[Fault]:
    """Where this machine asks for signatures: every model that it could serve has one. Raises BadKey."""
    for folder in _served_here(family):
        try:
            signing.check(folder)
        except (signing.Unsigned, signing.BadSignature) as error:
            again = f" && make release family={family}" if folder == paths.RELEASED / family else ""
            yield Fault(folder / signing.SIGNATURE, str(error), f"make sign family={family}{again}")
        except manifests.BrokenModel:  # which is told by itself
            continue
