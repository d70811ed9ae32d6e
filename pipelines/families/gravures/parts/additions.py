"""Engravings added after training by one image each, stored as images, so that each model embeds them itself.

One file holds them all and is replaced atomically: readers need no lock.
"""

import base64
import io
import json
import re
import unicodedata
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines import folders
from pipelines.families.gravures.picture import Convention

ROOT = Path(".store/additions/gravures")
FILE, LOCK = ROOT / "additions.json", ROOT / ".lock"
FORMAT, NAMED = 1, 5  # added names that an error lists
SHAPE = (Convention().side, Convention().side)
NAME = re.compile(r"\w[\w .+&()-]{0,63}(?<! )")
Picture = NDArray[np.uint8]


class BadName(ValueError):
    """An invalid name of an engraving."""


class NameTaken(ValueError):
    """A name that another engraving has."""


class UnknownAddition(LookupError):
    """No added engraving of this name."""


class BadPicture(ValueError):
    """An image that is not normalised, or blank."""


class BrokenAdditions(ValueError):
    """A damaged file of additions."""


class Additions(NamedTuple):
    """Names [n] in order of addition, and images [n, 64, 64], ink 255 on 0."""

    names: list[str]
    pictures: Picture


def add(name: str, picture: Picture, known: Collection[str] = ()) -> str:
    """Add an engraving by a normalised image [64, 64] and return its normalised name; `known` are names in use.

    Waits for other processes that add. Raises BadName, NameTaken, BadPicture or BrokenAdditions.
    """
    own = checked(name)
    _check(picture)
    with folders.locked(LOCK):
        names, pictures = read()
        if like := [taken for taken in (*known, *names) if taken.casefold() == own.casefold()]:
            remedy = f", or remove that one: make gravures-remove name='{like[0]}'" if like[0] in names else "."
            raise NameTaken(f"There is an engraving named {like[0]!r}. Choose another name{remedy}")
        _write([*names, own], [*pictures, picture])
    return own


def remove(name: str) -> None:
    """Remove an added engraving. Raises BadName, UnknownAddition, naming similar ones, or BrokenAdditions."""
    own = checked(name)
    with folders.locked(LOCK):
        names, pictures = read()
        if own not in names:
            like = get_close_matches(name, names, NAMED, 0) or ["none"]
            raise UnknownAddition(f"name={name!r} has not been added. Added are: {', '.join(like)}{', ...' if len(names) > NAMED else ''}.")
        row = names.index(own)
        _write(names[:row] + names[row + 1 :], [*pictures[:row], *pictures[row + 1 :]])


def read() -> Additions:
    """All added engravings. Raises BrokenAdditions."""
    try:
        return _parsed(json.loads(FILE.read_text()))
    except FileNotFoundError:
        return Additions([], np.empty((0, *SHAPE), np.uint8))
    except (ValueError, KeyError, TypeError, OSError, SyntaxError, AssertionError) as error:  # decoders raise all of these
        raise BrokenAdditions(f"{FILE} is damaged ({error}). Restore a copy, or delete it and add the engravings again.") from error


def stamp() -> tuple[int, ...]:
    """A value that changes with the additions. Take it before read(), so that no change is missed."""
    try:
        found = FILE.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def checked(name: str) -> str:
    """The name in Unicode's composed form, without surrounding blanks. Raises BadName."""
    own = unicodedata.normalize("NFC", name).strip()
    if not NAME.fullmatch(own):
        raise BadName(
            f"name={name!r} is no name of an engraving. It needs 1 to 64 letters, digits, blanks or . _ + & ( ) -, a letter, digit "
            "or _ first."
        )
    return own


def _check(picture: Picture) -> None:
    if picture.shape != SHAPE or picture.dtype != np.uint8:
        raise BadPicture(f"an added image is uint8 {list(SHAPE)}, not {picture.dtype} {list(picture.shape)}: normalise it first.")
    if picture.min() == picture.max():
        raise BadPicture("The picture is blank. Draw the engraving, or send another picture.")


def _write(names: Sequence[str], pictures: Sequence[Picture]) -> None:
    rows = [{"name": name, "picture": _packed(picture)} for name, picture in zip(names, pictures, strict=True)]
    folders.write_json(FILE, {"format": FORMAT, "engravings": rows})


def _packed(picture: Picture) -> str:
    """PNG as base64."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def _parsed(page: Any) -> Additions:
    if page["format"] != FORMAT:
        raise ValueError(f"format {page['format']!r} is not {FORMAT}")
    names = [checked(row["name"]) for row in page["engravings"]]
    if len({name.casefold() for name in names}) != len(names):
        raise ValueError("a name is there twice")
    return Additions(names, np.array([_unpacked(row["picture"]) for row in page["engravings"]], np.uint8).reshape(-1, *SHAPE))


def _unpacked(text: str) -> Picture:
    picture = Image.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"])
    if (picture.size, picture.mode) != (SHAPE, "L"):
        raise ValueError(f"a picture is {picture.mode} {list(picture.size)}")
    return np.asarray(picture)
