"""Labelled pages: a folder or a tar of images, each with its label file, and the document that each page belongs to.

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
from PIL import ExifTags

from pipelines.datasets import archives, labels, pictures
from pipelines.datasets.boxes import Boxes

PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LABELS = {".txt", ".xml"}
LABEL_FOLDERS = {"images": "labels", "JPEGImages": "Annotations"}
NOT_LABELS = {"classes.txt"}  # labelImg writes the names of the classes next to the labels
MANIFEST = "manifest.csv"
PAGE_PART = re.compile(r"(?<=.)([-_ ]?page[-_ ]?\d+)?([-_ ]\d{1,3})?$", re.IGNORECASE)
WORKING_SIDE = 1280  # pixels: larger pages are reduced while they are decoded
COLOURED = 60  # of 255 between two channels of a pixel: more is a stamp or blue ink, less comes from JPEG
ORIENTATION = ExifTags.Base.Orientation  # above 4: lying on its side


class Unpaired(ValueError):
    """Images without a label, labels without an image, or no image at all."""


class BadManifest(ValueError):
    """A manifest.csv that does not name the document of an image."""


class BrokenPicture(ValueError):
    """A file that cannot be decoded, by name."""


class Labelled(NamedTuple):
    """One page: its file, its (height, width) in pixels when upright, whether it has colour, and its boxes [k, 4] in pixels.

    `name` is the file's, below the folder that all images share; `document` is what the page is a part of.
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
    files = {name: content for name, content in archives.members(path) if _is_relevant(name)}
    paired = pairs(files, str(path))
    manifests = {name: manifest(name, content) for name, content in files.items() if posixpath.basename(name) == MANIFEST}
    pages = [page(name, document(name, manifests), files[name], label, files[label], known) for name, label in sorted(paired.items())]
    root = common_folder(paired)
    return [found._replace(name=posixpath.relpath(found.name, root)) for found in pages]


def page(name: str, document: str, content: bytes, label_name: str, label: bytes, known: Sequence[str]) -> Labelled:
    """One page, from its image and its label file. Raises BrokenPicture or BadLabel."""
    (height, width), pixels = decode(name, content, WORKING_SIDE)
    colour = pixels.ndim == 3 and bool((pixels.max(2) - pixels.min(2)).max() > COLOURED)
    return Labelled(name, document, content, height, width, colour, labels.read(label_name, label, height, width, known))


def decode(name: str, content: bytes, side: int) -> tuple[tuple[int, int], NDArray[np.uint8]]:
    """(height, width) of an image when upright, and its pixels, sides over `side` reduced: [h, w], or [h, w, 3]. Raises BrokenPicture."""
    try:
        picture = pictures.opened(content)
        width, height = picture.size[::-1] if picture.getexif().get(ORIENTATION, 1) > 4 else picture.size
        return (height, width), pictures.decoded(picture, "L" if picture.mode in {"1", "L"} else "RGB", side)
    except Exception as error:  # decoders raise anything on broken bytes
        raise BrokenPicture(f"{name} cannot be decoded ({pictures.fault(error)}). Replace it, or remove it with its label.") from error


def common_folder(names: Iterable[str]) -> str:
    """The folder that all files share."""
    return posixpath.commonpath([posixpath.dirname(name) for name in names]) or "."


def document(name: str, manifests: Mapping[str, Mapping[str, str]]) -> str:
    """The document of an image: by the nearest manifest.csv, {its name: {file: document}}, in a folder above, else by its own name.

    A trailing page part of the name is dropped: "letter-page02_2.png" and "letter_3.png" are of "letter". Raises BadManifest.
    """
    path = PurePosixPath(name)
    near = next((str(folder / MANIFEST) for folder in path.parents if str(folder / MANIFEST) in manifests), None)
    if near is None:
        return PAGE_PART.sub("", path.stem, count=1)
    if path.name not in manifests[near]:
        raise BadManifest(f"{near} names no document for {path.name}. Add a row: file {path.name}, and the document it is a page of.")
    return manifests[near][path.name]


def manifest(name: str, content: bytes) -> dict[str, str]:
    """{file: document} of a manifest.csv. Raises BadManifest."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), strict=True))
        return {row["file"]: row["document"] for row in rows if row["document"].strip()}
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError) as error:
        raise BadManifest(f"{name} is not a table of file and document ({error!r}). Wanted: a first line that names these two.") from error


def _is_relevant(name: str) -> bool:
    """Is it an image, a label or a manifest, and neither hidden nor added by macOS?"""
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return not hidden and (path.suffix.lower() in PICTURES | LABELS or path.name == MANIFEST)


def pairs(files: Iterable[str], where: str) -> dict[str, str]:
    """{image: label} of the names of all files, complete on both sides. Raises Unpaired."""
    names = list(filter(_is_relevant, files))
    images = [name for name in names if PurePosixPath(name).suffix.lower() in PICTURES]
    if not images:
        raise Unpaired(f"{where} holds no image. Names of images end in {', '.join(sorted(PICTURES))}.")
    folders = {posixpath.dirname(name) for name in images}
    there = {name for name in names if _is_label(name, folders)}
    choices = {name: [label for label in _labels_of(name) if label in there] for name in images}
    _check_none([name for name, own in choices.items() if not own], "have no label file", "Add one to each, empty for a page without boxes")
    _check_none([label for own in choices.values() if len(own) > 1 for label in own], "label an image twice", "Keep one label an image")
    paired = {name: own[0] for name, own in choices.items()}
    _check_none(there - set(paired.values()), "label no image", "Remove them, or add their images")
    return paired


def _check_none(names: Iterable[str], what: str, remedy: str) -> None:
    if found := sorted(names):
        raise Unpaired(f"{len(found)} files {what}: {archives.listed(found)}. {remedy}.")


def _is_label(name: str, folders: set[str]) -> bool:
    """Text and XML next to images, or in the folder for labels; similar folders, such as labels_tight/, are left out."""
    path = PurePosixPath(name)
    near = posixpath.dirname(name) in folders or bool(set(LABEL_FOLDERS.values()) & set(path.parts[:-1]))
    return path.suffix in LABELS and path.name not in NOT_LABELS and near


def _labels_of(image: str) -> list[str]:
    """Where the label of an image may be: next to it, or in labels/train/ of images/train/; the last folder of such a name counts."""
    stem = PurePosixPath(image).with_suffix("")
    index = next((index for index in reversed(range(len(stem.parts) - 1)) if stem.parts[index] in LABEL_FOLDERS), None)
    places = [stem]
    if index is not None:
        places.append(PurePosixPath(*stem.parts[:index], LABEL_FOLDERS[stem.parts[index]], *stem.parts[index + 1 :]))
    return [f"{place}{suffix}" for place in places for suffix in sorted(LABELS)]
