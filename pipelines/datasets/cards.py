"""A data card says what a packed data folder holds and where it came from; Croissant says the same to machines.

Source of the metadata: MLCommons Croissant 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

from pipelines import folders

CARD, CROISSANT = "card.json", "croissant.json"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def write(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Complete `card` with the hash of every packed file, and write card.json and croissant.json into `folder`.

    `hash` names the data: it covers the packed files and nothing else.
    """
    files = {path.name: folders.sha256(path) for path in sorted(folder.iterdir())}
    card = {**card, "files": files, "hash": folders.hash_of(files)}
    folders.write_json(folder / CARD, card)
    folders.write_json(folder / CROISSANT, croissant(folder, card))
    return card


def read(folder: Path) -> dict[str, Any]:
    """The card of a packed data folder. Raises FileNotFoundError where there is none."""
    card: dict[str, Any] = json.loads((folder / CARD).read_text())
    return card


def decoder() -> dict[str, str | None]:
    """What decodes images here, for the card: another version may give other pixels, and so other data."""
    return {"pillow": PIL.__version__, "libjpeg-turbo": features.version("libjpeg_turbo"), "zlib": features.version("zlib")}


def per_class(labels: NDArray[np.integer], classes: Iterable[Any]) -> dict[str, int]:
    """How many examples of each class: labels [n] as indices into `classes`."""
    return {str(name): int((labels == index).sum()) for index, name in enumerate(classes)}


def duplicates(splits: dict[str, NDArray[Any]]) -> dict[str, int]:
    """Exact duplicates between splits: {"train/test": n}, n distinct pictures of [n, ...] arrays that stand in both."""
    seen = {name: {picture.tobytes() for picture in pictures} for name, pictures in splits.items()}
    names = list(seen)
    return {f"{a}/{b}": len(seen[a] & seen[b]) for i, a in enumerate(names) for b in names[i + 1 :]}


def croissant(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """The card as Croissant metadata: one FileObject for each packed file."""
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": card["name"],
        "description": card["description"],
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": sorted({source["licence"] for source in card["sources"]}),
        "url": card["sources"][0]["url"],
        "citeAs": card["sources"][0]["citation"],
        "version": "1.0.0",
        "distribution": [_file_object(folder / name, digest) for name, digest in card["files"].items()],
    }


def _file_object(path: Path, digest: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/octet-stream",
        "sha256": digest,
    }
