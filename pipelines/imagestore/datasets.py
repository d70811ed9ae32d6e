"""Data sets of labelled images in MongoDB: put in, and taken out as the same bytes.

    images    a document for each image: {_id, dataset, name, sha256, raw_image, resized_image (PNG, 608 x 608), label, ...}
    files     one for every other file, such as manifest.csv: {_id, dataset, name, sha256, content}
    large.*   GridFS, under the same _id: a raw_image or content that is too large for a document
    datasets  one for each data set, written last: {_id: its name, images: [_id], files: [_id], sha256, bytes, date}

An _id is the hash of what its document holds: stored content is not sent again, and changed content is another document. Readers see
only what a document in `datasets` lists, so an incomplete data set is invisible, and an old one stays until the new one is complete.
"""

import hashlib
import io
import posixpath
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image
from tqdm import tqdm

from pipelines import folders
from pipelines.datasets import archives, labels
from pipelines.datasets import labelled as pages
from pipelines.imagestore import connection, gridfs
from pipelines.imagestore.connection import Document
from pipelines.imagestore.downloads import Damaged, not_stored, part_of, reserved

if TYPE_CHECKING:
    from pymongo.database import Database

SIDE = 608  # pixels of resized_image, either way
WORKING_SIDE = 2 * SIDE  # larger images are reduced while they are decoded
INLINE = 14_000_000  # bytes of raw_image or content in a document; MongoDB allows 16 MB for all of it
BATCH = 16_000_000  # bytes that are asked for at once
IDS = 1_000  # in a query
COLLECTIONS = ("images", "files")


class UnsafeName(ValueError):
    """A file name that would leave the folder it is put into."""


class Row(NamedTuple):
    """A document without its contents: an image with its label, or another file. `size` is in bytes, without the label."""

    id: str
    collection: str
    name: str
    sha256: str
    size: int
    label_name: str | None = None
    label_sha256: str | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """{name: SHA-256} of its files."""
        return {self.name: self.sha256} | ({self.label_name: str(self.label_sha256)} if self.label_name else {})


class Survey(NamedTuple):
    """What a folder or tar holds: SHA-256 and bytes of each file by its name, and the contents of those that may be labels."""

    hashes: dict[str, str]
    sizes: dict[str, int]
    texts: dict[str, bytes]


class Moved(NamedTuple):
    """What a put or get did: labelled images, other files and bytes of the data set, and how many documents were transferred for it."""

    images: int
    files: int
    bytes: int
    transferred: int


def put(dataset: str, path: Path) -> Moved:
    """Store a folder or tar; what an earlier put of the same files has sent is not sent again.

    Raises BrokenArchive, Unpaired, UnsafeName, BrokenPicture, BadLabel, Changed or StoreError.
    """
    survey = _surveyed(path)
    rows = sorted(_rows(dataset, survey, pages.pairs(survey.hashes, str(path))), key=lambda row: row.name)
    with connection.opened() as database:
        before = _ids(database, dataset)
        missing = {row.name: row for row in rows if row.id not in before}
        _send(database, dataset, path, missing, survey.texts)
        _publish(database, dataset, rows, survey)
    return _moved(rows, sum(survey.sizes.values()), len(missing))


def get(dataset: str, folder: Path) -> Moved:
    """Write a data set to a new folder, complete or not at all; a get that was interrupted resumes.

    Raises Occupied, NotStored, UnsafeName, Damaged or StoreError.
    """
    with reserved(folder), connection.opened() as database:
        entry = _entry(database, dataset)
        rows = _listed(database, entry)
        part = part_of(folder, entry["sha256"])
        missing = [row for row in rows if not _is_in(part, row)]
        for row, content, label in tqdm(_contents(database, missing), desc=dataset, total=len(missing), unit="file"):
            _write(part, row, content, label)
        folders.swap(part, folder)
    return _moved(rows, entry["bytes"], len(missing))


def labelled(dataset: str) -> Iterator[tuple[str, bytes, bytes]]:
    """(name below the folder that all images share, image, label file) of every image, by name."""
    with connection.opened() as database:
        rows = [row for row in _listed(database, _entry(database, dataset)) if row.label_name]
        root = pages.common_folder(row.name for row in rows)
        for row, content, label in tqdm(_contents(database, rows), desc=dataset, total=len(rows), unit="page"):
            yield posixpath.relpath(row.name, root), content, label


def manifest(dataset: str) -> bytes | None:
    """The data set's manifest.csv, the one in the highest folder."""
    with connection.opened() as database:
        rows = [row for row in _listed(database, _entry(database, dataset)) if posixpath.basename(row.name) == pages.MANIFEST]
        highest = sorted(rows, key=lambda row: row.name.count("/"))[:1]
        return next((content for _, content, _ in _contents(database, highest)), None)


def fingerprint(dataset: str) -> str:
    """The SHA-256 over all names and contents, as archives.fingerprint of the folder. Raises NotStored."""
    with connection.opened() as database:
        return str(_entry(database, dataset)["sha256"])


def size(dataset: str) -> int:
    """Bytes of all its files."""
    with connection.opened() as database:
        return int(_entry(database, dataset)["bytes"])


def safe(name: str) -> str:
    """The name, if it stays inside of the folder that it is put into. Raises UnsafeName."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or {"..", "."} & set(name.split("/")) or {"\\", "\0"} & set(name):
        raise UnsafeName(f"{name!r} is no name below a folder: no '..', no backslash, no leading '/'. Rename the file, and put it again.")
    return name


def _surveyed(path: Path) -> Survey:
    survey = Survey({}, {}, {})
    for name, content in tqdm(archives.contents(path), desc=f"reading {path.name}", unit="file"):
        if not name.endswith("/"):  # an empty folder
            survey.hashes[safe(name)] = hashlib.sha256(content).hexdigest()
            survey.sizes[name] = len(content)
            if PurePosixPath(name).suffix in pages.LABELS:
                survey.texts[name] = content
    return survey


def _rows(dataset: str, survey: Survey, pairs: dict[str, str]) -> Iterator[Row]:
    """The documents that the data set will have."""
    for name in survey.hashes.keys() - set(pairs.values()):
        label = pairs.get(name)
        if label:
            labels.check_size(label, survey.sizes[label])
        facts = (name, survey.hashes[name], survey.sizes[name], label, survey.hashes[label] if label else None)
        yield Row(folders.hash_of([dataset, *facts]), "images" if label else "files", *facts)


def _ids(database: "Database[Document]", dataset: str) -> set[str]:
    """The _ids of all documents of a data set, listed or not."""
    found = set()
    for collection in COLLECTIONS:
        database[collection].create_index([("dataset", 1), ("_id", 1)])
        found |= {document["_id"] for document in database[collection].find({"dataset": dataset}, {"_id": 1})}
    return found


def _send(database: "Database[Document]", dataset: str, path: Path, missing: dict[str, Row], texts: dict[str, bytes]) -> None:
    """Read the folder or tar once more, and store the documents that are missing, by name."""
    with tqdm(total=len(missing), desc=dataset, unit="file") as bar:
        for name, content in archives.contents(path) if missing else ():
            row = missing.get(name)
            if row and hashlib.sha256(content).hexdigest() == row.sha256:
                _store(database, dataset, row, content, texts)
                bar.update()


def _store(database: "Database[Document]", dataset: str, row: Row, content: bytes, texts: dict[str, bytes]) -> None:
    document: Document = {"_id": row.id, "dataset": dataset, "name": row.name, "sha256": row.sha256, "size": row.size}
    if row.label_name:
        document |= {"resized_image": _resized(row.name, content), "label": texts[row.label_name]}
        document |= {"label_name": row.label_name, "label_sha256": row.label_sha256}
    if len(content) <= INLINE:
        document["raw_image" if row.label_name else "content"] = content
    else:
        gridfs.put(database, "large", row.id, row.name, row.sha256, io.BytesIO(content))
    connection.insert(database[row.collection], document)


def _resized(name: str, content: bytes) -> bytes:
    """An image stretched to SIDE x SIDE, as a PNG: grey where it is grey. Raises BrokenPicture."""
    _, pixels = pages.decode(name, content, WORKING_SIDE)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE)).save(out, "PNG")
    return out.getvalue()


def _publish(database: "Database[Document]", dataset: str, rows: list[Row], survey: Survey) -> None:
    """Write the document that makes a data set visible, and delete what it no longer lists. Raises Changed."""
    there = _ids(database, dataset)
    if absent := [row.name for row in rows if row.id not in there]:
        raise gridfs.Changed(absent[0])
    listed = {collection: [row.id for row in rows if row.collection == collection] for collection in COLLECTIONS}
    facts = {"sha256": folders.hash_of(survey.hashes), "bytes": sum(survey.sizes.values()), "date": datetime.now(UTC)}
    database.datasets.replace_one({"_id": dataset}, {"_id": dataset, **listed, **facts}, upsert=True)
    stale = sorted(there - {row.id for row in rows})
    for keys in (stale[start : start + IDS] for start in range(0, len(stale), IDS)):
        for collection in COLLECTIONS:
            database[collection].delete_many({"_id": {"$in": keys}})
        gridfs.delete(database, "large", keys)


def _entry(database: "Database[Document]", dataset: str) -> Document:
    found = database.datasets.find_one({"_id": dataset})
    if found is None:
        raise not_stored(f"complete data set {dataset!r}", database.datasets.distinct("_id"))
    return found


def _listed(database: "Database[Document]", entry: Document) -> list[Row]:
    """The documents that a data set lists, by collection and name. Raises Damaged where one is missing, or UnsafeName."""
    rows = list[Row]()
    for collection in COLLECTIONS:
        documents = database[collection].find({"dataset": entry["_id"]}, dict.fromkeys(Row._fields[2:], 1))
        found = {document.pop("_id"): document for document in documents}
        rows += [Row(key, collection, **found[key]) for key in entry[collection] if key in found]
    hashes = {name: sha256 for row in rows for name, sha256 in row.hashes.items()}
    if folders.hash_of(hashes) != entry["sha256"]:
        raise Damaged(f"the data set {entry['_id']} is not what was put in: files are missing or changed. Put it in once more.")
    for name in hashes:
        safe(name)
    return sorted(rows, key=lambda row: (row.collection, row.name))


def _contents(database: "Database[Document]", rows: list[Row]) -> Iterator[tuple[Row, bytes, bytes]]:
    """(row, content, label or nothing) of documents of one collection, as they were put in. Raises Damaged."""
    for batch in _batches(rows):
        query = {"_id": {"$in": [row.id for row in batch]}}
        found = {document["_id"]: document for document in database[batch[0].collection].find(query, {"resized_image": 0})}
        for row in batch:
            yield row, *_verified(database, row, found.get(row.id, {"content": b""}))


def _verified(database: "Database[Document]", row: Row, document: Document) -> tuple[bytes, bytes]:
    content, label = document.get("raw_image", document.get("content")), document.get("label", b"")
    if content is None:
        content = b"".join(gridfs.read(database, "large", row.id))
    for (name, sha256), found in zip(row.hashes.items(), (content, label), strict=False):
        if hashlib.sha256(found).hexdigest() != sha256:
            raise Damaged(f"{name} is not what was put in: its SHA-256 differs. Put the data set in once more.")
    return content, label


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows of one collection, at most IDS, with at most BATCH bytes together; a larger one is alone."""
    batch = list[Row]()
    for row in rows:
        if batch and (sum(other.size for other in batch) + row.size > BATCH or len(batch) == IDS or batch[0].collection != row.collection):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _is_in(part: Path, row: Row) -> bool:
    return all((part / name).is_file() and folders.sha256(part / name) == sha256 for name, sha256 in row.hashes.items())


def _write(part: Path, row: Row, content: bytes, label: bytes) -> None:
    for name, found in zip(row.hashes, (content, label), strict=False):
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_bytes(found)


def _moved(rows: list[Row], total: int, transferred: int) -> Moved:
    images = sum(row.label_name is not None for row in rows)
    return Moved(images, len(rows) - images, total, transferred)
