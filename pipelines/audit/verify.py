"""`make verify [family=digits]`: every byte that this project keeps, held against what vouches for it; what is broken, and its repair.

Read are DVC's cache, data/, models/, the model store, released/, the ledgers and the prediction store. Exit 1 when anything is broken.
"""

import argparse
import hashlib
import shlex
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pipelines import discovery, errors, git, hashing, predictions
from pipelines.audit import consistency, expected
from pipelines.audit.findings import UNLISTED, Fault, Item


class Verified(NamedTuple):
    """What was found: the faults, how much was read, and the files that nobody vouches for."""

    faults: list[Fault]
    files: int
    bytes: int
    seconds: float
    unknown: list[Path]


def verify(family: str | None = None) -> Verified:
    """Read everything, or everything of one family. Raises UnknownFamily."""
    names = [discovery.validate(family)] if family else discovery.names()
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as aside:
        others = aside.submit(lambda: [*consistency.predictions(), *(fault for name in names for fault in consistency.faults(name))])
        found = list(expected.everything(names, whole=family is None))
        items = [one for one in found if isinstance(one, Item)]
        altered = differing(items)
        seeming = [one for one in found if isinstance(one, Fault)] + others.result()
    told = {fault.path for fault in altered}  # once: what an altered file seems to say besides follows from its damage
    faults = [fault for fault in seeming if fault.path not in told] + altered
    known = {item.path for item in items if item.expected is not None}
    size = sum(path.stat().st_size for path in known if path.is_file())
    unknown = sorted({item.path for item in items} - known)
    each = {(fault.path, fault.repair): fault for fault in reversed(faults)}
    return Verified(sorted(each.values()), len(known), size, time.monotonic() - begun, unknown)


def differing(items: Iterable[Item]) -> list[Fault]:
    """The files that are not what is expected of them, each with its repair: a good copy on this machine comes first."""
    wanted = [item for item in items if item.expected is not None]
    hashes = hashing.hashes([hashing.Wanted(item.path, item.algorithm) for item in wanted])
    found = {item: hashes[hashing.Wanted(item.path, item.algorithm)] for item in wanted}
    copies = {(item.algorithm, digest): item.path for item, digest in found.items() if digest and digest == item.expected}
    wrong = {item.path: (item, digest) for item, digest in reversed(found.items()) if digest != item.expected}
    return [Fault(item.path, _words(item, digest), _repair(item, digest, copies)) for item, digest in wrong.values()]


def _words(item: Item, digest: str | None) -> str:
    if item.expected == UNLISTED:
        return f"should not be there: {item.witness} does not name it"
    if digest is None:
        return f"cannot be read: {fault}" if (fault := _unreadable(item.path)) else f"is missing: {item.witness} names it"
    return f"is altered: its {item.algorithm} is {digest[:12]}, {item.witness} says {(item.expected or '')[:12]}"


def _unreadable(path: Path) -> str | None:
    """Why what is there cannot be read; None where nothing is there."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return None
    except OSError as fault:
        return fault.strerror
    return "it is no file, or the disk refuses"


def _repair(item: Item, digest: str | None, copies: dict[tuple[str, str], Path]) -> str:
    copy, path = copies.get((item.algorithm, item.expected or UNLISTED)), shlex.quote(str(item.path))
    if digest is None and _unreadable(item.path):
        return f"ls -l {path}  # let this user read it (chmod u+r); where the disk refuses, see dmesg and put the disk right first"
    if copy:
        return f"install -Dm 644 {shlex.quote(str(copy))} {path}"
    return f"rm -f {path} && git checkout HEAD -- {path}" if item.expected and _committed(item) else item.repair


def _committed(item: Item) -> bool:
    """Does git's last commit hold just what is expected?"""
    content = git.committed(item.path)
    return item.algorithm != hashing.GIT and bool(content) and hashlib.new(item.algorithm, content).hexdigest() == item.expected


def main() -> None:
    """Verify, show, and exit 1 when anything is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", default=None)
    parser.add_argument("--forget", nargs="+", metavar="ID", help="predictions, or what was sent, that are not what was recorded; or `all`")
    asked = parser.parse_args()
    with errors.printed_once():
        if asked.forget:
            print(f"{forget(asked.forget)} rows forgotten.")
            return
        found = verify(asked.family)
        show(found)
    sys.exit(1 if found.faults else 0)


def forget(names: list[str]) -> int:
    """Forget these rows of the prediction store, or with `all` every one that is not what was recorded; how many there were."""
    store = predictions.Store()
    chosen = {name for name, _ in store.faults() if name} if names == ["all"] else names
    return sum(store.forget(name) for name in chosen)


def show(found: Verified) -> None:
    """The faults, each with its repair on a line of its own; then how much was read, and the first fault once more."""
    for fault in found.faults:
        print(f"BROKEN {fault.path} {fault.words}\n    repair: {fault.repair}")
    if found.unknown:
        print(f"{len(found.unknown)} files are not vouched for: nobody says what must be in them, such as {found.unknown[0]}.")
    size = found.bytes / 1e6
    print(f"{found.files:,} files, {size:,.1f} MB, read in {found.seconds:.2f} s ({size / max(found.seconds, 1e-9):,.0f} MB/s): ", end="")
    print(f"{len(found.faults)} broken, the first is {found.faults[0].path}." if found.faults else "all as it was written.")


if __name__ == "__main__":
    main()
