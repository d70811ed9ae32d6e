"""Batches of training lines of similar width: distorted real ones, generated ones, and images without text."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.families.ocr.examples import Split
from pipelines.families.ocr.parts import blanks, receipts
from pipelines.families.ocr.parts.distortion import distorted
from pipelines.families.ocr.picture import Convention

POOL = 16  # batches that are sorted by width together
ONE_WAY = frozenset("ABCDEFGJKLPQRTUVWY23457abcdefghjkmrty")  # characters that are none, or others, upside down


class Line(NamedTuple):
    """A preprocessed line [height, W], its text, and whether the case of its text is that of the image."""

    picture: NDArray[np.uint8]
    text: str
    cased: bool


class Batch(NamedTuple):
    """Lines [n, height, W], padded with paper, their texts, and whether the case of each is that of the image."""

    pictures: NDArray[np.uint8]
    texts: list[str]
    cased: list[bool]


def real(split: Split, row: int, convention: Convention, random: np.random.Generator) -> Line:
    """A line of the split, distorted. The case of transcriptions in capitals alone is not that of the image."""
    text = split.texts[row]
    return Line(convention.from_grey(distorted(split.pictures[row], random)), text, any(letter.islower() for letter in text))


def generated(convention: Convention, random: np.random.Generator, nothing: float) -> Line:
    """A generated line; with probability `nothing` an image without text."""
    if random.random() < nothing:
        return Line(convention.from_grey(blanks.nothing(random)), "", True)
    text, picture = receipts.line(random)
    return Line(convention.from_grey(picture), text, True)


def is_oriented(line: Line) -> bool:
    """Does the text differ from the same image upside down?"""
    return sum(character in ONE_WAY for character in line.text) >= 2


def upside_down(line: Line) -> Line:
    """The line upside down, which has no text."""
    ink = np.flatnonzero((line.picture < 255).any(0))
    width = ink[-1] + 1 if len(ink) else 1
    turned = line.picture.copy()
    turned[:, :width] = turned[::-1, :width][:, ::-1]
    return Line(turned, "", True)


def batches(lines: Iterator[Line], size: int, random: np.random.Generator) -> Iterator[Batch]:
    """The lines in batches of `size`, sorted by width among POOL batches, which come in random order."""
    while pool := list(islice(lines, POOL * size)):
        pool.sort(key=lambda line: line.picture.shape[1])
        parts = [pool[start : start + size] for start in range(0, len(pool), size)]
        for index in random.permutation(len(parts)):
            yield collated(parts[index])


def collated(lines: list[Line]) -> Batch:
    """One batch of lines of one height."""
    pictures = np.full((len(lines), lines[0].picture.shape[0], max(line.picture.shape[1] for line in lines)), 255, np.uint8)
    for row, line in zip(pictures, lines, strict=True):
        row[:, : line.picture.shape[1]] = line.picture
    return Batch(pictures, [line.text for line in lines], [line.cased for line in lines])
