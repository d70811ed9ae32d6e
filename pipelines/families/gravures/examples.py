"""Packed engravings as training and scoring read them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.datasets.packed import array
from pipelines.families.gravures.picture import Convention

CONVENTION = Convention()
SPLITS = ("train", "valid", "test")
CLASSES, NAMES, CATALOGUE = "classes.json", "names.json", "catalogue.json"
FILES, PLACES = "pictures.bin", "pictures.json"


class NoPicture(LookupError):
    """An image that is not in data/, or no data/ on this machine."""


class Labelled(NamedTuple):
    """Normalised images [n, 64, 64], ink 255 on 0, their labels [n], indices into the classes, and their names in pictures.json."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    names: tuple[str, ...] = ()


class Writers(NamedTuple):
    """Characters of alphabets: normalised images [n, 64, 64]; for each [n] the character, numbered over all splits, its alphabet, an index
    into the card's alphabets, and the person who drew it, 1 to 20.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    alphabets: NDArray[np.uint8]
    writers: NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """The drawings and characters of one split, named `split`; for every split the drawings of train, the official images, the catalogue.

    `catalogue_images` [m, 64, 64] are the normalised images of the catalogue, in its order.
    """

    split: str
    images: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    names: tuple[str, ...]
    gallery: Labelled
    official: Labelled
    writers: Writers
    classes: list[str]
    catalogue: dict[str, Any]
    catalogue_images: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)


def pack(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write the files one after another into pictures.bin, and {name: [offset, size]} into pictures.json."""
    places, offset = {}, 0
    with (folder / FILES).open("wb") as out:
        for name, content in files:
            out.write(content)
            places[name] = [offset, len(content)]
            offset += len(content)
    folders.write_json(folder / PLACES, places)


def load(folder: Path, split: str) -> Split:
    """One of the splits train, valid, test, mapped from disk."""
    images, labels, names = _labelled(folder, split)
    return Split(
        split,
        images,
        labels,
        names,
        gallery=_labelled(folder, "train"),
        official=_labelled(folder, "official"),
        writers=Writers(*(array(folder, f"writers-{split}", part) for part in Writers._fields)),
        classes=json.loads((folder / CLASSES).read_text()),
        catalogue=json.loads((folder / CATALOGUE).read_text()),
        catalogue_images=array(folder, "catalogue", "images"),
    )


def _labelled(folder: Path, name: str) -> Labelled:
    names = json.loads((folder / NAMES).read_text())[name]
    return Labelled(array(folder, name, "images"), array(folder, name, "labels"), tuple(names))


def picture(folder: Path, name: str) -> bytes:
    """The original file of an image, by its name in pictures.json, such as catalogue/gravure_0000.png. Raises NoPicture."""
    try:
        offset, size = json.loads((folder / PLACES).read_text())[name]
        with (folder / FILES).open("rb") as files:
            files.seek(offset)
            return files.read(size)
    except FileNotFoundError as error:
        raise NoPicture(f"{folder} is not on this machine, so {name} cannot be shown. `dvc repro ingest@gravures` packs it.") from error
    except KeyError as error:
        raise NoPicture(f"{folder} has no image {name}: the data may differ from those of the model.") from error
