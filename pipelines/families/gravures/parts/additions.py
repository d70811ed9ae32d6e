"""Engravings added from one picture each, after training: kept as pictures, so that whichever model is loaded embeds them itself.

One file holds them all and is replaced as a whole: readers need no lock and never see half of it.
"""

import base64
import binascii
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
    """A name that an engraving cannot have."""


class NameTaken(ValueError):
    """There is an engraving of this name."""


class UnknownAddition(LookupError):
    """Nothing of this name has been added."""


class BadPicture(ValueError):
    """Not a brought picture, or one with nothing on it."""


class BrokenAdditions(ValueError):
    """The file of the additions is damaged."""


class Additions(NamedTuple):
    """Names [n] in the order they were added in, and pictures [n, 64, 64], ink 255 on 0."""

    names: list[str]
    pictures: Picture


def add(name: str, picture: Picture, known: Collection[str] = ()) -> str:
    """Add an engraving by one brought picture [64, 64] and return its name as it is kept; `known` are names that others have.

    Waits for another process that is adding. Raises BadName, NameTaken, BadPicture or BrokenAdditions; nothing is changed then.
    """
    kept = checked(name)
    _check(picture)
    with folders.locked(LOCK):
        names, pictures = read()
        if like := [taken for taken in (*known, *names) if taken.casefold() == kept.casefold()]:
            remedy = f", or take that one away first: make gravures-remove name='{like[0]}'" if like[0] in names else "."
            raise NameTaken(f"There is an engraving named {like[0]!r}. Choose another name{remedy}")
        _write([*names, kept], [*pictures, picture])
    return kept


def remove(name: str) -> None:
    """Take an added engraving away. Raises BadName, UnknownAddition, naming similar ones, or BrokenAdditions."""
    kept = checked(name)
    with folders.locked(LOCK):
        names, pictures = read()
        if kept not in names:
            like = get_close_matches(name, names, NAMED, 0) or ["none"]
            raise UnknownAddition(f"name={name!r} has not been added. Added are: {', '.join(like)}{', ...' if len(names) > NAMED else ''}.")
        row = names.index(kept)
        _write(names[:row] + names[row + 1 :], [*pictures[:row], *pictures[row + 1 :]])


def read() -> Additions:
    """All that have been added. Raises BrokenAdditions."""
    try:
        return _parsed(json.loads(FILE.read_text()))
    except FileNotFoundError:
        return Additions([], np.empty((0, *SHAPE), np.uint8))
    except (
        ValueError,
        KeyError,
        TypeError,
        OSError,
        SyntaxError,
        AssertionError,
        binascii.Error,
    ) as error:  # decoders raise what they like
        raise BrokenAdditions(
            f"{FILE} is damaged ({error}). Put an earlier copy in its place, or delete it and add the engravings again."
        ) from error


def stamp() -> tuple[int, ...]:
    """Another value whenever the additions have changed, in microseconds. Take it before read(), so that no change is missed."""
    try:
        found = FILE.stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def checked(name: str) -> str:
    """The name in Unicode's composed form, without blanks around. Raises BadName."""
    kept = unicodedata.normalize("NFC", name).strip()
    if not NAME.fullmatch(kept):
        raise BadName(
            f"name={name!r} cannot be an engraving's name. It needs 1 to 64 letters, digits, blanks or . _ + & ( ) -, a letter, digit "
            "or _ first."
        )
    return kept


def _check(picture: Picture) -> None:
    if picture.shape != SHAPE or picture.dtype != np.uint8:
        raise BadPicture(f"an added picture is uint8 {list(SHAPE)}, not {picture.dtype} {list(picture.shape)}: bring it first.")
    if picture.min() == picture.max():
        raise BadPicture("The picture is blank: all of it has one brightness. Draw the engraving, or send another picture.")


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
