"""Scanned pages with boxes, of folders, the image store or drawn: split by document, and packed as they came."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipelines.configs import Config
from pipelines.datasets import archives, cards, labelled, splits
from pipelines.datasets.labelled import Labelled
from pipelines.families.signatures import embedded
from pipelines.families.signatures.examples import LABELS, Page, Split, pack
from pipelines.families.signatures.settings import Data
from pipelines.imagestore import datasets

REMEDY = (
    "Add documents, or name those that each split needs under data.pinned; a manifest.csv (file, document) says which pages belong "
    "together."
)


class Found(NamedTuple):
    """One source: its entry in the card, its description, and its pages by name."""

    source: dict[str, Any]
    description: str
    pages: list[Labelled]

    @property
    def name(self) -> str:
        """Its name in `fit.sources`."""
        return str(self.source["source"])


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split by document, and return the data card.

    Raises MissingData, BrokenArchive, Unpaired, BadManifest, BrokenPicture, BadLabel or TooFewDocuments.
    """
    data = cfg.data
    found = [one for source in data.sources for one in READERS[source](data)]
    pages = [_page(one.name, page) for one in found for page in one.pages]
    by_document = splits.by_group(pages, lambda page: page.document, partial(_split_of, data), REMEDY)
    parts = {split: splits.spread(chosen, data.limit) for split, chosen in by_document.items()}
    for split, chosen in parts.items():
        pack(out, split, chosen)
    return cards.write(out, _card(data, found, parts))


def _split_of(data: Data, document: str) -> str:
    return data.pinned.get(document) or splits.assigned(document, {"train": data.train, "valid": data.valid}, "test")


def _page(source: str, page: Labelled) -> Page:
    return Page(page.name, page.document, source, page.content, page.height, page.width, page.boxes)


def _folders(data: Data) -> Iterator[Found]:
    for name, source in data.folders.items():
        entry = cards.folder_source(name, source.path, source.licence, source.citation)
        yield Found(entry, source.description, labelled.read(archives.located(source.path), LABELS))


def _stores(data: Data) -> Iterator[Found]:
    for name, source in data.stores.items():
        stored = datasets.manifest(source.dataset)
        manifests = {labelled.MANIFEST: labelled.manifest(labelled.MANIFEST, stored)} if stored is not None else {}
        pages = [
            labelled.page(file, labelled.document(file, manifests), content, f"the label of {file}", label, LABELS)
            for file, content, label in datasets.labelled(source.dataset)
        ]
        content = {"sha256": datasets.fingerprint(source.dataset), "bytes": datasets.size(source.dataset)}
        entry = {"source": name, "kind": "mongo", "path": source.dataset, "url": f"mongo:{source.dataset}", **content}
        yield Found({**entry, "licence": source.licence, "citation": source.citation}, source.description, pages)


def _embedded(_: Data) -> Iterator[Found]:
    entry = cards.code_source("families/signatures/embedded.py", "drawn by the project")
    yield Found(entry, "Drawn letters with scribbled signatures, made here.", list(embedded.drawn()))


READERS: dict[str, Callable[[Data], Iterator[Found]]] = {"folder": _folders, "mongo": _stores, "embedded": _embedded}


def _card(data: Data, found: list[Found], parts: dict[str, list[Page]]) -> dict[str, Any]:
    return {
        "name": "signatures",
        "description": " ".join(one.description for one in found),
        "sources": [one.source for one in found],
        "decoder": cards.decoder(),
        "split": f"documents by SHA-256 of their names: train {data.train:g}, valid {data.valid:g}, test the rest",
        "pinned": data.pinned,
        "counts": {split: len(pages) for split, pages in parts.items()},
        "documents": {split: len({page.document for page in pages}) for split, pages in parts.items()},
        "classes": {split: {LABELS[0]: _boxes(pages)} for split, pages in parts.items()},
        "by_source": {one.name: _described(one, parts) for one in found},
        "duplicates": cards.duplicates({split: Split(pages).images for split, pages in parts.items()}),
    }


def _described(found: Found, parts: dict[str, list[Page]]) -> dict[str, Any]:
    """One source: pages, documents and boxes of each split, pages in colour, how many pages have k boxes, and deciles of their sides.

    Sides are fractions of the page.
    """
    own = {split: [page for page in pages if page.source == found.name] for split, pages in parts.items()}
    pages = [page for split in own.values() for page in split]
    coloured = {page.name for page in found.pages if page.colour}
    signed = np.bincount([len(page.boxes) for page in pages], minlength=1)
    sizes = np.concatenate([page.boxes[:, 2:] / (page.width, page.height) for page in pages] or [np.empty((0, 2))])
    return {
        "pages": {split: len(chosen) for split, chosen in own.items()},
        "documents": {split: len({page.document for page in chosen}) for split, chosen in own.items()},
        "boxes": {split: _boxes(chosen) for split, chosen in own.items()},
        "colour": sum(page.name in coloured for page in pages),
        "per_page": {str(count): int(number) for count, number in enumerate(signed)},
        "width": cards.deciles(sizes[:, 0], 4),
        "height": cards.deciles(sizes[:, 1], 4),
    }


def _boxes(pages: list[Page]) -> int:
    return sum(len(page.boxes) for page in pages)
