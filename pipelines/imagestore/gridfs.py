"""Files of any size in GridFS: an interrupted upload resumes, and is invisible until it is complete.

The driver's own upload starts anew each time, so chunks are written here; they are read by the driver.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from pipelines.imagestore import connection
from pipelines.imagestore.connection import Document

if TYPE_CHECKING:
    from pymongo.database import Database

CHUNK = 1 << 20  # bytes; an upload resumes with chunks of the same size


class Changed(ValueError):
    """A file that changed while it was read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has changed while it was read. Run the same command again when nothing writes it.")


def put(database: "Database[Document]", bucket: str, key: str, name: str, sha256: str, stream: BinaryIO) -> int:
    """Store what `stream` holds under the id `key`, which identifies this content; return how many bytes had to be sent.

    Raises Changed where the content has another SHA-256; nothing of it is stored then.
    """
    files, chunks = database[bucket].files, database[bucket].chunks
    if files.find_one({"_id": key}, {"_id": 1}):
        return 0
    files.create_index([("filename", 1), ("uploadDate", 1)])
    chunks.create_index([("files_id", 1), ("n", 1)], unique=True)
    there = {row["n"] for row in chunks.find({"files_id": key}, {"n": 1, "_id": 0})}
    digest, length, sent = hashlib.sha256(), 0, 0
    for n, data in enumerate(iter(lambda: stream.read(CHUNK), b"")):
        digest.update(data)
        length += len(data)
        if n not in there:
            connection.insert(chunks, {"files_id": key, "n": n, "data": data})
            sent += len(data)
    if digest.hexdigest() != sha256:
        chunks.delete_many({"files_id": key})
        raise Changed(name)
    facts = {"length": length, "chunkSize": CHUNK, "uploadDate": datetime.now(UTC), "filename": name, "metadata": {"sha256": sha256}}
    connection.insert(files, {"_id": key, **facts})
    return sent


def read(database: "Database[Document]", bucket: str, key: str, start: int = 0) -> Iterator[bytes]:
    """The content from byte `start` on, in pieces."""
    from gridfs import GridFSBucket

    with GridFSBucket(database, bucket).open_download_stream(key) as stream:
        stream.seek(start)
        yield from iter(lambda: stream.read(CHUNK), b"")


def delete(database: "Database[Document]", bucket: str, keys: list[str]) -> None:
    """Delete files, complete or not."""
    database[bucket].files.delete_many({"_id": {"$in": keys}})
    database[bucket].chunks.delete_many({"files_id": {"$in": keys}})
