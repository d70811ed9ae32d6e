"""SHA256SUMS of a folder whose checksums are recorded nowhere else, as `sha256sum -c` reads it; its first line is the hash of the rest."""

import hashlib
import re
from pathlib import Path
from typing import Any

from pipelines import folders
from pipelines.models import manifests

SUMS = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
SUM = "sum"  # the key, in a JSON file, for the hash of its other keys


class BrokenSums(ValueError):
    """An altered SHA256SUMS."""


def read(folder: Path) -> dict[str, str]:
    """{name: SHA-256}; empty where the folder has no SHA256SUMS. Raises BrokenSums."""
    path = folder / SUMS
    if not path.exists():
        return {}
    content = path.read_bytes()
    first, _, rest = content.partition(b"\n")
    found = [LINE.fullmatch(line) for line in rest.decode(errors="replace").splitlines()]
    if first.decode(errors="replace") != _own(rest) or None in found:
        raise BrokenSums(f"{path} was altered: its first line is not the SHA-256 of the others.")
    return {line[2]: line[1] for line in found if line}


def complete(folder: Path, *made: str) -> None:
    """List the files that the caller has just `made`, and no others, so that neither an altered nor a stray file becomes valid.

    A broken SHA256SUMS stays as it is; where there is none, the served files of the manifest are listed too.
    """
    try:
        known = read(folder) or _manifest(folder)
    except BrokenSums:
        return
    listed = known | {name: folders.sha256(folder / name) for name in made if (folder / name).is_file()}
    if listed != read(folder):
        write(folder, listed)


def _manifest(folder: Path) -> dict[str, str]:
    """{name: SHA-256} of a model by its manifest, empty where it is broken."""
    try:
        manifest = manifests.verified(folder)
    except manifests.BrokenModel:
        return {}
    named = {name: manifest["files"][name]["sha256"] for name in manifests.served(manifest)}
    return named | {manifests.MANIFEST: folders.sha256(folder / manifests.MANIFEST)}


def write(folder: Path, listed: dict[str, str]) -> None:
    """Write SHA256SUMS with these lines atomically."""
    rest = "".join(f"{digest}  {name}\n" for name, digest in sorted(listed.items()))
    folders.write(folder / SUMS, f"{_own(rest.encode())}\n{rest}")


def _own(rest: bytes) -> str:
    return f"# {hashlib.sha256(rest).hexdigest()}"


def files(folder: Path) -> list[Path]:
    """Every file below a folder, without unfinished drafts (`.name.draft-1`)."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def summed(facts: dict[str, Any]) -> bool:
    """Is the recorded hash there, and that of the other keys?"""
    return bool(facts.get(SUM) == folders.hash_of({key: value for key, value in facts.items() if key != SUM}))
