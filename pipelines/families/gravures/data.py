"""Drawings, official images, a catalogue and characters of many writers, normalised, split and packed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.configs import Config
from pipelines.datasets import archives, cards, packed, pictures, splits
from pipelines.families.gravures import embedded
from pipelines.families.gravures.examples import CATALOGUE, CLASSES, CONVENTION, NAMES, SPLITS, Labelled, Writers, pack
from pipelines.families.gravures.parts import alphabets, engravings, lenses
from pipelines.families.gravures.parts.alphabets import Character
from pipelines.families.gravures.parts.engravings import BadFolders, Engravings, Files, Picture
from pipelines.families.gravures.picture import Blank
from pipelines.families.gravures.settings import Data, Source

PEOPLE = 20  # who drew each character of Omniglot
LEAST = {"train": 2, "valid": 1, "test": 1}  # drawings of a class, however few it has
ROOMY = 6  # drawings of a class from which on valid and test have two each
WORKING_SIDE = 1024  # pixels: larger images are reduced while they are decoded


class TooFewDrawings(ValueError):
    """No drawing at all, classes with too few to split, or a split without an alphabet."""


class BrokenPictures(ValueError):
    """Files that cannot be decoded, or are blank, by name."""


class Origin(NamedTuple):
    """A source: its entry in the card, its description, and its files, laid out as engravings or as characters."""

    source: dict[str, Any]
    description: str
    engravings: Files = ()
    characters: Files = ()


class Packed(NamedTuple):
    """What is packed: the names of the classes in order, drawings and characters by split, and what all splits share."""

    classes: list[str]
    drawn: dict[str, Labelled]
    official: Labelled
    writers: dict[str, Writers]
    alphabets: list[str]
    catalogue: dict[str, Any]


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split by number and by alphabet, and return the data card.

    Raises MissingData, BrokenArchive, BadFolders, BadAlphabets, BadCatalogue, BrokenPictures or TooFewDrawings.
    """
    origins = [origin for source in cfg.data.sources for origin in READERS[source](cfg.data)]
    found = _joined([engravings.read(origin.engravings) for origin in origins])
    content = _split(found, [one for origin in origins if origin.characters for one in alphabets.read(origin.characters)], cfg.data)
    _write(out, content)
    packed.save(out, "catalogue", images=normalised(found.catalogue))
    pack(out, ((picture.name, picture.content) for picture in found.pictures))
    return cards.write(out, _card(cfg.data, origins, content))


def _split(found: Engravings, characters: list[Character], data: Data) -> Packed:
    classes = sorted({picture.engraving for picture in found.drawn + found.official})
    drawn = _drawings(found, classes, data)
    writers, names = _writers(characters, data)
    catalogue = lenses.catalogue(found.catalogue, found.lenses, classes, lenses.tags(found.tags))
    return Packed(classes, drawn, _labelled(found.official, classes), writers, names, catalogue)


def _write(out: Path, content: Packed) -> None:
    drawn = {**content.drawn, "official": content.official}
    for split, labelled in drawn.items():
        packed.save(out, split, images=labelled.images, labels=labelled.labels)
    for split, characters in content.writers.items():
        packed.save(out, f"writers-{split}", **characters._asdict())
    folders.write_json(out / NAMES, {split: labelled.names for split, labelled in drawn.items()})
    folders.write_json(out / CLASSES, content.classes)
    folders.write_json(out / CATALOGUE, content.catalogue)


def _joined(found: list[Engravings]) -> Engravings:
    """All sources in one. Raises BadFolders where two files would be packed under one name."""
    joined = Engravings(*(list(chain.from_iterable(parts)) for parts in zip(*found, strict=True)))
    names = Counter(picture.name for picture in joined.pictures)
    if twice := [f"{name} ({count} files)" for name, count in names.items() if count > 1]:
        raise BadFolders(f"Several files have one name: {archives.listed(twice)}. Rename them in one of the sources, or remove them.")
    return joined


def _drawings(found: Engravings, classes: list[str], data: Data) -> dict[str, Labelled]:
    """The drawings of each split, class by class in the order of their numbers."""
    by_class = {name: [picture for picture in found.drawn if picture.engraving == name] for name in classes}
    places = {name: _places(len(drawings), data) for name, drawings in by_class.items() if drawings}
    _check(places)
    chosen = {
        split: [picture for name, own in places.items() for picture, place in zip(by_class[name], own, strict=True) if place == split]
        for split in SPLITS
    }
    return {split: _labelled(_limited(drawings, split, data.limit), classes) for split, drawings in chosen.items()}


def _places(count: int, data: Data) -> list[str]:
    """The split of each of a class's `count` drawings."""
    least = LEAST["test"] if count < ROOMY else 2
    test, valid = (max(least, round(count * share)) for share in (data.test, data.valid))
    return (["train"] * (count - test - valid) + ["valid"] * valid + ["test"] * test)[-count:]


def _check(places: dict[str, list[str]]) -> None:
    if not places:
        raise TooFewDrawings(f"There is no drawing. {engravings.SHAPE}")
    trained = {name: own.count("train") for name, own in places.items()}
    if few := [f"{name} ({len(places[name])}, of which {count} train)" for name, count in trained.items() if count < LEAST["train"]]:
        raise TooFewDrawings(
            f"Some classes have too few drawings: {archives.listed(few)}. Training needs {LEAST['train']} of each beside those for valid "
            "and test: add drawings (4 are enough for the present shares), remove the class, or lower data.valid and data.test."
        )


def _limited(drawings: list[Picture], split: str, limit: int | None) -> list[Picture]:
    """At most `limit` drawings, the first ones of every class, but never fewer of a class than training needs."""
    if limit is None:
        return drawings
    ranks, seen = list[int](), Counter[str]()
    for picture in drawings:
        ranks.append(seen[picture.engraving])
        seen[picture.engraving] += 1
    floor = sum(rank < LEAST[split] for rank in ranks) if split == "train" else 0
    chosen = sorted(range(len(drawings)), key=lambda row: (ranks[row], row))[: max(limit, floor)]
    return [drawings[row] for row in sorted(chosen)]


def _labelled(found: list[Picture], classes: list[str]) -> Labelled:
    labels = np.array([classes.index(picture.engraving) for picture in found], np.uint16)
    return Labelled(normalised(found), labels, tuple(picture.name for picture in found))


def normalised(files: Sequence[Picture | Character]) -> NDArray[np.uint8]:
    """The files as images [n, 64, 64]. Raises BrokenPictures, naming all that are broken or blank."""
    found, broken = list[NDArray[np.uint8]](), list[str]()
    for file in files:
        try:
            found.append(CONVENTION.from_grey(pictures.decoded(pictures.opened(file.content), "L", WORKING_SIDE)))
        except Exception as error:  # decoders raise all kinds of errors on broken bytes
            broken.append(f"{file.name} ({'blank' if isinstance(error, Blank) else pictures.fault(error)})")
    if broken:
        raise BrokenPictures(f"{len(broken)} files are broken or blank: {archives.listed(broken)}. Replace or remove them.")
    return np.stack(found) if found else np.empty((0, CONVENTION.side, CONVENTION.side), np.uint8)


def _writers(characters: list[Character], data: Data) -> tuple[dict[str, Writers], list[str]]:
    """The characters of each split, all drawings of a character in one, and the names of the alphabets."""
    names = sorted({one.alphabet for one in characters})
    numbers = {key: number for number, key in enumerate(sorted({(one.alphabet, one.character) for one in characters}))}
    places = _alphabets(characters, data)
    chosen = {split: _complete([one for one in characters if places[one.alphabet] == split], data.limit) for split in SPLITS}
    return {split: _characters(found, numbers, names) for split, found in chosen.items()}, names


def _alphabets(characters: list[Character], data: Data) -> dict[str, str]:
    """The split of each alphabet: the published test where there is one, else by the SHA-256 of its name."""
    published = {one.alphabet for one in characters if one.published}
    shares = {"valid": data.valid} if published else {"valid": data.valid, "test": data.test}
    names = {one.alphabet for one in characters}
    places = {name: "test" if name in published else splits.assigned(name, shares, "train") for name in names}
    if places and (empty := [split for split in SPLITS if split not in places.values()]):
        raise TooFewDrawings(
            f"{len(places)} alphabets leave none for {', '.join(empty)}: their names decide. Add alphabets, or change data.valid."
        )
    return places


def _complete(characters: list[Character], limit: int | None) -> list[Character]:
    """All drawings of as many characters as the limit allows, from all of the split."""
    keys = sorted({(one.alphabet, one.character) for one in characters})
    chosen = set(splits.spread(keys, limit and max(2, limit // PEOPLE)))
    return [one for one in characters if (one.alphabet, one.character) in chosen]


def _characters(found: list[Character], numbers: dict[tuple[str, str], int], names: list[str]) -> Writers:
    return Writers(
        normalised(found),
        np.array([numbers[one.alphabet, one.character] for one in found], np.uint16),
        np.array([names.index(one.alphabet) for one in found], np.uint8),
        np.array([one.writer for one in found], np.uint8),
    )


def _folders(data: Data) -> Iterator[Origin]:
    for name, source in data.folders.items():
        yield Origin(_source(name, source), source.description, engravings=archives.members(archives.located(source.path)))


def _omniglot(data: Data) -> Iterator[Origin]:
    if source := data.omniglot:
        yield Origin(_source("omniglot", source), source.description, characters=archives.members(archives.located(source.path)))


def _source(name: str, source: Source) -> dict[str, Any]:
    return cards.folder_source(name, source.path, source.licence, source.citation)


def _embedded(_: Data) -> Iterator[Origin]:
    """The sources of generated drawings are the modules that draw them."""
    first, *others = (
        cards.code_source(f"families/gravures/{name}.py", "drawn by the project")
        for name in ("embedded", "parts/drawing", "parts/glyphs", "parts/shapes", "parts/strokes", "parts/symbols")
    )
    yield Origin(first, "Engravings, a catalogue and characters, generated here.", embedded.engravings(), embedded.characters())
    yield from (Origin(source, "") for source in others)


READERS: dict[str, Callable[[Data], Iterator[Origin]]] = {"folder": _folders, "omniglot": _omniglot, "embedded": _embedded}


def _card(data: Data, origins: list[Origin], content: Packed) -> dict[str, Any]:
    catalogue = content.catalogue["lenses"]
    return {
        "name": "gravures",
        "description": " ".join(origin.description for origin in origins if origin.description),
        "sources": [origin.source for origin in origins],
        "decoder": cards.decoder(),
        "split": f"by number in each class: the last {data.test:g} test, {data.valid:g} before them valid, else train; alphabets: by name",
        "counts": {split: len(drawn.labels) for split, drawn in content.drawn.items()},
        "classes": {split: cards.per_class(drawn.labels, content.classes) for split, drawn in content.drawn.items()},
        "official": len(content.official.labels),
        "catalogue": len(content.catalogue["pictures"]),
        "lenses": len(catalogue),
        "lenses_without_picture": sum(lens["picture"] is None for lens in catalogue),
        "writers": {split: _described(writers, content.alphabets) for split, writers in content.writers.items()},
        "duplicates": cards.duplicates({split: drawn.images for split, drawn in content.drawn.items()}),
        "writers_duplicates": cards.duplicates({split: writers.images for split, writers in content.writers.items()}),
    }


def _described(writers: Writers, names: list[str]) -> dict[str, Any]:
    """How many images and characters, and of each alphabet how many images."""
    counts = cards.per_class(writers.alphabets, names)
    return {
        "pictures": len(writers.labels),
        "characters": len(np.unique(writers.labels)),
        "alphabets": {name: count for name, count in counts.items() if count},
    }
