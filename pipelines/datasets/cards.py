"""The data card of a packed data folder: its contents and sources, also as Croissant metadata.

Source of the metadata: MLCommons Croissant 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import json
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import features

import pipelines
from pipelines import folders
from pipelines.datasets import archives
from pipelines.datasets.sources import Origin

CARD, CROISSANT = "card.json", "croissant.json"
APACHE = "https://www.apache.org/licenses/LICENSE-2.0"


def _terms(names: str) -> dict[str, str]:
    return {name: f"cr:{name}" for name in names.split()}


CONTEXT: dict[str, Any] = {  # Croissant's own, in its order
    "@language": "en",
    "@vocab": "https://schema.org/",
    **_terms("citeAs column"),
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **_terms("extract field fileProperty fileObject fileSet format includes isLiveDataset jsonPath key md5 parentField path recordSet"),
    **_terms("references regex repeated replace"),
    "sc": "https://schema.org/",
    **_terms("separator source subField transform"),
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
    """The versions that decode images here: another may give other pixels, and so other data."""
    return {"pillow": PIL.__version__, "libjpeg-turbo": features.version("libjpeg_turbo"), "zlib": features.version("zlib")}


def folder_source(name: str, path: str, licence: str, citation: str) -> dict[str, Any]:
    """The entry of a folder or tar. Raises MissingData."""
    place = archives.located(path)
    facts = {"path": path, "url": path, "sha256": archives.fingerprint(place), "bytes": archives.size(place)}
    return {"source": name, "kind": "folder", **facts, "licence": licence, "citation": citation}


def origin_source(name: str, origin: Origin, licence: str, citation: str) -> dict[str, Any]:
    """The entry of a public file."""
    facts = {"path": origin.path, "url": origin.urls[0], "sha256": origin.sha256, "bytes": origin.size}
    return {"source": name, "kind": "origin", **facts, "licence": licence, "citation": citation}


def code_source(name: str, citation: str) -> dict[str, Any]:
    """The entry of generated data: the module below pipelines/ that generates it."""
    file, path = Path(pipelines.__file__).parent / name, f"pipelines/{name}"
    facts = {"path": path, "url": path, "sha256": folders.sha256(file), "bytes": file.stat().st_size}
    return {"source": "embedded", "kind": "embedded", **facts, "licence": APACHE, "citation": citation}


def deciles(values: NDArray[Any], digits: int) -> list[float]:
    """The least value, the nine deciles and the greatest, rounded; none of no values."""
    return np.quantile(values, np.linspace(0, 1, 11)).round(digits).tolist() if len(values) else []


def per_class(labels: NDArray[np.integer], classes: Iterable[Any]) -> dict[str, int]:
    """How many examples of each class: labels [n] as indices into `classes`."""
    return {str(name): int((labels == index).sum()) for index, name in enumerate(classes)}


def duplicates(splits: dict[str, NDArray[Any]]) -> dict[str, int]:
    """Exact duplicates between splits: {"train/test": n}, how many distinct images of [n, ...] arrays are in both."""
    seen = {name: {image.tobytes() for image in images} for name, images in splits.items()}
    return {f"{a}/{b}": len(seen[a] & seen[b]) for a, b in combinations(seen, 2)}


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
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": name,
                "contentSize": f"{(folder / name).stat().st_size} B",
                "encodingFormat": "application/octet-stream",
                "sha256": sha256,
            }
            for name, sha256 in card["files"].items()
        ],
    }
