"""What a training sees: real lines distorted, generated ones, and pictures that hold no text, in batches of about one width."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.examples import Split
from pipelines.families.ocr.parts import receipts
from pipelines.families.ocr.parts.distortion import distorted
from pipelines.families.ocr.picture import Convention

POOL = 16  # batches that are sorted by width together
ONE_WAY = frozenset("ABCDEFGJKLPQRTUVWY23457abcdefghjkmrty")  # characters that are none, or other ones, on their heads


class Line(NamedTuple):
    """A brought line [height, W], its text, and whether that tells capitals from small letters as the picture does."""

    picture: NDArray[np.uint8]
    text: str
    cased: bool


class Batch(NamedTuple):
    """Lines [n, height, W], the narrow ones padded with paper, their texts, and which of these are cased."""

    pictures: NDArray[np.uint8]
    texts: list[str]
    cased: list[bool]


def real(split: Split, row: int, convention: Convention, random: np.random.Generator) -> Line:
    """A line of the split, distorted. Transcriptions that are all capitals say nothing of what is printed."""
    text = split.texts[row]
    return Line(convention.from_grey(distorted(split.pictures[row], random)), text, any(letter.islower() for letter in text))


def made(convention: Convention, random: np.random.Generator, nothing: float) -> Line:
    """A generated line; with the share `nothing` a picture without text."""
    if random.random() < nothing:
        return Line(convention.from_grey(receipts.nothing(random)), "", True)
    text, picture = receipts.line(random)
    return Line(convention.from_grey(picture), text, True)


def one_way(line: Line) -> bool:
    """Can it be told from the line on its head?"""
    return sum(character in ONE_WAY for character in line.text) >= 2


def upside_down(line: Line) -> Line:
    """The line on its head says nothing."""
    ink = np.flatnonzero((line.picture < 255).any(0))
    width = ink[-1] + 1 if len(ink) else 1
    turned = line.picture.copy()
    turned[:, :width] = turned[::-1, :width][:, ::-1]
    return Line(turned, "", True)


def batches(lines: Iterator[Line], size: int, random: np.random.Generator) -> Iterator[Batch]:
    """The lines in batches of `size`: of POOL batches those of about one width go together, and the batches in any order."""
    while pool := list(islice(lines, POOL * size)):
        pool.sort(key=lambda line: line.picture.shape[1])
        parts = [pool[start : start + size] for start in range(0, len(pool), size)]
        for index in random.permutation(len(parts)):
            yield stacked(parts[index])


def stacked(lines: list[Line]) -> Batch:
    """One array of lines of one height."""
    pictures = np.full((len(lines), lines[0].picture.shape[0], max(line.picture.shape[1] for line in lines)), 255, np.uint8)
    for row, line in zip(pictures, lines, strict=True):
        row[:, : line.picture.shape[1]] = line.picture
    return Batch(pictures, [line.text for line in lines], [line.cased for line in lines])
