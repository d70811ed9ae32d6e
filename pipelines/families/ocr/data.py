"""Transcribed lines, of a folder, flagged on the page or generated: split by group, and packed in their own size."""

import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines import folders
from pipelines.configs import Config
from pipelines.datasets import archives, cards, splits
from pipelines.datasets.sources import MissingData
from pipelines.families.ocr import embedded
from pipelines.families.ocr.examples import ALPHABET, LENGTH_NAMES, LENGTHS, SPLITS, Line, pack
from pipelines.families.ocr.parts import transcribed
from pipelines.families.ocr.settings import Data

LISTED = 200  # lines passed over that the card lists

log = logging.getLogger(__name__)


class TooFewGroups(ValueError):
    """A split that no group falls into."""


class Found(NamedTuple):
    """What one source holds: what the card says of it, and its lines."""

    source: dict[str, Any]
    description: str
    lines: list[Line]
    passed_over: dict[str, Any] | None = None


def prepare(cfg: Config, out: Path) -> dict[str, Any]:
    """Pack the sources of `cfg.data` into `out`, split by group, and return the data card.

    Raises MissingData, BrokenArchive, BadTable, BadLines or TooFewGroups.
    """
    found = [READERS[source](cfg.data) for source in cfg.data.sources]
    lines = [line for one in found for line in one.lines]
    parts = {split: _limited(of_split, cfg.data.limit) for split, of_split in _split(lines, cfg.data).items()}
    for split, chosen in parts.items():
        pack(out, split, chosen)
    return cards.write(out, _card(cfg.data, found, parts))


def _split(lines: list[Line], data: Data) -> dict[str, list[Line]]:
    """Each group's lines to the split that its name decides."""
    place = {group: _place(group, data) for group in {line.group for line in lines}}
    parts = {split: [line for line in lines if place[line.group] == split] for split in SPLITS}
    if empty := [split for split in SPLITS if not parts[split]]:
        raise TooFewGroups(
            f"{len(place)} groups ({len(lines)} lines) leave nothing for {', '.join(empty)}. Add lines of other pages to the folder, "
            "or a source to data.sources; the column group names the page that a line is of."
        )
    return parts


def _place(group: str, data: Data) -> str:
    """By the SHA-256 of its name, so that it stays where it is when others come."""
    test, kept = (splits.chosen([group.encode()], share)[0] for share in (data.test, data.test + data.valid))
    return "test" if test else "valid" if kept else "train"


def _limited(lines: list[Line], limit: int | None) -> list[Line]:
    """At most `limit` lines, from all of the split: it is sorted by source."""
    rows = np.linspace(0, len(lines) - 1, min(limit or len(lines), len(lines))).astype(int)
    return [lines[row] for row in rows]


def _folder(data: Data) -> Found:
    path = archives.located(str(data.folder))
    return _read("folder", str(data.folder), path, data, data.description, data.licence, data.citation)


def _feedback(data: Data) -> Found:
    """What the service has kept of the lines that were flagged on its page; an empty text says that a picture shows none."""
    name = str(data.feedback and data.feedback.path)
    try:
        path = archives.located(name)
    except MissingData as error:
        raise MissingData(
            f"{error} Flags get there from the page of `make serve family=ocr`: read a picture, correct the text, press Flag. "
            "Or take feedback out of data.sources."
        ) from error
    said = ("Lines flagged on the page, with the texts that people gave.", "as the people who flagged them say", "flagged in this project")
    return _read("feedback", name, path, data, *said)


def _read(source: str, name: str, path: Path, data: Data, description: str, licence: str, citation: str) -> Found:
    found = transcribed.read(path, data.skip_broken, wordless=source == "feedback")
    lines = [Line(line.picture, line.row.text, line.row.group, line.row.file, source) for line in found.lines]
    facts = {"kind": "folder", "path": name, "url": name, "sha256": archives.fingerprint(path), "bytes": archives.size(path)}
    if found.beyond:
        log.warning("%s: %d lines passed over, their texts hold %s", name, len(found.beyond), "".join(transcribed.foreign(found)))
    return Found({"source": source, **facts, "licence": licence, "citation": citation}, description, lines, _passed_over(found))


def _passed_over(found: transcribed.Found) -> dict[str, Any]:
    """{file: why} and how many, of lines that cannot be used and of those with characters that the reader does not know."""
    return {
        "broken": {"count": len(found.broken), "lines": dict(sorted(found.broken.items())[:LISTED])},
        "beyond_alphabet": {
            "count": len(found.beyond),
            "characters": transcribed.foreign(found),
            "lines": dict(sorted(found.beyond.items())[:LISTED]),
        },
    }


def _embedded(_: Data) -> Found:
    """The generated lines' source is the code that draws them."""
    code, name = Path(embedded.__file__), "pipelines/families/ocr/embedded.py"
    source = {
        "source": "embedded",
        "kind": "embedded",
        "path": name,
        "url": name,
        "sha256": folders.sha256(code),
        "bytes": code.stat().st_size,
        "licence": "https://www.apache.org/licenses/LICENSE-2.0",
        "citation": "generated by the project",
    }
    return Found(source, "Lines of receipts that nobody wrote, generated here.", list(embedded.drawn()))


READERS: dict[str, Callable[[Data], Found]] = {"folder": _folder, "feedback": _feedback, "embedded": _embedded}


def _card(data: Data, found: list[Found], parts: dict[str, list[Line]]) -> dict[str, Any]:
    return {
        "name": "ocr",
        "description": " ".join(one.description for one in found),
        "sources": [one.source for one in found],
        "decoder": cards.decoder(),
        "split": f"groups by SHA-256 of their names: test {data.test:g}, valid {data.valid:g}, train the rest",
        "alphabet": ALPHABET,
        "counts": {split: len(lines) for split, lines in parts.items()},
        "groups": {split: len({line.group for line in lines}) for split, lines in parts.items()},
        "characters": {split: sum(len(line.text) for line in lines) for split, lines in parts.items()},
        "classes": {split: lengths(line.text for line in lines) for split, lines in parts.items()},
        "by_source": {str(one.source["source"]): _described(one, parts) for one in found},
        "duplicates": cards.duplicates({split: _fingerprints(lines) for split, lines in parts.items()}),
    }


def lengths(texts: Iterable[str]) -> dict[str, int]:
    """How many texts have so many characters."""
    return cards.per_class(np.searchsorted(LENGTHS, [len(text) for text in texts]), LENGTH_NAMES)


def _described(found: Found, parts: dict[str, list[Line]]) -> dict[str, Any]:
    """What one source gave: lines of each split, deciles of their heights and widths in pixels, and what of a folder was passed over."""
    own = {split: [line for line in lines if line.source == found.source["source"]] for split, lines in parts.items()}
    sizes = np.array([line.picture.shape for lines in own.values() for line in lines]).reshape(-1, 2)
    passed_over = {} if found.passed_over is None else {"passed_over": found.passed_over}
    return {
        "lines": {split: len(lines) for split, lines in own.items()},
        "heights": _deciles(sizes[:, 0]),
        "widths": _deciles(sizes[:, 1]),
        **passed_over,
    }


def _deciles(values: NDArray[np.integer]) -> list[float]:
    return np.quantile(values, np.linspace(0, 1, 11)).round(1).tolist() if len(values) else []


def _fingerprints(lines: list[Line]) -> NDArray[np.void]:
    """[n] hashes of the pictures and their sizes."""
    return np.array([hashlib.sha256(repr(line.picture.shape).encode() + line.picture.tobytes()).digest() for line in lines], "V32")
