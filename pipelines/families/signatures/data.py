"""Scanned pages with boxes, of folders, the image store or drawn: split by document, and packed as they came."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.configs import Config
from pipelines.datasets import archives, cards, labelled, splits
from pipelines.datasets.labelled import Labelled
from pipelines.families.signatures import embedded
from pipelines.families.signatures.examples import LABELS, SPLITS, Page, Split, pack
from pipelines.families.signatures.settings import Data, Source, Stored
from pipelines.imagestore import datasets


class TooFewDocuments(ValueError):
    """A split that no document falls into."""


class Found(NamedTuple):
    """What one source holds: what the card says of it, what its page says of it, and its pages, by name."""

    source: dict[str, Any]
    description: str
    pages: list[Labelled]

    @property
    def name(self) -> str:
        """The name that the recipes of training know it by."""
        return str(self.source["source"])


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split by document, and return the data card.

    Raises MissingData, BrokenArchive, Unpaired, BadManifest, BrokenPicture, BadLabel or TooFewDocuments.
    """
    found = [one for source in cfg.data.sources for one in READERS[source](cfg.data)]
    pages = [_page(one.name, page) for one in found for page in one.pages]
    parts = {split: _limited(pages_of, cfg.data.limit) for split, pages_of in _split(pages, cfg.data).items()}
    for split, chosen in parts.items():
        pack(out, split, chosen)
    return cards.write(out, _card(cfg.data, found, parts))


def _page(source: str, page: Labelled) -> Page:
    return Page(page.name, page.document, source, page.content, page.height, page.width, page.boxes)


def _split(pages: list[Page], data: Data) -> dict[str, list[Page]]:
    """Each document's pages to the split that its name decides."""
    place = {document: _place(document, data) for document in {page.document for page in pages}}
    parts = {split: [page for page in pages if place[page.document] == split] for split in SPLITS}
    if empty := [split for split in SPLITS if not parts[split]]:
        raise TooFewDocuments(
            f"{len(place)} documents ({len(pages)} pages) leave nothing for {', '.join(empty)}. Add documents, or name those that are "
            "to be there under data.pinned; where pages of one document were taken for one, a manifest.csv (file, document) tells."
        )
    return parts


def _place(document: str, data: Data) -> str:
    """By the SHA-256 of its name, so that it stays where it is when others come."""
    train, valid = (splits.chosen([document.encode()], share)[0] for share in (data.train, data.train + data.valid))
    return data.pinned.get(document) or ("train" if train else "valid" if valid else "test")


def _limited(pages: list[Page], limit: int | None) -> list[Page]:
    """At most `limit` pages, from all of the split: it is sorted by source."""
    rows = np.linspace(0, len(pages) - 1, min(limit or len(pages), len(pages))).astype(int)
    return [pages[row] for row in rows]


def _folders(data: Data) -> Iterator[Found]:
    for name, said in data.folders.items():
        path = archives.located(said.path)
        facts = {"kind": "folder", "path": said.path, "url": said.path, "sha256": archives.fingerprint(path), "bytes": archives.size(path)}
        yield Found(_source(name, facts, said), said.description, labelled.read(path, LABELS))


def _stores(data: Data) -> Iterator[Found]:
    for name, said in data.stores.items():
        manifest = datasets.manifest(said.dataset)
        manifests = {labelled.MANIFEST: labelled.manifest(labelled.MANIFEST, manifest)} if manifest is not None else {}
        pages = [
            labelled.page(file, labelled.document(file, manifests), content, f"the label of {file}", label, LABELS)
            for file, content, label in datasets.labelled(said.dataset)
        ]
        facts = {"kind": "mongo", "path": said.dataset, "url": f"mongo:{said.dataset}", "sha256": datasets.fingerprint(said.dataset)}
        yield Found(_source(name, {**facts, "bytes": datasets.size(said.dataset)}, said), said.description, pages)


def _source(name: str, facts: dict[str, Any], said: Source | Stored) -> dict[str, Any]:
    return {"source": name, **facts, "licence": said.licence, "citation": said.citation}


def _embedded(_: Data) -> Iterator[Found]:
    """The drawings' source is the code that draws them."""
    code, name = Path(embedded.__file__), "pipelines/families/signatures/embedded.py"
    source = {
        "source": "embedded",
        "kind": "embedded",
        "path": name,
        "url": name,
        "sha256": folders.sha256(code),
        "bytes": code.stat().st_size,
        "licence": "https://www.apache.org/licenses/LICENSE-2.0",
        "citation": "drawn by the project",
    }
    yield Found(source, "Drawn letters with scribbled signatures, made here.", list(embedded.drawn()))


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
    """What one source gave: pages, documents and boxes of each split, pages in colour, how many pages have k boxes, and their sizes.

    Heights and widths are deciles, the least and the greatest among them, as fractions of the page.
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
        "width": _deciles(sizes[:, 0]),
        "height": _deciles(sizes[:, 1]),
    }


def _boxes(pages: list[Page]) -> int:
    return sum(len(page.boxes) for page in pages)


def _deciles(values: NDArray[np.floating]) -> list[float]:
    return np.quantile(values, np.linspace(0, 1, 11)).round(4).tolist() if len(values) else []
