"""Darknet files in MongoDB: cfgs in the collection `config` {date, file_name, configuration_file}, weights in the GridFS bucket `weights`.

A name may be put in again and again: every content stays, and the newest comes out. What is there already is not sent again.
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
from pipelines.imagestore.datasets import Damaged, parted, vacant

if TYPE_CHECKING:
    from pymongo.database import Database

OURS = {"config": "sha256", "weights.files": "metadata.sha256"}  # what is without was not put in here, and cannot be checked
NAME = {"config": "file_name", "weights.files": "filename"}
DATE = {"config": "date", "weights.files": "uploadDate"}
LARGEST = 1_000_000  # bytes of a cfg: that of YOLOv4 has 12,000


class UnknownFile(LookupError):
    """The store has no cfg or no weights of that name."""


class MissingFile(FileNotFoundError):
    """There is no such file to put in."""


class TooLarge(ValueError):
    """A cfg larger than any."""


def put_cfg(path: Path) -> int:
    """Store a cfg under its file's name; return how many bytes were sent. Raises MissingFile, TooLarge, or as connection.opened."""
    size = _existing(path).stat().st_size
    if size > LARGEST:
        raise TooLarge(f"{path} has {size} bytes; a cfg has at most {LARGEST}. Weights are put in with weights={path}.")
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    with connection.opened() as database:
        newest = _newest(database, "config", path.name)
        if newest and newest["sha256"] == sha256:
            return 0
        database.config.insert_one({"date": datetime.now(UTC), "file_name": path.name, "configuration_file": content, "sha256": sha256})
    return size


def put_weights(path: Path) -> int:
    """Store weights under their file's name; return how many bytes were sent.

    Raises MissingFile or Changed, and what connection.opened raises.
    """
    sha256 = folders.sha256(_existing(path))
    key = folders.hash_of([path.name, sha256])
    with connection.opened() as database, path.open("rb") as file:
        with tqdm.wrapattr(file, "read", total=path.stat().st_size, desc=path.name) as stream:
            sent = gridfs.put(database, "weights", key, path.name, sha256, cast(BinaryIO, stream))
        database.weights.files.update_one(
            {"_id": key}, {"$set": {"uploadDate": datetime.now(UTC)}}
        )  # the newest, also when it is an old one
    return sent


def get_cfg(name: str, target: Path) -> int:
    """Write the newest cfg of that name to a new file; return its bytes.

    Raises Occupied, UnknownFile or Damaged, and what connection.opened raises.
    """
    vacant(target)
    with connection.opened() as database:
        found = _known(database, "config", name)
        return _written(
            target, found["sha256"], len(found["configuration_file"]), lambda start: iter([found["configuration_file"][start:]])
        )


def get_weights(name: str, target: Path) -> int:
    """Write the newest weights of that name to a new file; return their bytes. A get that was cut goes on where it was.

    Raises Occupied, UnknownFile or Damaged, and what connection.opened raises.
    """
    vacant(target)
    with connection.opened() as database:
        found = _known(database, "weights.files", name)
        pieces = partial(gridfs.read, database, "weights", found["_id"])
        return _written(target, found["metadata"]["sha256"], found["length"], pieces)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise MissingFile(f"{path} is not a file. Name one: make store-put cfg=my.cfg, or weights=my.weights")
    return path


def _newest(database: "Database[Document]", collection: str, name: str) -> Document | None:
    wanted = {NAME[collection]: name, OURS[collection]: {"$exists": True}}
    return database[collection].find_one(wanted, sort=[(DATE[collection], -1)])


def _known(database: "Database[Document]", collection: str, name: str) -> Document:
    found = _newest(database, collection, name)
    if found is None:
        names = ", ".join(sorted(database[collection].distinct(NAME[collection], {OURS[collection]: {"$exists": True}})))
        raise UnknownFile(f"the image store has no {name!r} in {collection}. It has: {names or 'none'}. `make store-put` puts one in.")
    return found


def _written(target: Path, sha256: str, size: int, pieces: Callable[[int], Iterator[bytes]]) -> int:
    """Collect a file beside `target`, from where an earlier get was cut; rename it when it is whole and what was put in."""
    part = parted(target, sha256)
    with part.open("ab") as out, tqdm(total=size, initial=out.tell(), desc=target.name, unit="B", unit_scale=True) as bar:
        for piece in pieces(out.tell()):
            out.write(piece)
            bar.update(len(piece))
    if folders.sha256(part) != sha256:
        part.unlink()
        raise Damaged(
            f"what came out for {target} is not what was put in: its SHA-256 is another. Run the same command again, or put it in anew."
        )
    part.rename(target)
    return size
