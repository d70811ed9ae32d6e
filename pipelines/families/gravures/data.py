"""Drawings, official pictures, a catalogue and characters of many writers, brought to one convention, split and packed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.configs import Config
from pipelines.datasets import archives, cards, splits
from pipelines.families.gravures import embedded
from pipelines.families.gravures.examples import CATALOGUE, CLASSES, NAMES, SPLITS, Labelled, Writers, pack, save
from pipelines.families.gravures.parts import alphabets, engravings, lenses
from pipelines.families.gravures.parts.alphabets import Character
from pipelines.families.gravures.parts.engravings import Engravings, Files, Picture
from pipelines.families.gravures.parts.files import brought, listed
from pipelines.families.gravures.settings import Data, Source

PEOPLE = 20  # who drew each character of Omniglot
LEAST = {"train": 2, "valid": 1, "test": 1}  # drawings of a class, however few it has
ROOMY = 6  # drawings of a class from which on valid and test have two each


class TooFewDrawings(ValueError):
    """No drawing at all, classes with too few to split, or a split without an alphabet."""


class TwoPictures(ValueError):
    """Several files of one name in what is packed."""


class Origin(NamedTuple):
    """What the card says of a source, what its page says of it, and its files: laid out as engravings, or as characters."""

    source: dict[str, Any]
    description: str
    engravings: Files = ()
    characters: Files = ()


class Packed(NamedTuple):
    """What is packed, in the order of the classes' names: drawings and characters by split, and what all splits share."""

    classes: list[str]
    drawn: dict[str, Labelled]
    official: Labelled
    writers: dict[str, Writers]
    alphabets: list[str]
    catalogue: dict[str, Any]


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split by number and by alphabet, and return the data card.

    Raises MissingData, BrokenArchive, BadFolders, BadAlphabets, BadCatalogue, BrokenPictures, TwoPictures or TooFewDrawings.
    """
    origins = [origin for source in cfg.data.sources for origin in READERS[source](cfg.data)]
    found = _joined([engravings.read(origin.engravings) for origin in origins])
    packed = _split(found, [one for origin in origins if origin.characters for one in alphabets.read(origin.characters)], cfg.data)
    _write(out, packed)
    save(out, "catalogue", images=_brought(found.catalogue))
    pack(out, ((picture.name, picture.content) for picture in _pictures(found)))
    return cards.write(out, _card(cfg.data, origins, packed))


def _split(found: Engravings, characters: list[Character], data: Data) -> Packed:
    classes = sorted({picture.engraving for picture in found.drawn + found.official})
    drawn = _drawings(found, classes, data)
    writers, names = _writers(characters, data)
    catalogue = lenses.catalogue(found.catalogue, found.lenses, classes, lenses.tags(found.tags))
    return Packed(classes, drawn, _labelled(found.official, classes), writers, names, catalogue)


def _write(out: Path, packed: Packed) -> None:
    drawn = {**packed.drawn, "official": packed.official}
    for split, labelled in drawn.items():
        save(out, split, images=labelled.images, labels=labelled.labels)
    for split, characters in packed.writers.items():
        save(out, f"writers-{split}", **characters._asdict())
    folders.write_json(out / NAMES, {split: labelled.names for split, labelled in drawn.items()})
    folders.write_json(out / CLASSES, packed.classes)
    folders.write_json(out / CATALOGUE, packed.catalogue)


def _joined(found: list[Engravings]) -> Engravings:
    """All sources in one. Raises TwoPictures where two files would have one name in what is packed."""
    joined = Engravings(*(list(chain.from_iterable(parts)) for parts in zip(*found, strict=True)))
    names = Counter(picture.name for picture in _pictures(joined))
    if twice := {name: f"{count} files" for name, count in names.items() if count > 1}:
        raise TwoPictures(f"Several files have one name: {listed(twice)}. Rename them in one of the sources, or take them out.")
    return joined


def _pictures(found: Engravings) -> list[Picture]:
    return found.drawn + found.official + found.catalogue


def _drawings(found: Engravings, classes: list[str], data: Data) -> dict[str, Labelled]:
    """The drawings of each split, class by class in the order of their numbers."""
    by_class = {name: [picture for picture in found.drawn if picture.engraving == name] for name in classes}
    places = {name: _places(len(drawings), data) for name, drawings in by_class.items() if drawings}
    _check(places)
    chosen = {
        split: [picture for name, own in places.items() for picture, place in zip(by_class[name], own, strict=True) if place == split]
        for split in SPLITS
    }
    return {split: _labelled(_limited(pictures, split, data.limit), classes) for split, pictures in chosen.items()}


def _places(count: int, data: Data) -> list[str]:
    """The split of each of a class's drawings: it does not depend on other classes."""
    least = LEAST["test"] if count < ROOMY else 2
    test, valid = (max(least, round(count * share)) for share in (data.test, data.valid))
    return (["train"] * (count - test - valid) + ["valid"] * valid + ["test"] * test)[-count:]


def _check(places: dict[str, list[str]]) -> None:
    if not places:
        raise TooFewDrawings(f"There is no drawing. {engravings.SHAPE}")
    few = {name: f"{len(own)}, of which {own.count('train')} train" for name, own in places.items() if own.count("train") < LEAST["train"]}
    if few:
        raise TooFewDrawings(
            f"Some classes have too few drawings: {listed(few)}. Training needs {LEAST['train']} of each beside those for valid and test: "
            "add drawings (4 are enough for the shares as they stand), take the class out, or lower data.valid and data.test."
        )


def _limited(pictures: list[Picture], split: str, limit: int | None) -> list[Picture]:
    """At most `limit` drawings, the first ones of every class, but never fewer of a class than training needs."""
    if limit is None:
        return pictures
    ranks, seen = list[int](), Counter[str]()
    for picture in pictures:
        ranks.append(seen[picture.engraving])
        seen[picture.engraving] += 1
    floor = sum(rank < LEAST[split] for rank in ranks)
    kept = sorted(range(len(pictures)), key=lambda row: (ranks[row], row))[: max(limit, floor if split == "train" else 0)]
    return [pictures[row] for row in sorted(kept)]


def _labelled(pictures: list[Picture], classes: list[str]) -> Labelled:
    index = {name: number for number, name in enumerate(classes)}
    labels = np.array([index[picture.engraving] for picture in pictures], np.uint16)
    return Labelled(_brought(pictures), labels, tuple(picture.name for picture in pictures))


def _brought(pictures: Sequence[Picture | Character]) -> NDArray[np.uint8]:
    return brought((picture.name, picture.content) for picture in pictures)


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
    kept = set(splits.spread(keys, limit and max(2, limit // PEOPLE)))
    return [one for one in characters if (one.alphabet, one.character) in kept]


def _characters(found: list[Character], numbers: dict[tuple[str, str], int], names: list[str]) -> Writers:
    return Writers(
        _brought(found),
        np.array([numbers[one.alphabet, one.character] for one in found], np.uint16),
        np.array([names.index(one.alphabet) for one in found], np.uint8),
        np.array([one.writer for one in found], np.uint8),
    )


def _folders(data: Data) -> Iterator[Origin]:
    for name, said in data.folders.items():
        yield Origin(_source(name, said), said.description, engravings=archives.members(archives.located(said.path)))


def _omniglot(data: Data) -> Iterator[Origin]:
    if said := data.omniglot:
        yield Origin(_source("omniglot", said), said.description, characters=archives.members(archives.located(said.path)))


def _source(name: str, said: Source) -> dict[str, Any]:
    return cards.folder_source(name, said.path, said.licence, said.citation)


def _embedded(_: Data) -> Iterator[Origin]:
    """The drawings' sources are the modules that draw them."""
    said = "Engravings, a catalogue and characters, all drawn here."
    yield Origin(_code("embedded.py"), said, embedded.engravings(), embedded.characters())
    yield Origin(_code("parts/symbols.py"), "Their strokes are made up as well.")


def _code(name: str) -> dict[str, Any]:
    return cards.code_source(f"families/gravures/{name}", "drawn by the project")


READERS: dict[str, Callable[[Data], Iterator[Origin]]] = {"folder": _folders, "omniglot": _omniglot, "embedded": _embedded}


def _card(data: Data, origins: list[Origin], packed: Packed) -> dict[str, Any]:
    lenses_ = packed.catalogue["lenses"]
    return {
        "name": "gravures",
        "description": " ".join(origin.description for origin in origins),
        "sources": [origin.source for origin in origins],
        "decoder": cards.decoder(),
        "split": f"by number in each class: the last {data.test:g} test, {data.valid:g} before them valid, else train; alphabets: by name",
        "counts": {split: len(drawn.labels) for split, drawn in packed.drawn.items()},
        "classes": {split: cards.per_class(drawn.labels, packed.classes) for split, drawn in packed.drawn.items()},
        "official": len(packed.official.labels),
        "catalogue": len(packed.catalogue["pictures"]),
        "lenses": len(lenses_),
        "lenses_without_picture": sum(lens["picture"] is None for lens in lenses_),
        "writers": {split: _described(writers, packed.alphabets) for split, writers in packed.writers.items()},
        "duplicates": cards.duplicates({split: drawn.images for split, drawn in packed.drawn.items()}),
        "writers_duplicates": cards.duplicates({split: writers.images for split, writers in packed.writers.items()}),
    }


def _described(writers: Writers, alphabets_: list[str]) -> dict[str, Any]:
    """How many pictures and characters, and of each alphabet how many pictures."""
    counts = cards.per_class(writers.alphabets, alphabets_)
    return {
        "pictures": len(writers.labels),
        "characters": len(np.unique(writers.labels)),
        "alphabets": {name: count for name, count in counts.items() if count},
    }
