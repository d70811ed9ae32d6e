"""Darknet files in MongoDB: cfgs in the collection `config` {date, file_name, configuration_file}, weights in the GridFS bucket `weights`.

A name may be put in again: every content is stored, and the newest comes out. Stored content is not sent again.
"""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from tqdm import tqdm

from pipelines import folders
from pipelines.imagestore import connection, gridfs
from pipelines.imagestore.connection import Document
from pipelines.imagestore.downloads import Damaged, not_stored, part_of, reserved

if TYPE_CHECKING:
    from pymongo.database import Database

SHA256 = {"config": "sha256", "weights.files": "metadata.sha256"}  # documents without it are of other programs, and cannot be checked
NAME = {"config": "file_name", "weights.files": "filename"}
DATE = {"config": "date", "weights.files": "uploadDate"}
LARGEST = 1_000_000  # bytes of a cfg: that of YOLOv4 has 12,000


class UnusableFile(ValueError):
    """A file to put in that is missing, or a cfg that is too large."""


def put_cfg(path: Path) -> int:
    """Store a cfg under its file's name; return how many bytes were sent. Raises UnusableFile or StoreError."""
    size = _existing(path).stat().st_size
    if size > LARGEST:
        raise UnusableFile(f"{path} has {size} bytes; a cfg has at most {LARGEST}. Weights are put in with weights={path}.")
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    with connection.opened() as database:
        newest = _newest(database, "config", path.name)
        if newest and newest["sha256"] == sha256:
            return 0
        database.config.insert_one({"date": datetime.now(UTC), "file_name": path.name, "configuration_file": content, "sha256": sha256})
    return size


def put_weights(path: Path) -> int:
    """Store weights under their file's name; return how many bytes were sent. Raises UnusableFile, Changed or StoreError."""
    sha256 = folders.sha256(_existing(path))
    key = folders.hash_of([path.name, sha256])
    with connection.opened() as database, path.open("rb") as file:
        with tqdm.wrapattr(file, "read", total=path.stat().st_size, desc=path.name) as stream:
            sent = gridfs.put(database, "weights", key, path.name, sha256, cast(BinaryIO, stream))
        now_newest = {"$set": {"uploadDate": datetime.now(UTC)}}  # also where this content was put in before
        database.weights.files.update_one({"_id": key}, now_newest)
    return sent


def get_cfg(name: str, target: Path) -> int:
    """Write the newest cfg of that name to a new file; return its bytes. Raises Occupied, NotStored, Damaged or StoreError."""
    with reserved(target), connection.opened() as database:
        found = _known(database, "config", name)
        content = found["configuration_file"]
        return _write(target, found["sha256"], len(content), lambda start: iter([content[start:]]))


def get_weights(name: str, target: Path) -> int:
    """Write the newest weights of that name to a new file; return their bytes. A get that was interrupted resumes.

    Raises Occupied, NotStored, Damaged or StoreError.
    """
    with reserved(target), connection.opened() as database:
        found = _known(database, "weights.files", name)
        return _write(target, found["metadata"]["sha256"], found["length"], partial(gridfs.read, database, "weights", found["_id"]))


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UnusableFile(f"{path} is not a file. Name one: make store-put cfg=my.cfg, or weights=my.weights")
    return path


def _newest(database: "Database[Document]", collection: str, name: str) -> Document | None:
    wanted = {NAME[collection]: name, SHA256[collection]: {"$exists": True}}
    return database[collection].find_one(wanted, sort=[(DATE[collection], -1)])


def _known(database: "Database[Document]", collection: str, name: str) -> Document:
    found = _newest(database, collection, name)
    if found is None:
        names = database[collection].distinct(NAME[collection], {SHA256[collection]: {"$exists": True}})
        raise not_stored(f"{name!r} in {collection}", names)
    return found


def _write(target: Path, sha256: str, size: int, pieces: Callable[[int], Iterator[bytes]]) -> int:
    """Complete a part of the file that an earlier get left; rename it when its content is what was put in. Raises Damaged."""
    part = part_of(target, sha256)
    with part.open("ab") as out, tqdm(total=size, initial=out.tell(), desc=target.name, unit="B", unit_scale=True) as bar:
        for piece in pieces(out.tell()):
            out.write(piece)
            bar.update(len(piece))
    if folders.sha256(part) != sha256:
        part.unlink()
        raise Damaged(f"{target} is not what was put in: its SHA-256 differs. Run the same command again, or put it in again.")
    part.rename(target)
    return size
