"""What an audit finds: files with the hash that is recorded of them, faults, and the commands that repair them."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pipelines import discovery, folders, git
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.ledger.cross_checks import Fault
from pipelines.models import checksums, manifests

UNLISTED = ""  # the expected hash of a file that should not be there
NO_COPY = "no good copy of it is on this machine"


class Item(NamedTuple):
    """A file, its expected hash (UNLISTED, or None where none is recorded), where that is recorded, and the repair without a good copy."""

    path: Path
    algorithm: str
    expected: str | None
    source: str
    repair: str


class Notice(NamedTuple):
    """What is not damaged but `words`, such as "not here"; in the command that brings it, {} stands for all such names."""

    name: str
    words: str
    remedy: str


Checked = Iterator[Item | Fault]
Found = Iterator[Item | Fault | Notice]
ABSENT, UNCACHED, SERVED = "not here", "not in DVC's cache", "here as served files only"
ANOTHER = "complete, but of another commit or experiment than dvc.lock"


def reconcile(family: str) -> str:
    """The repair of what follows from the ledger."""
    return f"make reconcile family={family}"


def checkout(path: Path) -> str:
    """The repair of what git has."""
    return f"git checkout HEAD -- {shlex.quote(str(path))}"


def remove(path: Path, then: str) -> str:
    """The command that removes a broken file and restores it by `then`; without a good copy nothing is removed."""
    if then.startswith(NO_COPY):
        return then
    return f"rm -f {shlex.quote(str(path))}" + (f" && {then}" if then else "")


def family_folders(family: str) -> list[Path]:
    return [Path("data", family), *(Path("models", candidate) for candidate in discovery.candidates(family))]


def promotions(family: str) -> list[ledger.Line]:
    """The promotions of a ledger; none where it is altered, which is a fault of its own."""
    try:
        return list(ledger.versions(ledger.read(family)).values())
    except ledger.AlteredLedger:
        return []


def in_git(folder: Path) -> dict[str, str]:
    """{file: git's hash of its content} in the last commit, below a folder; {} without git."""
    listed = git.output("ls-tree", "-r", "-z", "HEAD", "--", str(folder)) or b""
    rows = (row.partition("\t") for row in listed.decode().split("\0") if row)
    return {Path(name).relative_to(folder).as_posix(): facts.split()[2] for facts, _, name in rows}


def items(
    folder: Path,
    listed: Mapping[str, str | None],
    algorithm: str,
    source: str,
    repair: str,
    unlisted: str | None = UNLISTED,
    without: str = "",
) -> Iterator[Item]:
    """Every file below a folder but `without`, and every listed one; `unlisted` is expected of those that {file: hash} does not list."""
    for path in {folder / name for name in listed} | set(checksums.files(folder)) - {folder / without}:
        expected = listed.get(path.relative_to(folder).as_posix(), unlisted)
        yield Item(path, algorithm, expected, source, remove(path, "" if expected == UNLISTED else repair))


def described(folder: Path, repair: str) -> Checked:
    """The files of a model or data folder by the SHA-256 in its manifest or card; a fault where that is unreadable."""
    try:
        source, listed = _description(folder)
    except (manifests.BrokenModel, OSError, ValueError, KeyError) as error:
        yield Fault(folder, f"does not say what is in it: {error}", repair)
    else:
        yield from items(folder, listed, "sha256", source, repair, unlisted=None)


def _description(folder: Path) -> tuple[str, dict[str, str]]:
    """(manifest or card, {file: SHA-256}). Raises BrokenModel, OSError, ValueError or KeyError."""
    if (folder / cards.CARD).exists() and not (folder / manifests.MANIFEST).exists():
        card = cards.read(folder)
        if folders.hash_of(card["files"]) != card["hash"]:
            raise ValueError(f"the hash in {cards.CARD} does not follow from it")
        return cards.CARD, card["files"]
    manifest = manifests.read(folder)
    if manifests.digest(manifest) != manifest["digest"]:
        raise ValueError(f"the digest in {manifests.MANIFEST} does not follow from it")
    files = {name: entry for name, entry in manifest["files"].items() if (folder / name).exists() or entry["served"]}
    return manifests.MANIFEST, {name: entry["sha256"] for name, entry in files.items()}
