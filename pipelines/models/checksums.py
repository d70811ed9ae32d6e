"""SHA256SUMS of a folder that nothing else vouches for, in the form that `sha256sum -c` reads; the first line vouches for the others."""

import hashlib
import re
from pathlib import Path
from typing import Any

from pipelines import folders
from pipelines.models import manifests

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
SUM = "sum"  # in a pointer's file: the hash of the rest of it


class BrokenSums(ValueError):
    """A SHA256SUMS that is not as it was written."""


def read(folder: Path) -> dict[str, str]:
    """{name: SHA-256}; empty where the folder has no SHA256SUMS. Raises BrokenSums."""
    path = folder / SUMS
    if not path.exists():
        return {}
    content = path.read_bytes()
    first, _, rest = content.partition(b"\n")
    found = [LINE.fullmatch(line) for line in rest.decode(errors="replace").splitlines()]
    if first.decode(errors="replace") != _own(rest) or None in found:
        raise BrokenSums(f"{path} is not as it was written: its first line is not the SHA-256 of the others.")
    return {line[2]: line[1] for line in found if line}


def complete(folder: Path, *made: str) -> None:
    """Note the files that the caller has just `made`, and no other: what is listed stays, and a stray file is not listed.

    So a file that changed by itself does not become right by being listed again; nor does a SHA256SUMS that is broken. Where there is
    none, a manifest says what was served.
    """
    try:
        known = read(folder) or _manifest(folder)
    except BrokenSums:
        return
    listed = known | {name: folders.sha256(folder / name) for name in made if (folder / name).is_file()}
    if listed != read(folder):
        write(folder, listed)


def _manifest(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of a model by its manifest, where that holds."""
    try:
        manifest = manifests.verified(folder)
    except manifests.BrokenModel:
        return {}
    named = {name: manifest["files"][name]["sha256"] for name in manifests.served(manifest)}
    return named | {manifests.MANIFEST: folders.sha256(folder / manifests.MANIFEST)}


def write(folder: Path, listed: dict[str, str]) -> None:
    """SHA256SUMS with these lines, whole or not at all."""
    rest = "".join(f"{digest}  {name}\n" for name, digest in sorted(listed.items()))
    folders.write(folder / SUMS, f"{_own(rest.encode())}\n{rest}")


def _own(rest: bytes) -> str:
    return f"# {hashlib.sha256(rest).hexdigest()}"


def files(folder: Path) -> list[Path]:
    """Every file below a folder, without drafts under way (`.name.draft-1`)."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def summed(facts: dict[str, Any]) -> bool:
    """Is this what it was when its sum was taken? True also where none was."""
    return facts.get(SUM) in {None, folders.hash_of({key: value for key, value in facts.items() if key != SUM})}
