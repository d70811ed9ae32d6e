"""Source files from a mirror or their public address, verified by the checksum of their content."""

import gzip
import hashlib
import os
import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

CHUNK = 1 << 20


class MissingData(FileNotFoundError):
    """A source that is not available; the message names the file, where it was searched, and the remedy."""


class ChecksumMismatch(ValueError):
    """A source whose content is not what was expected."""


@dataclass(frozen=True)
class Origin:
    """A public file: its path below DATA_MIRROR, its addresses, and SHA-256 and bytes of its decompressed content."""

    path: str
    urls: tuple[str, ...]
    sha256: str
    size: int


def fetch(origin: Origin, folder: Path) -> Path:
    """Write the decompressed content of `origin` into `folder` and return its path.

    It is read from the folder DATA_MIRROR where that is set, else downloaded. Raises MissingData or ChecksumMismatch.
    """
    target = folder / Path(origin.path).name.removesuffix(".gz")
    unpack(_mirrored(origin) or _downloaded(origin, folder), target, origin.sha256, origin.size)
    return target


def unpack(packed: Path, target: Path, sha256: str, size: int) -> None:
    """Write the content of a plain or gzip file to `target`, little more than `size` bytes of it. Raises ChecksumMismatch."""
    try:
        with _opened(packed) as stream, target.open("wb") as out:
            found = _copied(stream, out, size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ChecksumMismatch(f"{packed} is not a complete gzip file ({error}). Fetch it again.") from error
    if found != (size, sha256):
        raise ChecksumMismatch(
            f"{packed} holds other content than expected: {found[0]} bytes, SHA-256 {found[1]}; "
            f"expected {size} bytes, {sha256}. Delete it and fetch it again."
        )


def _mirrored(origin: Origin) -> Path | None:
    mirror = os.environ.get("DATA_MIRROR")
    if not mirror:
        return None
    path = Path(mirror, origin.path)
    if not path.is_file():
        raise MissingData(f"{path} does not exist. Put {origin.path} into DATA_MIRROR={mirror}, or unset DATA_MIRROR to download it.")
    return path


def _downloaded(origin: Origin, folder: Path) -> Path:
    import http.client  # `look` imports this module on every `dvc repro`

    failures = []
    for url in origin.urls:
        try:
            return _download(url, folder / f"download-{Path(origin.path).name}")
        except (OSError, http.client.HTTPException) as error:
            failures.append(f"{url}: {error}")
    raise MissingData(
        f"{origin.path} could not be downloaded ({'; '.join(failures)}). "
        f"Connect to the network, or set DATA_MIRROR=<folder> to a folder that holds {origin.path}."
    )


def _download(url: str, target: Path) -> Path:
    import urllib.request

    from tqdm import tqdm

    with urllib.request.urlopen(url, timeout=30) as answer:
        total = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm.wrapattr(answer, "read", total=total, desc=target.name, leave=False) as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, CHUNK)
    return target


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _copied(stream: BinaryIO, out: BinaryIO, limit: int) -> tuple[int, str]:
    """Copy at most `limit` bytes and a chunk; return how many, and their SHA-256."""
    digest, size = hashlib.sha256(), 0
    while size <= limit and (chunk := stream.read(CHUNK)):
        size += len(chunk)
        digest.update(chunk)
        out.write(chunk)
    return size, digest.hexdigest()
