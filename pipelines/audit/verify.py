"""`make verify [family=digits]`: every byte with a recorded checksum against it; the faults, each with its repair.

Reads DVC's cache, data/, models/, reports/, MLflow's files, the model store, released/, the ledgers and the prediction store; names what
is not here, and what it does not cover. Exit 1 when anything is broken.
"""

import hashlib
import shlex
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

from pipelines import discovery, git, hashing, predictions
from pipelines.audit import consistency, expected, findings
from pipelines.audit.findings import UNLISTED, Item, Notice
from pipelines.hashing import Wanted
from pipelines.ledger.cross_checks import Fault

UNCOVERED = {  # place: who else knows of it
    "mlruns/mlflow.db": "`mv mlruns mlruns.old && make reconcile` makes it again, but for past experiments",
    ".store/*.db": "accounts, queued jobs and added engravings; recorded predictions are covered",
    "reports/*.json": "figures of benchmarks and tests, in git alone",
    "pipelines": "code, config files and the parameters in dvc.lock are git's: `git status`, `git fsck`",
}


class Verified(NamedTuple):
    """The faults, what is not here, how much was read, the files of which no checksum is recorded, and what other branches decided."""

    faults: list[Fault]
    notices: list[Notice]
    files: int
    bytes: int
    seconds: float
    unknown: list[Path]
    elsewhere: list[str]


def verify(family: str | None = None) -> Verified:
    """Read everything, or everything of one family. Raises UnknownFamily, or git.Unusable: what git has could not be compared."""
    git.check()
    names = [discovery.validate(family)] if family else discovery.names()
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(_contradictions, names)
        found = list(expected.everything(names, complete=family is None))
        items = [one for one in found if isinstance(one, Item)]
        altered = differing(items)
        unhashed = [one for one in found if isinstance(one, Fault)] + others.result()
    paths = {fault.path for fault in altered}  # what such a file contradicts follows from its damage
    faults = [fault for fault in unhashed if fault.path not in paths] + altered
    known = {item.path for item in items if item.expected is not None}
    size = sum(path.stat().st_size for path in known if path.is_file())
    unknown = sorted({item.path for item in items} - known)
    notices = list(dict.fromkeys(one for one in found if isinstance(one, Notice)))
    unique = {(fault.path, fault.repair): fault for fault in reversed(faults)}
    elsewhere = [sentence for name in names for sentence in consistency.elsewhere(name)]
    return Verified(sorted(unique.values()), notices, len(known), size, time.monotonic() - begun, unknown, elsewhere)


def _contradictions(names: list[str]) -> list[Fault]:
    return [*consistency.evidence(), *consistency.predictions(), *(fault for name in names for fault in consistency.faults(name))]


def differing(items: Iterable[Item]) -> list[Fault]:
    """The files whose hash is not the expected one; the repair is a good copy on this machine where there is one."""
    wanted = {item: Wanted(item.path, item.algorithm) for item in items if item.expected is not None}
    hashes = hashing.hashes(wanted.values())
    found = {item: hashes[file] for item, file in wanted.items()}
    copies = {(item.algorithm, digest): item.path for item, digest in found.items() if digest and digest == item.expected}
    wrong = {item.path: (item, digest) for item, digest in reversed(found.items()) if digest != item.expected}
    return [_fault(item, digest, copies) for item, digest in wrong.values()]


def _fault(item: Item, digest: str | None, copies: dict[tuple[str, str], Path]) -> Fault:
    path, expected = shlex.quote(str(item.path)), item.expected or UNLISTED
    copy, error = copies.get((item.algorithm, expected)), None if digest else _read_error(item.path)
    if item.expected == UNLISTED:
        words = f"should not be there: {item.source} does not name it"
    elif digest is None:
        words = f"cannot be read: {error}" if error else f"is missing: {item.source} names it"
    else:
        words = f"is altered: its {item.algorithm} is {digest[:12]}, {item.source} says {expected[:12]}"
    if error:
        return Fault(item.path, words, f"ls -l {path}  # make it readable (chmod u+r); where the disk fails, see dmesg")
    if copy:
        return Fault(item.path, words, f"install -Dm 644 {shlex.quote(str(copy))} {path}")
    return Fault(item.path, words, findings.remove(item.path, findings.checkout(item.path)) if _is_committed(item) else item.repair)


def _read_error(path: Path) -> str | None:
    """Why a file cannot be read; None where there is none."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return None
    except OSError as fault:
        return fault.strerror
    return "it is no file, or the disk fails"


def _is_committed(item: Item) -> bool:
    """Has git's last commit the expected content?"""
    content = git.committed(item.path) if item.expected and item.algorithm != hashing.GIT else b""
    return bool(content) and hashlib.new(item.algorithm, content).hexdigest() == item.expected


def forget(names: list[str]) -> int:
    """Forget these rows of the prediction store, or with `all` every altered one; how many there were."""
    store = predictions.Store()
    chosen = {name for name, _ in store.faults() if name} if names == ["all"] else names
    return sum(store.forget(name) for name in chosen)


def show(found: Verified) -> None:
    """Print the faults, each with its repair on a line of its own; what is not here or not covered; how much was read, the first fault."""
    for fault in found.faults:
        print(f"BROKEN {fault.path} {fault.words}\n    repair: {fault.repair}")
    for (words, remedy), names in _grouped(found.notices).items():
        print(f"{words[0].upper()}{words[1:]}: {', '.join(names)}\n    {remedy.replace('{}', shlex.join(names))}")
    if found.unknown:
        print(f"{len(found.unknown)} files have no recorded checksum, such as {found.unknown[0]}.")
    print(*found.elsewhere, sep="\n", end="\n" if found.elsewhere else "")
    for place, words in UNCOVERED.items():
        if any(Path().glob(place)):
            print(f"Not covered: {place} ({words}).")
    size = found.bytes / 1e6
    print(f"{found.files:,} files, {size:,.1f} MB, read in {found.seconds:.2f} s ({size / max(found.seconds, 1e-9):,.0f} MB/s): ", end="")
    print(f"{len(found.faults)} broken, the first is {found.faults[0].path}." if found.faults else "all intact.")


def _grouped(notices: list[Notice]) -> dict[tuple[str, str], list[str]]:
    """{(words, remedy): names}"""
    found: dict[tuple[str, str], list[str]] = {}
    for notice in notices:
        found.setdefault((notice.words, notice.remedy), []).append(notice.name)
    return found


def as_json(found: Verified) -> dict[str, Any]:
    """The same for programs."""
    faults = [{**fault._asdict(), "path": str(fault.path)} for fault in found.faults]
    notices = [notice._asdict() for notice in found.notices]
    return {**found._asdict(), "faults": faults, "notices": notices, "unknown": [str(path) for path in found.unknown]}


def main(family: str | None = None, forgotten: list[str] | None = None, json: bool = False) -> int:
    """Verify and print, or forget altered predictions; the exit code: 1 when anything is broken."""
    if forgotten:
        print(f"{forget(forgotten)} rows forgotten.")
        return 0
    found = verify(family)
    if json:
        print(dumps(as_json(found), indent=2, ensure_ascii=False))
    else:
        show(found)
    return int(bool(found.faults))
