"""The index of a model: the embeddings of all engravings that it knows, with the hash of the encoder that made them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.metrics.neighbours import Index
from pipelines.models import manifests

FORMAT = 1
VECTORS, HEADER = "index.npy", "index.json"
KINDS = {"drawn": "class", "official": "class", "catalogue": "catalogue", "added": "added"}  # {kind of an entry: kind of its engraving}
LENGTH = 1e-3  # how far from 1 a vector's length may be
MEMBERS = 8  # rows asked for each engraving wanted: a class has about twelve, the catalogue's pictures one each
Vectors = NDArray[np.float32]


class OtherModel(ValueError):
    """An index of another encoder, whose embeddings cannot be compared."""


class BrokenIndex(ValueError):
    """Files that are no valid index."""


class Entry(NamedTuple):
    """The meaning of one vector: an engraving (a class, or the file of a catalogue's image) and the name of its image in pictures.json."""

    engraving: str
    kind: str
    picture: str | None


class Match(NamedTuple):
    """An engraving and the similarity of its nearest member, from -1 to 1; kind is "class", "catalogue" or "added"."""

    engraving: str
    kind: str
    similarity: float
    picture: str | None


def write(folder: Path, entries: Sequence[Entry], vectors: Vectors, encoder: str) -> None:
    """Write index.npy and index.json into a model folder; `encoder` is the SHA-256 of model.onnx. Raises BrokenIndex."""
    _check(folder, entries, vectors)
    np.save(folder / VECTORS, vectors)
    header = {
        "format": FORMAT,
        "encoder": encoder,
        "vectors": folders.sha256(folder / VECTORS),
        "entries": [list(entry) for entry in entries],
    }
    folders.write(folder / HEADER, json.dumps(header, ensure_ascii=False) + "\n")


def read(folder: Path, manifest: manifests.Manifest) -> tuple[list[Entry], Vectors]:
    """The entries and vectors [m, d] of a model folder. Raises OtherModel or BrokenIndex, with the remedy."""
    header = _header(manifests.file(folder, manifest, "index"))
    encoder = manifest["files"][manifests.file(folder, manifest, "model").name]["sha256"]
    if header["encoder"] != encoder:
        raise OtherModel(
            f"{folder / HEADER} was made by the encoder {str(header['encoder'])[:12]}, and this model is {encoder[:12]}. "
            "`make train family=gravures` makes the model folder again, `dvc checkout` fetches it."
        )
    return _entries(header, folder), _vectors(manifests.file(folder, manifest, "vectors"), header)


def _header(path: Path) -> dict[str, Any]:
    try:
        header = json.loads(path.read_text())
        known = {"format", "encoder", "vectors", "entries"} <= set(header)
    except (OSError, ValueError, TypeError) as error:
        raise _broken(path, str(error)) from error
    if not known or header["format"] != FORMAT:
        raise _broken(path, f"it has not the keys of an index of format {FORMAT}")
    return header


def _vectors(path: Path, header: dict[str, Any]) -> Vectors:
    if not path.is_file() or folders.sha256(path) != header["vectors"]:
        raise _broken(path, f"it is missing or altered: its SHA-256 is not the one in {HEADER}")
    try:
        vectors: Vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from error
    _check(path.parent, header["entries"], vectors)
    return vectors


def _entries(header: dict[str, Any], folder: Path) -> list[Entry]:
    """The entries, each engraving, kind and perhaps an image. Raises BrokenIndex."""
    for row in header["entries"]:
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(word, str) for word in (*row[:2], row[2] or ""))):
            raise _broken(folder / HEADER, f"an entry is not engraving, kind, picture: {str(row)[:80]}")
    return [Entry(*row) for row in header["entries"]]


def _check(folder: Path, entries: Sequence[Sequence[Any]], vectors: Vectors) -> None:
    """A row for each entry, every kind known, every vector of length 1. Raises BrokenIndex."""
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) != len(entries):
        raise _broken(folder / VECTORS, f"{len(entries)} entries need float32 rows of as many, not {vectors.dtype} {list(vectors.shape)}")
    if unknown := sorted({str(entry[1]) for entry in entries} - set(KINDS)):
        raise _broken(folder / HEADER, f"kind {unknown[0]!r} is none of {', '.join(KINDS)}")
    if len(vectors) and not (np.abs(np.linalg.norm(vectors, axis=1) - 1) < LENGTH).all():
        raise _broken(folder / VECTORS, "a vector's length is not 1")


def _broken(path: Path, reason: str) -> BrokenIndex:
    return BrokenIndex(f"{path} is no valid index: {reason}. `make train family=gravures` makes it again, `dvc checkout` fetches it.")


class Space:
    """A search space of engravings, each with one or several vectors."""

    def __init__(self, entries: Sequence[Entry], vectors: Vectors) -> None:
        self.entries = list(entries)
        self._index = Index(vectors)
        self._size = len({(KINDS[entry.kind], entry.engraving) for entry in self.entries})

    def __len__(self) -> int:
        return self._size

    def nearest(self, embedding: Vectors, k: int) -> list[Match]:
        """The k engravings most similar to an embedding [d], by their most similar members; all where there are fewer."""
        asked, found = 0, dict[tuple[str, str], Match]()
        while len(found) < min(k, len(self)):
            asked = min(max(MEMBERS * k, 4 * asked), len(self.entries))
            found = self._found(embedding, asked)
        return list(found.values())[:k]

    def _found(self, embedding: Vectors, rows: int) -> dict[tuple[str, str], Match]:
        """The engravings of the nearest rows, best first."""
        found: dict[tuple[str, str], Match] = {}
        for similarity, row in zip(*(answer[0] for answer in self._index.nearest(embedding[None], rows)), strict=True):
            entry = self.entries[int(row)]
            kind = KINDS[entry.kind]
            found.setdefault((kind, entry.engraving), Match(entry.engraving, kind, float(similarity), entry.picture))
        return found
