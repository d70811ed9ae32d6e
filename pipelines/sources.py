"""Source files from a mirror or from their public address, checked against the checksum of what they contain."""

import gzip
import hashlib
import os
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from tqdm import tqdm

CHUNK = 1 << 20


class MissingData(FileNotFoundError):
    """A source could not be had; the message names the file, where it was looked for, and the remedy."""


class ChecksumMismatch(ValueError):
    """A source's content is not what was expected; nothing of it was kept."""


@dataclass(frozen=True)
class Origin:
    """A public file: its path below DATA_MIRROR, its addresses, and SHA-256 and bytes of its decompressed content."""

    path: str
    urls: tuple[str, ...]
    sha256: str
    size: int


def fetch(origin: Origin, folder: Path) -> Path:
    """Write the decompressed content of `origin` into `folder` and return its path.

    DATA_MIRROR=<folder> is read instead of the network when it is set. Raises MissingData or ChecksumMismatch.
    """
    target = folder / Path(origin.path).name.removesuffix(".gz")
    packed = _mirrored(origin) or _downloaded(origin, folder)
    try:
        with _opened(packed) as stream, target.open("wb") as out:
            _copy_checked(stream, out, origin, packed)
    except (gzip.BadGzipFile, EOFError) as error:
        raise ChecksumMismatch(f"{packed} is not a whole gzip file ({error}). Fetch it again.") from error
    return target


def _mirrored(origin: Origin) -> Path | None:
    mirror = os.environ.get("DATA_MIRROR")
    if not mirror:
        return None
    path = Path(mirror, origin.path)
    if not path.is_file():
        raise MissingData(f"{path} does not exist. Put {origin.path} into DATA_MIRROR={mirror}, or unset DATA_MIRROR to download it.")
    return path


def _downloaded(origin: Origin, folder: Path) -> Path:
    failures = []
    for url in origin.urls:
        try:
            return _download(url, folder / f"download-{Path(origin.path).name}")
        except OSError as error:
            failures.append(f"{url}: {error}")
    raise MissingData(
        f"{origin.path} could not be downloaded ({'; '.join(failures)}). "
        f"Connect to the network, or set DATA_MIRROR=<folder> to a folder that holds {origin.path}."
    )


def _download(url: str, target: Path) -> Path:
    with urllib.request.urlopen(url, timeout=30) as answer:
        total = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm.wrapattr(answer, "read", total=total, desc=target.name, leave=False) as stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, CHUNK)
    return target


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _copy_checked(stream: BinaryIO, out: BinaryIO, origin: Origin, packed: Path) -> None:
    digest, size = hashlib.sha256(), 0
    while size <= origin.size and (chunk := stream.read(CHUNK)):
        size += len(chunk)
        digest.update(chunk)
        out.write(chunk)
    if size != origin.size or digest.hexdigest() != origin.sha256:
        raise ChecksumMismatch(
            f"{packed} holds other content than expected: {size} bytes, SHA-256 {digest.hexdigest()}; "
            f"expected {origin.size} bytes, {origin.sha256}. Delete it and fetch it again."
        )
