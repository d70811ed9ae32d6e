"""Ordinary pictures of a digit or an engraving are read like plain ones, by the released champions."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from benchmarks import example
from pipelines.datasets import pictures as decoding
from pipelines.families.digits.predict import Predictor as Digits
from pipelines.families.gravures.predict import Predictor as Gravures
from serving.inputs import ink, pictures
from tests import ordinary
from tests.conftest import ROOT

TRIES = 10  # pictures of each kind
STROKES = {  # on a square of 10
    1: [[(5, 1), (5, 9)]],
    2: [[(3, 3), (4, 1.5), (6, 1.5), (7, 3), (6.5, 4.5), (3, 8.5), (7.3, 8.5)]],
    3: [[(3, 2), (5, 1.2), (6.8, 2.5), (6.3, 4), (4.8, 4.8), (6.5, 5.6), (7, 7.3), (5.2, 8.8), (3, 8)]],
    4: [[(5.5, 1), (2.5, 6), (7.5, 6)], [(6, 4), (6, 9)]],
    5: [[(7, 1.5), (3.5, 1.5), (3.2, 4.6), (5.5, 4.2), (7, 5.8), (6.5, 7.8), (5, 8.8), (3, 8.2)]],
    7: [[(2.5, 1.5), (7.5, 1.5), (4.5, 9)]],
}
ENGRAVINGS = {
    "cercle": lambda draw, box, width: draw.ellipse(box, outline=255, width=width),
    "carre": lambda draw, box, width: draw.rectangle(box, outline=255, width=width),
}


def placed(random: np.random.Generator) -> tuple[float, float, float]:
    """Side, left and top of a drawing's square."""
    side = ordinary.SIDE * random.uniform(0.4, 0.8)
    return side, *random.uniform(0.05 * ordinary.SIDE, 0.95 * ordinary.SIDE - side, 2)


def digit(number: int, random: np.random.Generator) -> ordinary.Ink:
    paper, (side, left, top) = Image.new("L", (ordinary.SIDE, ordinary.SIDE)), placed(random)
    for stroke in STROKES[number]:
        points = [(left + x / 10 * side, top + y / 10 * side) for x, y in stroke]
        ImageDraw.Draw(paper).line(points, fill=255, width=round(side * random.uniform(0.07, 0.1)), joint="curve")
    return np.asarray(paper, np.float32) / 255


def engraving(name: str, random: np.random.Generator) -> ordinary.Ink:
    paper, (side, left, top) = Image.new("L", (ordinary.SIDE, ordinary.SIDE)), placed(random)
    ENGRAVINGS[name](ImageDraw.Draw(paper), (left, top, left + side, top + side), 4)
    return np.asarray(paper, np.float32) / 255


@pytest.fixture(scope="module")
def digits() -> Digits:
    return Digits(ROOT / "released/digits")


@pytest.fixture(scope="module")
def gravures() -> Gravures:
    return Gravures(ROOT / "released/gravures")


@pytest.mark.parametrize("kind", ordinary.KINDS)
def test_a_digit_is_read_on_any_paper(digits: Digits, kind: str) -> None:
    random = np.random.default_rng(1)
    wanted = [number for number in STROKES for _ in range(TRIES // 2)]
    images = [digits.convention.from_grey(pictures.inked(ordinary.KINDS[kind](digit(number, random), random))) for number in wanted]
    answers = digits.predict(np.stack(images))
    wrong = answers.argmax(1) != wanted
    assert wrong.mean() <= 0.1
    assert (wrong & (answers.max(1) >= 0.9)).mean() <= 0.03


@pytest.mark.parametrize("kind", ordinary.KINDS)
def test_an_engraving_is_found_on_any_paper(gravures: Gravures, kind: str) -> None:
    random = np.random.default_rng(2)
    wanted = [name for name in ENGRAVINGS for _ in range(TRIES)]
    images = [gravures.convention.from_grey(pictures.inked(ordinary.KINDS[kind](engraving(name, random), random))) for name in wanted]
    found = [gravures.nearest(embedding, 1)[0].engraving for embedding in gravures.predict(np.stack(images))]
    assert np.mean([name == right or gravures_alike(name, right) for name, right in zip(found, wanted, strict=True)]) >= 0.9


def gravures_alike(name: str, right: str) -> bool:
    """The catalogue holds the plain circle and square too."""
    return name in {"cercle": {"gravure_0000.png"}, "carre": {"gravure_0002.png"}}[right]


def test_a_small_drawing_that_is_plain_stays_as_it_is() -> None:
    digit = np.pad(np.full((16, 4), 200, np.uint8), 6)
    np.testing.assert_array_equal(ink.separated(255 - digit), 255 - digit)


def test_a_digit_without_margins_stays_whole(digits: Digits) -> None:
    for number in set(STROKES) - {1}:  # a bar that fills its picture is no picture of a bar
        drawn = digit(number, np.random.default_rng(number))
        rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
        tight = ordinary.picture(ordinary.mixed(drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))
        assert digits.predict(digits.convention.from_grey(pictures.inked(tight))[None])[0].argmax() == number


def test_the_dashes_of_an_engraving_are_no_dust() -> None:
    road = Image.new("L", (240, 240), 245)
    for x in (60, 180):
        ImageDraw.Draw(road).line((x, 40, x, 200), fill=40, width=6)
    for y in range(44, 196, 18):
        ImageDraw.Draw(road).line((120, y, 120, y + 8), fill=40, width=6)
    road.putpixel((20, 20), 100)
    assert (ink.separated(np.asarray(road))[48:56, 118:124] < 128).any()


def test_a_drawn_outline_is_no_sheet_however_its_inside_is_marked() -> None:
    random = np.random.default_rng(4)
    outline = np.zeros((ordinary.SIDE,) * 2, np.float32)
    cv2.rectangle(outline, (30, 40), (200, 205), 1, 12)
    for mark in (ordinary.dotted, ordinary.ruled, ordinary.squared, ordinary.peppered):
        assert ink._sheet(cv2.resize(np.asarray(mark(outline, random)), (128, 128))) is None


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_paper_without_ink_has_none(tone: int) -> None:
    assert (ink.separated(np.full((50, 50, 3), tone, np.uint8)) == 255).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 200), (28, 28)])
def test_pictures_of_any_shape_are_read(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    for channels in ((), (3,)):
        assert ink.separated(random.integers(0, 256, (*shape, *channels), dtype=np.uint8)).dtype == np.uint8


def test_a_drawing_of_the_page_is_plain_and_a_framed_a_ruled_or_a_dusty_one_is_not() -> None:
    drawing = example.engraving()
    np.testing.assert_array_equal(ink.separated(drawing), 255 - cv2.absdiff(drawing, np.full_like(drawing, 255)))
    for box in ((40, 40, 520, 43), (300, 100, 304, 104), (0, 300, 560, 301)):
        marked = drawing.copy()
        cv2.rectangle(marked, box[:2], box[2:], 0, cv2.FILLED)
        assert ink._plain(marked) is None


@pytest.mark.parametrize(("colour", "dark"), [((255, 255, 255), True), ((250, 240, 10), True), ((0, 0, 0), False), ((20, 40, 160), False)])
def test_a_transparent_ground_is_one_that_ink_stands_out_from(colour: tuple[int, ...], dark: bool) -> None:
    layers = Image.new("RGBA", (40, 40), (*colour, 0))
    layers.paste((*colour, 255), (10, 10, 20, 30))
    grey = pictures.grey(layers)
    assert grey[0, 0] == (0 if dark else 255) and abs(int(grey[0, 0]) - int(grey[15, 15])) > 100


def test_an_opaque_sheet_with_round_corners_keeps_its_paper() -> None:
    layers = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    ImageDraw.Draw(layers).rounded_rectangle((0, 0, 39, 39), 8, fill=(250, 250, 250, 255))
    layers.paste((0, 0, 0, 255), (10, 10, 14, 30))
    assert pictures.grey(layers)[0, 0] == 250


def test_a_picture_that_is_turned_by_exif_stays_turned_on_its_ground() -> None:
    layers, exif, stream = Image.new("RGBA", (40, 20), (0, 0, 0, 0)), Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    layers.paste((0, 0, 0, 255), (0, 0, 10, 10))
    layers.save(stream, "PNG", exif=exif)
    found = pictures.grey(pictures.opened(stream.getvalue(), 1))
    np.testing.assert_array_equal(found, decoding.decoded(Image.open(io.BytesIO(stream.getvalue())), "L", 1024))


def test_the_released_example_loses_nothing(digits: Digits) -> None:
    example = np.load(Path(ROOT, "released/digits/example.npz"))["input"]
    scanned = np.stack([digits.convention.from_grey(ink.separated(255 - image)) for image in example])
    np.testing.assert_allclose(digits.predict(scanned), digits.predict(example), atol=0.02)
