"""The table of tags: a row for each class and each picture of the catalogue, in words of one list."""

import csv
import re
from collections import Counter

import pytest

from pipelines.families.gravures.parts import lenses

with lenses.TAGS.open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))
CLASSES = {row["engraving"]: row for row in ROWS if not row["sha256"]}
PICTURES = [row for row in ROWS if row["sha256"]]

WORDS = """
    angle arc arrow bow bracket bridge caret chevron circle cup diamond eye gamepad hanger heart hexagon hourglass laptop line moon note
    parallelogram plus ray rectangle road runner scales section square star step sun triangle trident turtle wave wheel wifi wing
"""
SHAPES = set(WORDS.split())
MARKS = {"pi", "etoile"}  # of the index of refraction, beside a symbol: no picture's own


def test_every_class_and_every_picture_has_one_row() -> None:
    assert len(CLASSES) == 54
    assert [row["engraving"] for row in PICTURES] == [f"gravure_{number:04}.png" for number in range(498)]
    assert len(ROWS) == len({row["engraving"] for row in ROWS}) == 552


def test_the_table_is_read_as_it_is_written() -> None:
    read = lenses.tags()
    assert len(read) == len(ROWS)
    for row in ROWS:
        own = read[row["engraving"], row["sha256"]]
        assert (own.engraving or "", " ".join(own.shapes), " ".join(own.letters)) == (row["class"], row["shapes"], row["letters"])


def test_pictures_are_named_by_their_content() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{12}", row["sha256"]) for row in PICTURES)
    assert len({row["sha256"] for row in PICTURES}) == len(PICTURES)


def test_shapes_are_words_of_the_list_and_every_word_is_used() -> None:
    assert {shape for row in ROWS for shape in row["shapes"].split()} == SHAPES


def test_a_row_says_something_once() -> None:
    for row in ROWS:
        shapes, letters = row["shapes"].split(), row["letters"].split()
        assert shapes or letters, row
        assert shapes == sorted(set(shapes)), row
        assert len(letters) == len(set(letters)), row
        assert (row["shapes"], row["letters"]) == (" ".join(shapes), " ".join(letters)), row
        assert row["class"] == row["engraving"] if not row["sha256"] else row["class"] in {"", *CLASSES}, row


def test_a_picture_has_all_tags_of_the_class_it_shows() -> None:
    for row in (row for row in PICTURES if row["class"]):
        own = CLASSES[row["class"]]
        assert set(own["shapes"].split()) <= set(row["shapes"].split()), row
        assert set(own["letters"].split()) <= set(row["letters"].split()), row


def test_every_class_but_the_marks_of_the_index_is_on_a_picture() -> None:
    shown = Counter(row["class"] for row in PICTURES)
    assert set(CLASSES) - set(shown) == MARKS
    assert all(set(CLASSES[mark]["shapes"].split() + CLASSES[mark]["letters"].split()) for mark in MARKS)


SEEN = {
    "gravure_0000.png": ("cercle", "circle", ""),
    "gravure_0041.png": ("e_courbe", "arc", "e P"),
    "gravure_0082.png": ("", "arc circle line wifi", "74"),
    "gravure_0171.png": ("doubletriangle", "plus star triangle", "+"),
    "gravure_0270.png": ("vcercle", "circle", "V EF-"),
    "gravure_0299.png": ("vcercle", "circle", "V N8A N8B"),
    "gravure_0349.png": ("epsilone", "trident", "ε Ψ S"),
    "gravure_0487.png": ("manette", "circle gamepad plus", ""),
    "gravure_0497.png": ("", "", "F P n3"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_an_eye_sees(name: str) -> None:
    (row,) = (row for row in PICTURES if row["engraving"] == name)
    assert (row["class"], row["shapes"], row["letters"]) == SEEN[name]
