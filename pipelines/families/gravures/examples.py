"""Packed engravings, as ingest wrote them: what training and scoring read."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.families.gravures.picture import Convention

CONVENTION = Convention()
SPLITS = ("train", "valid", "test")
CLASSES, NAMES, CATALOGUE = "classes.json", "names.json", "catalogue.json"
FILES, PLACES = "pictures.bin", "pictures.json"


class NoPicture(LookupError):
    """A picture that is not in data/, or data/ that is not here."""


class Labelled(NamedTuple):
    """Brought pictures [n, 64, 64], ink 255 on 0, their labels [n], indices into the classes, and their names in pictures.json."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    names: tuple[str, ...] = ()


class Writers(NamedTuple):
    """Characters of alphabets as many people drew them: brought pictures [n, 64, 64], and of each [n] the character, numbered once over

    all splits, its alphabet, an index into the card's alphabets, and who drew it, 1 to 20.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    alphabets: NDArray[np.uint8]
    writers: NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """One split's drawings and characters, and what all splits share: the drawings of train, the official pictures, the catalogue.

    `catalogue_images` [m, 64, 64] are the catalogue's pictures, brought, in its order. `split` is its name.
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


def save(folder: Path, name: str, **arrays: NDArray[Any]) -> None:
    """Write <name>-<part>.npy for each array."""
    for part, values in arrays.items():
        np.save(folder / f"{name}-{part}.npy", values, allow_pickle=False)


def pack(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write pictures.bin, the files one after another as they came, and pictures.json: where each is, {name: [offset, size]}."""
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
        writers=Writers(*(_array(folder, f"writers-{split}-{part}") for part in Writers._fields)),
        classes=json.loads((folder / CLASSES).read_text()),
        catalogue=json.loads((folder / CATALOGUE).read_text()),
        catalogue_images=_array(folder, "catalogue-images"),
    )


def _labelled(folder: Path, name: str) -> Labelled:
    names = json.loads((folder / NAMES).read_text())[name]
    return Labelled(_array(folder, f"{name}-images"), _array(folder, f"{name}-labels"), tuple(names))


def _array(folder: Path, name: str) -> NDArray[Any]:
    loaded: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return loaded


def picture(folder: Path, name: str) -> bytes:
    """A picture's file as it came, by its name in pictures.json, such as catalogue/gravure_0000.png. Raises NoPicture."""
    try:
        offset, size = json.loads((folder / PLACES).read_text())[name]
        with (folder / FILES).open("rb") as files:
            files.seek(offset)
            return files.read(size)
    except FileNotFoundError as error:
        raise NoPicture(f"{folder} is not here, so {name} cannot be shown. `dvc repro ingest@gravures` makes it from the data.") from error
    except KeyError as error:
        raise NoPicture(f"{folder} holds no picture {name}. The data were packed without it; they and the model may differ.") from error
