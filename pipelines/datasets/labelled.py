"""Labelled pages of a person: a folder or a tar of pictures, each with its label file, and whose document each page is.

The label of `images/a.jpg` is `images/a.txt`, `images/a.xml`, or the same in `labels/` (Pascal VOC: `JPEGImages/` and `Annotations/`).
"""

import csv
import io
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pipelines.datasets import archives, labels, pictures
from pipelines.datasets.boxes import Boxes

PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LABELS = {".txt", ".xml"}
BESIDE = {"images": "labels", "JPEGImages": "Annotations"}
NOT_LABELS = {"classes.txt"}  # labelImg writes the names of the classes beside the labels
MANIFEST = "manifest.csv"
PAGE_PART = re.compile(r"(?<=.)([-_ ]?page[-_ ]?\d+)?([-_ ]\d{1,3})?$", re.IGNORECASE)
WORKING_SIDE = 1280  # pixels: larger pages are reduced while they are decoded
COLOURED = 60  # of 255 between two channels of a pixel: more is a stamp or blue ink, less is JPEG's doing
ORIENTATION = ExifTags.Base.Orientation  # above 4: lying on its side
NAMED = 20  # files that an error lists


class Unpaired(ValueError):
    """Pictures without a label, labels without a picture, or no picture at all."""


class BadManifest(ValueError):
    """A manifest.csv that does not tell whose page a picture is."""


class BrokenPicture(ValueError):
    """A file that is no whole picture, by name."""


class Labelled(NamedTuple):
    """One page: the file as it came, its size in pixels as a person sees it, whether it has colour, and its boxes [k, 4] in pixels.

    `name` is the file's, below the folder that all pictures share; `document` is what the page is a part of.
    """

    name: str
    document: str
    content: bytes
    height: int
    width: int
    colour: bool
    boxes: Boxes


def read(path: Path, known: Sequence[str]) -> list[Labelled]:
    """All pages of a folder or a tar, by name; `known` are the classes that a label may have.

    Raises BrokenArchive, Unpaired, BadManifest, BrokenPicture or BadLabel.
    """
    files = {name: content for name, content in archives.members(path) if _shown(name)}
    paired = pairs(files, str(path))
    manifests = {name: manifest(name, content) for name, content in files.items() if posixpath.basename(name) == MANIFEST}
    root = posixpath.commonpath([posixpath.dirname(name) for name in paired]) or "."
    pages = [page(name, document(name, manifests), files[name], label, files[label], known) for name, label in sorted(paired.items())]
    return [found._replace(name=posixpath.relpath(found.name, root)) for found in pages]


def page(name: str, of: str, content: bytes, label: str, labelled: bytes, known: Sequence[str]) -> Labelled:
    """One page of the document `of`, by its picture and its label file, called `label`. Raises BrokenPicture or BadLabel."""
    height, width, colour = _looked(name, content)
    return Labelled(name, of, content, height, width, colour, labels.read(label, labelled, height, width, known))


def document(name: str, manifests: Mapping[str, Mapping[str, str]]) -> str:
    """Whose page a picture is: by the nearest manifest.csv, {its name: {file: document}}, in a folder above; without one by its own name.

    Of the name it is what a trailing page part leaves: "letter-page02_2.png" and "letter_3.png" are of "letter". Raises BadManifest.
    """
    path = PurePosixPath(name)
    for near in (str(folder / MANIFEST) for folder in path.parents):
        if near in manifests:
            if path.name not in manifests[near]:
                raise BadManifest(
                    f"{near} names no document for {path.name}. Add a row: file {path.name}, and the document it is a page of."
                )
            return manifests[near][path.name]
    return PAGE_PART.sub("", path.stem, count=1)


def manifest(name: str, content: bytes) -> dict[str, str]:
    """{file: document} of a manifest.csv. Raises BadManifest."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True))
        return {row["file"]: row["document"] for row in rows if row["document"].strip()}
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise BadManifest(f"{name} is not a table of file and document ({error!r}). Wanted: a first line that names these two.") from error


def _shown(name: str) -> bool:
    """Hidden files and those that macOS adds are left out."""
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return not hidden and (path.suffix.lower() in PICTURES | LABELS or path.name == MANIFEST)


def pairs(files: Iterable[str], where: str) -> dict[str, str]:
    """{picture: label} of the names of all files, complete on both sides. Raises Unpaired."""
    names = list(filter(_shown, files))
    found = [name for name in names if PurePosixPath(name).suffix.lower() in PICTURES]
    if not found:
        raise Unpaired(f"{where} holds no picture. Pictures end in {', '.join(sorted(PICTURES))}.")
    folders = {posixpath.dirname(name) for name in found}
    there = {name for name in names if _is_label(name, folders)}
    choices = {name: [label for label in _labels_of(name) if label in there] for name in found}
    _none([name for name, own in choices.items() if not own], "have no label file", "Add one to each, empty for a page without boxes")
    _none([label for own in choices.values() if len(own) > 1 for label in own], "label a picture twice", "Keep one label a picture")
    paired = {name: own[0] for name, own in choices.items()}
    _none(there - set(paired.values()), "label no picture", "Take them out, or add their pictures")
    return paired


def _none(names: Iterable[str], what: str, remedy: str) -> None:
    listed = sorted(names)
    if listed:
        more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
        raise Unpaired(f"{len(listed)} files {what}: {'; '.join(listed[:NAMED])}{more}. {remedy}.")


def _is_label(name: str, folders: set[str]) -> bool:
    """Text and XML beside pictures, or in the folder for labels; siblings of it, such as labels_tight/, are left out."""
    path = PurePosixPath(name)
    near = posixpath.dirname(name) in folders or bool(set(BESIDE.values()) & set(path.parts[:-1]))
    return path.suffix in LABELS and path.name not in NOT_LABELS and near


def _labels_of(picture: str) -> list[str]:
    """Where the label of a picture may be."""
    stem = PurePosixPath(picture).with_suffix("")
    return [f"{place}{suffix}" for place in (stem, _moved(stem)) if place for suffix in sorted(LABELS)]


def _moved(stem: PurePosixPath) -> PurePosixPath | None:
    """images/train/a as labels/train/a: the last folder of such a name counts."""
    parts = list(stem.parts)
    for index in reversed(range(len(parts) - 1)):
        if parts[index] in BESIDE:
            return PurePosixPath(*parts[:index], BESIDE[parts[index]], *parts[index + 1 :])
    return None


def _looked(name: str, content: bytes) -> tuple[int, int, bool]:
    """(height, width, colour) of a picture that is decoded to its end."""
    try:
        picture = Image.open(io.BytesIO(content), formats=pictures.FORMATS)
        width, height = picture.size[::-1] if picture.getexif().get(ORIENTATION, 1) > 4 else picture.size
        mode = "L" if picture.mode in {"1", "L"} else "RGB"
        return height, width, _coloured(pictures.decoded(picture, mode, WORKING_SIDE))
    except Exception as error:  # decoders raise what they like on broken bytes
        what = "no picture" if isinstance(error, UnidentifiedImageError) else str(error)
        raise BrokenPicture(f"{name} is no whole picture ({what}). Replace it, or take it out with its label.") from error


def _coloured(seen: NDArray[np.uint8]) -> bool:
    return seen.ndim == 3 and bool((seen.max(2) - seen.min(2)).max() > COLOURED)
