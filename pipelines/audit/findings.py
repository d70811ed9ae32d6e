"""What an audit finds: files with the hash that is expected of them, faults, and how a folder describes itself."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines import discovery, folders
from pipelines.datasets import cards
from pipelines.ledger import lines as ledger
from pipelines.models import checksums, manifests

UNLISTED = ""  # what is expected of a file that should not be there
NOWHERE = "no good copy of it is on this machine"


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


Found = Iterator[Item | Fault]


def family_folders(family: str) -> list[Path]:
    return [Path("data", family), *(Path("models", candidate) for candidate in discovery.candidates(family))]


def promotions(family: str) -> list[ledger.Line]:
    """Those of a ledger that can be read: one that cannot is told by itself."""
    try:
        return list(ledger.versions(ledger.read(family)).values())
    except ledger.AlteredLedger:
        return []


def removed(path: Path, then: str | None) -> str:
    """Remove the broken file and let it come again; where nothing brings it, it stays."""
    if then and then.startswith(NOWHERE):
        return then
    return f"rm -f {shlex.quote(str(path))}" + (f" && {then}" if then else "")


def describes(folder: Path) -> bool:
    return any((folder / name).exists() for name in (manifests.MANIFEST, cards.CARD))


def described(folder: Path, repair: str) -> Found:
    """A model by its manifest, or data by their card: both name the SHA-256 of what matters. The rest nobody vouches for."""
    try:
        witness, named = _named(folder)
    except (manifests.BrokenModel, OSError, ValueError, KeyError) as error:
        yield Fault(folder, f"does not say what is in it: {error}", repair)
        return
    for path in {folder / name for name in named} | set(checksums.files(folder)):
        expected = named.get(path.relative_to(folder).as_posix())
        yield Item(path, "sha256", expected, witness, removed(path, repair))


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
