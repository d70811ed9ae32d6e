"""Folders of engravings: drawn/<class>/*, official/<class>.png and catalogue/, or nothing but class folders of drawings."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

PLACES = ("drawn", "official", "catalogue")
TABLES = ("catalogue.csv", "tags.csv")
SHAPE = (
    "Wanted: drawn/<class>/<picture>, official/<class>.png, catalogue/catalogue.csv, catalogue/tags.csv and catalogue/images/<picture>; "
    "or class folders alone."
)

Files = Iterable[tuple[str, bytes]]


class BadFolders(ValueError):
    """Files outside a class folder, folders without a drawing, or several files of one name."""


class Picture(NamedTuple):
    """An image file, the engraving on it (a class, or the file's own name in a catalogue), and its name in pictures.json."""

    engraving: str
    name: str
    content: bytes


class Engravings(NamedTuple):
    """The content of a source: drawings by class and number, official images, and the images and tables (name, content) of a catalogue."""

    drawn: list[Picture]
    official: list[Picture]
    catalogue: list[Picture]
    lenses: list[tuple[str, bytes]]
    tags: list[tuple[str, bytes]]

    @property
    def pictures(self) -> list[Picture]:
        """All image files."""
        return self.drawn + self.official + self.catalogue


def read(files: Files) -> Engravings:
    """The engravings among files (name below the root, content), sorted. Hidden files are left out. Raises BadFolders."""
    shown = {name: content for name, content in files if not any(part.startswith((".", "__")) for part in name.split("/"))}
    places = _places(sorted(shown))
    placed = [(place, below, name, shown[name]) for name, (place, below) in places.items()]
    by_place = {place: [found[1:] for found in placed if found[0] == place] for place in PLACES}
    return Engravings(
        sorted((_drawing(*found) for found in by_place["drawn"]), key=lambda drawing: (drawing.engraving, natural(drawing.name))),
        [_official(*found) for found in by_place["official"]],
        list(_catalogue(by_place["catalogue"])),
        *([(name, content) for below, name, content in by_place["catalogue"] if below == [table]] for table in TABLES),
    )


def natural(name: str) -> list[str | int]:
    """A sort key by which 10 comes after 9."""
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", name))]


def _places(names: list[str]) -> dict[str, tuple[str, list[str]]]:
    """{name: (place, path below it)}; without any of the places, class folders are at the depth of most files."""
    found = {name: _place(name) for name in names}
    if any(place for place, _ in found.values()):
        return {name: (place, below) for name, (place, below) in found.items() if place == "drawn" or (place and below[-1])}
    depth = Counter(name.count("/") for name in names).most_common(1)[0][0] if names else 0
    return {name: ("drawn", name.split("/")[max(depth - 1, 0) :]) for name in names}


def _place(name: str) -> tuple[str, list[str]]:
    """The place of a file, "" for none, and the path below it."""
    *above, file = name.split("/")
    for depth, folder in enumerate(above):
        if folder in PLACES:
            return folder, [*above[depth + 1 :], file]
    return "", [file]


def _drawing(below: list[str], name: str, content: bytes) -> Picture:
    if len(below) != 2:
        raise BadFolders(f"{name} is in no class folder. Move it into one, or remove it. {SHAPE}")
    if not below[1]:
        raise BadFolders(f"{name} is an empty folder. Put drawings into it, or remove it. {SHAPE}")
    return Picture(below[0], f"drawn/{below[0]}/{below[1]}", content)


def _official(below: list[str], name: str, content: bytes) -> Picture:
    if len(below) != 1:
        raise BadFolders(f"{name} is no official image. Move it to official/<class>.png, or remove it. {SHAPE}")
    return Picture(below[0].rpartition(".")[0] or below[0], f"official/{below[0]}", content)


def _catalogue(found: list[tuple[list[str], str, bytes]]) -> Iterator[Picture]:
    for below, name, content in found:
        match below:
            case ["images", file]:
                yield Picture(file, f"catalogue/{file}", content)
            case [table] if table in TABLES:
                pass
            case _:
                raise BadFolders(f"{name} has no place in a catalogue. Move it to catalogue/images/, or remove it. {SHAPE}")
