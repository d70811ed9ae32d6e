"""Class folders, CIFAR-10 or drawn shapes, normalised to 32 x 32 and packed as one array of images and one of labels a split."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.configs import Config
from pipelines.datasets import archives, cards, packed, pictures, sources, splits
from pipelines.families.objects import embedded
from pipelines.families.objects.examples import CLASSES, CONVENTION, Split
from pipelines.families.objects.settings import Data

WORKING_SIDE = 1024  # pixels: larger images are reduced while they are decoded
SPLITS = ("train", "test")
MOST = 256  # classes: a label is a byte
SHAPE = "Wanted: train/<class>/* and test/<class>/*, the same classes in both."
DESCRIBED = {"cifar10": "CIFAR-10 as published.", "embedded": "Ten drawn shapes, made here."}  # a folder is described in the config
DRAWN = {"train": (1600, 1), "test": (400, 2)}  # shapes and seed
CIFAR10 = sources.Origin(  # .tgz: its checksum is that of the packed file, as its users publish it
    "cifar10/cifar-10-binary.tgz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170052171,
)
ROW = 1 + 3 * CONVENTION.side**2  # bytes of an image in the binary version: its label, then red, green and blue planes


class BadFolders(ValueError):
    """Class folders that are empty, differ between the splits, or hold one class."""


class BrokenPictures(ValueError):
    """Files that cannot be decoded, by name."""


class Example(NamedTuple):
    """One image [32, 32, 3], the split and the class of its folder, and its name in its source."""

    split: str
    label: str
    name: str
    picture: NDArray[np.uint8]


class Found(NamedTuple):
    """A source: its examples, its entry in the card, and the names of the files that were skipped."""

    examples: list[Example]
    source: dict[str, Any]
    broken: list[str]


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, validation split off by content, and return the data card.

    Raises MissingData, BrokenArchive, BadFolders or BrokenPictures.
    """
    found = [READERS[source](cfg.data) for source in cfg.data.sources]
    classes = _classes([example for source in found for example in source.examples])
    train, test = (_split(found, classes, name) for name in SPLITS)
    valid = splits.chosen((image.tobytes() for image in train.images), cfg.data.valid)
    if valid.all() or not valid.any():
        raise BadFolders(f"{len(valid)} training images are too few for a validation share of {cfg.data.valid:.0%}. Add some. {SHAPE}")
    parts = {"train": train.take(~valid), "valid": train.take(valid), "test": test}
    limited = {name: split.take(splits.spread(range(len(split.labels)), cfg.data.limit)) for name, split in parts.items()}
    for name, split in limited.items():
        packed.save(out, name, **split._asdict())
    folders.write_json(out / CLASSES, classes)
    return cards.write(out, _card(cfg, found, classes, limited))


def _folder(data: Data) -> Found:
    """train/<class>/* and test/<class>/*, at any depth of a folder or a tar."""
    path = archives.located(str(data.folder))
    examples, broken = list[Example](), dict[str, str]()
    for split, label, name, content in _class_files(path):
        try:
            examples.append(Example(split, label, name, _decoded(content)))
        except Exception as error:  # decoders raise what they like on broken bytes
            broken[name] = pictures.fault(error)
    _allowed(broken, data.skip_broken)
    source = cards.folder_source("folder", str(data.folder), data.licence, data.citation)
    return Found(sorted(examples, key=lambda example: example.name), source, sorted(broken))


def _class_files(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """(split, class, name, content) of each file in a class folder; hidden files are left out.

    Raises BadFolders for a folder without files, and for a file below train or test that is not in a class folder.
    """
    for name, content in archives.members(path):
        *above, split, label, file = ("", "", *name.split("/"))
        if split in SPLITS and not file:
            raise BadFolders(f"{name} is an empty folder. Put images into it, or remove it. {SHAPE}")
        if split in SPLITS and not file.startswith("."):
            yield split, label, name, content
        elif {*SPLITS} & {*above, label} and not file.startswith("."):
            raise BadFolders(f"{name} is in no class folder. Move it into one, or remove it. {SHAPE}")


def _decoded(content: bytes) -> NDArray[np.uint8]:
    """The content of a file as an image [32, 32, 3]."""
    return CONVENTION.from_rgb(pictures.decoded(pictures.opened(content), "RGB", WORKING_SIDE))


def _allowed(broken: dict[str, str], skip: bool) -> None:
    if broken and not skip:
        listed = archives.listed(f"{name} ({reason})" for name, reason in broken.items())
        raise BrokenPictures(f"{len(broken)} files cannot be decoded: {listed}. Replace them, or set data.skip_broken=true.")


def _cifar10(_: Data) -> Found:
    """The published archive, binary version: six files of 10,000 rows, and the names of the classes."""
    with tempfile.TemporaryDirectory() as folder:
        content = {Path(name).name: data for name, data in archives.members(sources.fetch(CIFAR10, Path(folder)))}
    names, shape = content["batches.meta.txt"].decode().split(), (3, CONVENTION.side, CONVENTION.side)
    batches = [("train", f"data_batch_{number}.bin") for number in range(1, 6)] + [("test", "test_batch.bin")]
    rows = [(split, row) for split, file in batches for row in np.frombuffer(content[file], np.uint8).reshape(-1, ROW)]
    examples = [Example(split, names[row[0]], "", row[1:].reshape(shape).transpose(1, 2, 0)) for split, row in rows]
    citation = "Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009"
    return Found(examples, cards.origin_source("cifar10", CIFAR10, "https://www.cs.toronto.edu/~kriz/cifar.html", citation), [])


def _embedded(_: Data) -> Found:
    """Shapes drawn here; their test is another draw."""
    drawn = [Example(split, label, "", picture) for split, (count, seed) in DRAWN.items() for label, picture in embedded.drawn(count, seed)]
    return Found(drawn, cards.code_source("families/objects/embedded.py", "drawn by the project"), [])


READERS: dict[str, Callable[[Data], Found]] = {"cifar10": _cifar10, "folder": _folder, "embedded": _embedded}


def _classes(examples: list[Example]) -> list[str]:
    """The classes, sorted. Raises BadFolders where the splits differ in them, or there are fewer than two."""
    found = {split: {example.label for example in examples if example.split == split} for split in SPLITS}
    if found["train"] != found["test"]:
        odd = ", ".join(sorted(found["train"] ^ found["test"]))
        raise BadFolders(f"train and test must have the same classes; only one of them has: {odd}. {SHAPE}")
    if not 2 <= len(found["train"]) <= MOST:
        listed = archives.listed(found["train"])
        raise BadFolders(f"{len(found['train'])} classes were found ({listed}); 2 to {MOST} are allowed. {SHAPE}")
    return sorted(found["train"])


def _split(found: list[Found], classes: list[str], split: str) -> Split:
    """All images of one split, in the order of the sources."""
    chosen = [example for source in found for example in source.examples if example.split == split]
    index = {name: number for number, name in enumerate(classes)}
    return Split(np.stack([example.picture for example in chosen]), np.array([index[example.label] for example in chosen], np.uint8))


def _card(cfg: Config, found: list[Found], classes: list[str], parts: dict[str, Split]) -> dict[str, Any]:
    return {
        "name": "objects",
        "description": " ".join(DESCRIBED.get(source, cfg.data.description) for source in cfg.data.sources),
        "sources": [source.source for source in found],
        "broken": [name for source in found for name in source.broken],
        "decoder": cards.decoder(),
        "split": f"test as found; valid: {cfg.data.valid:.4f} of the rest; by SHA-256 of the picture",
        "counts": {name: len(split.labels) for name, split in parts.items()},
        "classes": {name: cards.per_class(split.labels, classes) for name, split in parts.items()},
        "mean": _moment(parts["train"].images, np.mean),
        "deviation": _moment(parts["train"].images, np.std),
        "duplicates": cards.duplicates({name: split.images for name, split in parts.items()}),
    }


def _moment(images: NDArray[np.uint8], of: Callable[..., Any]) -> list[float]:
    """Of the training pictures' red, green and blue, 0 to 1."""
    return [round(float(of(images[..., channel])) / 255, 4) for channel in range(3)]
