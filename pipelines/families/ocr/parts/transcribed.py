"""Transcribed lines: labels.tsv (file, text, group) and the images in images/ next to it, in a folder or a tar.

The table is tab separated UTF-8 without quoting.
"""

import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from pipelines.datasets import archives, pictures
from pipelines.families.ocr.parts.vocabulary import ALPHABET

TABLE, PICTURES, COLUMNS = "labels.tsv", "images", ("file", "text", "group")
SHAPE = f"Wanted: {TABLE} with the columns {', '.join(COLUMNS)}, tab separated, and the images in {PICTURES}/ next to it."
SMALLEST, LARGEST = 4, 25  # pixels of a side; megapixels, read from the header before an image is decoded
WORKING_SIDE = 2048  # pixels: larger images are reduced while they are decoded


class BadTable(ValueError):
    """A labels.tsv that is missing or malformed; the message names the row."""


class BadLines(ValueError):
    """Rows that cannot be used: their images are missing or broken, or there is no text."""


class Row(NamedTuple):
    """A row of the table, by its number in the file from 1."""

    number: int
    file: str
    text: str
    group: str


class Transcribed(NamedTuple):
    """A usable line: its row and its grey image [h, w]."""

    row: Row
    picture: NDArray[np.uint8]


class Found(NamedTuple):
    """Usable lines by name, {file: why} of unusable ones, and {file: characters} of those with characters outside ALPHABET."""

    lines: list[Transcribed]
    broken: dict[str, str]
    unknown: dict[str, str]


def read(path: Path, skip_broken: bool, allow_empty: bool = False) -> Found:
    """All lines of a folder or a tar; with `allow_empty` an empty text says that the image has none.

    Lines with characters outside ALPHABET are always passed over and counted; other unusable ones only with `skip_broken`.
    Raises BrokenArchive, BadTable or BadLines.
    """
    files = {posixpath.normpath(name): content for name, content in archives.members(path) if not name.endswith("/")}
    table = _table(files, str(path))
    images = posixpath.join(posixpath.dirname(table), PICTURES)
    lines, broken, unknown = list[Transcribed](), dict[str, str](), dict[str, str]()
    for row in rows(table, files[table]):
        try:
            line = _line(row, files, images, allow_empty)
        except ValueError as error:
            broken[row.file] = str(error)
            continue
        if others := "".join(sorted(set(row.text) - set(ALPHABET))):
            unknown[row.file] = others
        else:
            lines.append(line)
    if broken and not skip_broken:
        raise BadLines(
            f"{len(broken)} lines of {table} cannot be used: {archives.listed(f'{file} {why}' for file, why in broken.items())}. "
            "Correct them, or set data.skip_broken=true: they are left out then, and the card lists them."
        )
    return Found(sorted(lines, key=lambda line: line.row.file), broken, unknown)


def _table(files: Iterable[str], where: str) -> str:
    """The one labels.tsv, at the root or a folder below."""
    found = sorted(name for name in files if posixpath.basename(name) == TABLE and name.count("/") <= 1)
    if not found:
        raise BadTable(f"{where} holds no {TABLE}, neither at its root nor one folder below. {SHAPE}")
    if len(found) > 1:
        raise BadTable(f"{where} holds {len(found)} tables: {archives.listed(found)}. Name the folder of one of them as data.folder.")
    return found[0]


def rows(name: str, content: bytes) -> list[Row]:
    """The rows of a labels.tsv called `name`, spaces at the ends of a text stripped. Raises BadTable."""
    lines = _decoded(name, content).split("\n")
    places = _columns(name, lines[0].rstrip("\r"))
    width = len(lines[0].split("\t"))
    found = [_row(name, number, line.rstrip("\r").split("\t"), width, places) for number, line in enumerate(lines[1:], 2) if line.strip()]
    twice = [file for file, times in Counter(row.file for row in found).items() if times > 1]
    if twice:
        raise BadTable(f"{name} names {len(twice)} files more than once: {archives.listed(twice)}. Keep one row for each.")
    if not found:
        raise BadTable(f"{name} has no row below its first. {SHAPE}")
    _unquoted(name, [row for row in found if '"' in row.text])
    return found


def _unquoted(name: str, found: list[Row]) -> None:
    """Raises BadTable where all texts with a quotation mark look quoted by a CSV writer, with doubled marks inside."""
    doubled = [row for row in found if '""' in row.text[1:-1]]
    if doubled and all(row.text[0] == row.text[-1] == '"' and '"' not in row.text[1:-1].replace('""', "") for row in found):
        row = doubled[0]
        raise BadTable(f"{name}, row {row.number}: {row.text[:60]} was quoted by a CSV writer. Write it without quoting (csv.QUOTE_NONE).")


def _decoded(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content[: error.start].count(b"\n") + 1
        raise BadTable(
            f"{name}, row {number}: byte 0x{content[error.start]:02x} is not UTF-8. Save the table as UTF-8 "
            f"(`iconv -f latin1 -t utf-8` converts from Latin-1, a spreadsheet asks when it saves)."
        ) from error


def _columns(name: str, head: str) -> dict[str, int]:
    columns = head.split("\t")
    missing = [column for column in COLUMNS if column not in columns]
    quoted = " Its fields are quoted: write it without quoting (csv.QUOTE_NONE)." if '"' in head else ""
    if missing:
        raise BadTable(f"{name} has no column {', '.join(missing)}; its first row names {', '.join(columns)[:200]!r}.{quoted} {SHAPE}")
    return {column: columns.index(column) for column in COLUMNS}


def _row(name: str, number: int, fields: list[str], width: int, places: Mapping[str, int]) -> Row:
    """Raises BadTable for a row of another width, without a group, or with a file that is not below images/."""
    if len(fields) != width:
        raise BadTable(f"{name}, row {number}: {len(fields)} fields, and the first row has {width}. A text holds no tab and no line break.")
    file, text, group = (fields[places[column]] for column in COLUMNS)
    path = posixpath.normpath(file)
    if not file or path.startswith(("/", "../")) or path in {".", ".."}:
        raise BadTable(f"{name}, row {number}: {file!r} is no image below {PICTURES}/. Give its name there, such as 000_001.jpg.")
    if not group.strip():
        raise BadTable(f"{name}, row {number}: no group. Name the page or receipt that {file} was cut from, or the file itself.")
    return Row(number, path, text.strip(), group.strip())


def _line(row: Row, files: Mapping[str, bytes], images: str, allow_empty: bool) -> Transcribed:
    """Raises ValueError saying why the row cannot be used."""
    content = files.get(posixpath.join(images, row.file))
    if content is None:
        raise ValueError(f"is not in {images}/")
    if not row.text and not allow_empty:
        raise ValueError("has no text")
    return Transcribed(row, _picture(content))


def _picture(content: bytes) -> NDArray[np.uint8]:
    """[h, w] in grey, upright, sides over WORKING_SIDE reduced. Raises ValueError; the card stores its words."""
    try:
        picture = pictures.opened(content)
        width, height = picture.size
        if width * height > LARGEST * 1e6:
            raise ValueError(f"it has {width * height / 1e6:.0f} megapixels; a line has at most {LARGEST}")
        if min(width, height) < SMALLEST:
            raise ValueError(f"{width} x {height} pixels are too few; each side has {SMALLEST} or more")
        return pictures.decoded(picture, "L", WORKING_SIDE)
    except Exception as error:  # decoders raise anything on broken bytes
        raise ValueError("is no picture" if isinstance(error, UnidentifiedImageError) else f"is no whole picture: {error}") from error


def characters(found: Found) -> dict[str, int]:
    """How many lines passed over hold each character outside ALPHABET, the most frequent first."""
    return dict(Counter(character for text in found.unknown.values() for character in text).most_common())
