"""Data sets of labelled pictures in MongoDB: put in, and taken out as the same bytes.

    images    a document for each picture: {_id, dataset, name, sha256, raw_image, resized_image (PNG, 608 x 608), label, ...}
    files     one for everything else that a data set has, such as manifest.csv: {_id, dataset, name, sha256, content}
    large.*   GridFS, under the same _id: a raw_image or content that is too large for a document
    datasets  one for each data set, written last: {_id: its name, images: [_id], files: [_id], sha256, bytes, date}

An _id is the hash of what its document holds: what is there is not sent again, and what has changed is another document. Only what
a document in `datasets` lists can be seen, so half a data set is none, and an old one stands until the new one is whole.
"""

import hashlib
import io
import posixpath
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image
from tqdm import tqdm

from pipelines import folders
from pipelines.datasets import archives, labels, pictures
from pipelines.datasets import labelled as pages
from pipelines.imagestore import connection, gridfs
from pipelines.imagestore.connection import Document

if TYPE_CHECKING:
    from pymongo.database import Database

SIDE = 608  # pixels of resized_image, either way
WORKING_SIDE = 2 * SIDE  # larger pictures are reduced while they are decoded
INLINE = 14_000_000  # bytes of raw_image or content in a document; MongoDB allows 16 MB with all that goes with it
BATCH = 16_000_000  # bytes that are asked for at once
IDS = 1_000  # in a query


class UnknownDataset(LookupError):
    """No whole data set has that name."""


class UnsafeName(ValueError):
    """A file name that would leave the folder it is put into."""


class Damaged(ValueError):
    """What came out of the store is not what was put in."""


class Occupied(FileExistsError):
    """Something is already where a data set or file is to be put."""


class Row(NamedTuple):
    """A document of a data set, without its contents: a picture with its label, or another file. `size` is in bytes, the label's aside."""

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
    """What a put or get did: the data set's pictures, other files and bytes, and how many documents were sent or fetched for it."""

    pictures: int
    files: int
    bytes: int
    fresh: int


def put(dataset: str, path: Path) -> Moved:
    """Store a folder or tar; what an earlier put of the same files has sent is not sent again.

    Raises BrokenArchive, Unpaired, UnsafeName, BrokenPicture, BadLabel or Changed, and what connection.opened raises.
    """
    survey = _surveyed(path)
    rows = sorted(_rows(dataset, survey, pages.pairs(survey.hashes, str(path))), key=lambda row: row.name)
    with connection.opened() as database:
        before = _there(database, dataset)
        _send(database, dataset, path, [row for row in rows if row.id not in before], survey.texts)
        _publish(database, dataset, rows, survey)
    return _moved(rows, sum(survey.sizes.values()), sum(row.id not in before for row in rows))


def get(dataset: str, folder: Path) -> Moved:
    """Write a data set to a new folder, complete or not at all; a get that was cut goes on where it was.

    Raises Occupied, UnknownDataset, UnsafeName or Damaged, and what connection.opened raises.
    """
    vacant(folder)
    with connection.opened() as database:
        entry = _entry(database, dataset)
        rows = _listed(database, entry)
        part = parted(folder, entry["sha256"])
        missing = [row for row in rows if not _is_in(part, row)]
        for row, content, label in tqdm(_contents(database, missing), desc=dataset, total=len(missing), unit="file"):
            _write(part, row, content, label)
    folders.swap(part, folder)
    return _moved(rows, entry["bytes"], len(missing))


def labelled(dataset: str) -> Iterator[tuple[str, bytes, bytes]]:
    """(name below the folder that all pictures share, picture, label file) of every picture, by name."""
    with connection.opened() as database:
        rows = [row for row in _listed(database, _entry(database, dataset)) if row.label_name]
        root = posixpath.commonpath([posixpath.dirname(row.name) for row in rows]) or "."
        for row, content, label in tqdm(_contents(database, rows), desc=dataset, total=len(rows), unit="page"):
            yield posixpath.relpath(row.name, root), content, label


def manifest(dataset: str) -> bytes | None:
    """The data set's manifest.csv, the one that lies highest."""
    with connection.opened() as database:
        rows = [row for row in _listed(database, _entry(database, dataset)) if posixpath.basename(row.name) == pages.MANIFEST]
        highest = sorted(rows, key=lambda row: row.name.count("/"))[:1]
        return next((content for _, content, _ in _contents(database, highest)), None)


def fingerprint(dataset: str) -> str:
    """The SHA-256 over all names and contents: archives.fingerprint of the folder that it was. Raises UnknownDataset."""
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


def vacant(target: Path) -> None:
    """Raises Occupied where something is there."""
    if target.exists():
        raise Occupied(f"{target} is there already. Name another with to=, or take it away.")


def parted(target: Path, sha256: str) -> Path:
    """Where a get collects what belongs to `target`, under a name that says what it will be; those of other contents are swept away."""
    part = target.with_name(f".{target.name}.part-{sha256[:16]}")
    for other in set(target.parent.glob(f".{target.name}.part-*")) - {part}:
        shutil.rmtree(other) if other.is_dir() else other.unlink()
    return part


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
    """What the documents of a data set are to be."""
    for name in survey.hashes.keys() - set(pairs.values()):
        label = pairs.get(name)
        if label and survey.sizes[label] > labels.LARGEST:
            raise labels.BadLabel(f"{label} has {survey.sizes[label]} bytes; a label file has at most {labels.LARGEST}. Take it out.")
        known = (name, survey.hashes[name], survey.sizes[name], label, survey.hashes[label] if label else None)
        yield Row(folders.hash_of([dataset, *known]), "images" if label else "files", *known)


def _there(database: "Database[Document]", dataset: str) -> set[str]:
    """The _ids of all documents of a data set, listed or not."""
    found = set()
    for collection in ("images", "files"):
        database[collection].create_index([("dataset", 1), ("_id", 1)])
        found |= {document["_id"] for document in database[collection].find({"dataset": dataset}, {"_id": 1})}
    return found


def _send(database: "Database[Document]", dataset: str, path: Path, rows: list[Row], texts: dict[str, bytes]) -> None:
    """Read the folder or tar once more, and store the documents that are missing."""
    missing = {row.name: row for row in rows}
    bar = tqdm(total=len(missing), desc=dataset, unit="file")
    for name, content in archives.contents(path) if missing else ():
        row = missing.get(name)
        if row and hashlib.sha256(content).hexdigest() == row.sha256:
            _store(database, dataset, row, content, texts)
            bar.update()
    bar.close()


def _store(database: "Database[Document]", dataset: str, row: Row, content: bytes, texts: dict[str, bytes]) -> None:
    document = {"_id": row.id, "dataset": dataset, "name": row.name, "sha256": row.sha256, "size": row.size}
    key = "content"
    if row.label_name:
        key, label = "raw_image", texts[row.label_name]
        document |= {"resized_image": _resized(row.name, content), "label": label}
        document |= {"label_name": row.label_name, "label_sha256": row.label_sha256}
    if len(content) <= INLINE:
        document[key] = content
    else:
        gridfs.put(database, "large", row.id, row.name, row.sha256, io.BytesIO(content))
    connection.insert(database[row.collection], document)


def _resized(name: str, content: bytes) -> bytes:
    """A picture brought to SIDE x SIDE, as a PNG: grey where it is grey."""
    try:
        picture = Image.open(io.BytesIO(content), formats=pictures.FORMATS)
        seen = pictures.decoded(picture, "L" if picture.mode in {"1", "L"} else "RGB", WORKING_SIDE)
    except Exception as error:  # decoders raise what they like on broken bytes
        raise pages.BrokenPicture(f"{name} is no whole picture ({error}). Replace it, or take it out with its label.") from error
    out = io.BytesIO()
    Image.fromarray(seen).resize((SIDE, SIDE)).save(out, "PNG")
    return out.getvalue()


def _publish(database: "Database[Document]", dataset: str, rows: list[Row], survey: Survey) -> None:
    """Write the document that makes a data set visible, and sweep what it no longer lists."""
    listed = {collection: [row.id for row in rows if row.collection == collection] for collection in ("images", "files")}
    there = _there(database, dataset)
    if absent := [row.name for row in rows if row.id not in there]:
        raise gridfs.Changed(f"{absent[0]} has changed while the data set was read. Run the same command again when it is at rest.")
    facts = {"sha256": folders.hash_of(survey.hashes), "bytes": sum(survey.sizes.values()), "date": datetime.now(UTC)}
    database.datasets.replace_one({"_id": dataset}, {"_id": dataset, **listed, **facts}, upsert=True)
    stale = sorted(there - {row.id for row in rows})
    for keys in (stale[start : start + IDS] for start in range(0, len(stale), IDS)):
        for collection in listed:
            database[collection].delete_many({"_id": {"$in": keys}})
        gridfs.delete(database, "large", keys)


def _entry(database: "Database[Document]", dataset: str) -> Document:
    found = database.datasets.find_one({"_id": dataset})
    if found is None:
        names = ", ".join(sorted(str(entry["_id"]) for entry in database.datasets.find({}, {"_id": 1})))
        raise UnknownDataset(f"the image store has no whole data set {dataset!r}. It has: {names or 'none'}. `make store-put` puts one in.")
    return found


def _listed(database: "Database[Document]", entry: Document) -> list[Row]:
    """The documents that a data set lists, by collection and name. Raises Damaged where one is missing, or UnsafeName."""
    keys, rows = dict.fromkeys(("name", "sha256", "size", "label_name", "label_sha256"), 1), list[Row]()
    for collection in ("images", "files"):
        found = {row["_id"]: row for row in database[collection].find({"dataset": entry["_id"]}, keys)}
        rows += [_row(collection, found[key]) for key in entry[collection] if key in found]
    hashes = _all_hashes(rows)
    if folders.hash_of(hashes) != entry["sha256"]:
        raise Damaged(f"the data set {entry['_id']} is not what was put in: files are missing or other ones. Put it in once more.")
    for name in hashes:
        safe(name)
    return sorted(rows, key=lambda row: (row.collection, row.name))


def _row(collection: str, document: Document) -> Row:
    label = document.get("label_name"), document.get("label_sha256")
    return Row(document["_id"], collection, document["name"], document["sha256"], document["size"], *label)


def _all_hashes(rows: Iterable[Row]) -> dict[str, str]:
    return {name: sha256 for row in rows for name, sha256 in row.hashes.items()}


def _contents(database: "Database[Document]", rows: list[Row]) -> Iterator[tuple[Row, bytes, bytes]]:
    """(row, content, label or nothing) of documents of one collection, as they were put in. Raises Damaged."""
    for batch in _batches(rows):
        query = {"_id": {"$in": [row.id for row in batch]}}
        found = {document["_id"]: document for document in database[batch[0].collection].find(query, {"resized_image": 0})}
        for row in batch:
            document = found.get(row.id, {"label": b"", "content": b""})
            yield row, *_checked(row, _content(database, row, document), document.get("label", b""))


def _content(database: "Database[Document]", row: Row, document: Document) -> bytes:
    key = "raw_image" if "raw_image" in document else "content"
    return document[key] if key in document else b"".join(gridfs.read(database, "large", row.id))


def _checked(row: Row, content: bytes, label: bytes) -> tuple[bytes, bytes]:
    found = [hashlib.sha256(content).hexdigest()] + ([hashlib.sha256(label).hexdigest()] if row.label_name else [])
    for name, sha256 in zip(row.hashes, found, strict=True):
        if row.hashes[name] != sha256:
            raise Damaged(f"{name} is not what was put in: its SHA-256 is another. Put the data set in once more.")
    return content, label


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows of one collection, of at most BATCH bytes together; a larger one is alone."""
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


def _moved(rows: list[Row], total: int, fresh: int) -> Moved:
    return Moved(sum(row.label_name is not None for row in rows), sum(row.label_name is None for row in rows), total, fresh)
