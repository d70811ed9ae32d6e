"""The convention of gravures holds for any drawing: its size, its polarity, its place and how thin its lines are."""

import hashlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.families.gravures.parts import drawing, symbols
from pipelines.families.gravures.picture import Blank, Convention

CONVENTION = Convention()
LEVELS = 4  # of 255: what one of them, lost before, may become when faint ink is strengthened
BOX = round(CONVENTION.side * (1 - 2 * CONVENTION.margin))
unhurried = settings(deadline=None, max_examples=60)  # a busy machine is not a fault
Picture = NDArray[np.uint8]
SYMBOLS = symbols.distinct(12, np.random.default_rng(3))


@st.composite
def canvases(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Where ink is, on a canvas whose border is paper."""
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    canvas = np.zeros((height + 2, width + 2), bool)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(1, height)), draw(st.integers(1, width))
        canvas[top : draw(st.integers(top, height)) + 1, left : draw(st.integers(left, width)) + 1] = True
    return canvas


@st.composite
def tones(draw: st.DrawFn) -> tuple[int, int]:
    """The brightness of paper and of ink, as far apart as ink needs."""
    paper, ink = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    assume(abs(paper - ink) >= CONVENTION.contrast)
    return paper, ink


def inked(canvas: NDArray[np.bool_], paper: int = 255, ink: int = 0) -> Picture:
    return np.where(canvas, ink, paper).astype(np.uint8)


def triangle(side: int, width: int, ink: int = 0) -> Picture:
    """The same triangle on a canvas of any size, by a pen of any width, in the upper left of the page."""
    page = Image.new("L", (side, side), 255)
    corners = [(0.1 * side, 0.6 * side), (0.35 * side, 0.1 * side), (0.6 * side, 0.6 * side), (0.1 * side, 0.6 * side)]
    ImageDraw.Draw(page).line(corners, ink, width)
    return np.asarray(page)


def apart(one: Picture, other: Picture) -> float:
    """The share of ink of one that is further than two pixels from any ink of the other, the larger way round."""
    return max(_uncovered(one, other), _uncovered(other, one))


def _uncovered(one: Picture, other: Picture) -> float:
    near = np.max([np.roll(other, (down, right), (0, 1)) for down in range(-2, 3) for right in range(-2, 3)], axis=0)
    return float((one[near < 64] > 127).sum() / (one > 127).sum())


@given(canvases(), tones())
@unhurried
def test_ink_is_light_on_black_and_fits_between_the_margins(canvas: NDArray[np.bool_], tone: tuple[int, int]) -> None:
    picture = CONVENTION.from_grey(inked(canvas, *tone))
    assert picture.shape == (64, 64)
    assert picture.dtype == np.uint8
    assert picture.max() == 255
    rows, columns = np.flatnonzero(picture.any(1)), np.flatnonzero(picture.any(0))
    assert max(np.ptp(rows), np.ptp(columns)) < BOX
    assert all(abs(found[0] + found[-1] - 63) <= 2 for found in (rows, columns))


@given(canvases(), tones(), st.tuples(*[st.integers(0, 40)] * 4))
@unhurried
def test_neither_paper_nor_ink_nor_place_matter(canvas: NDArray[np.bool_], tone: tuple[int, int], margins: tuple[int, ...]) -> None:
    plain = CONVENTION.from_grey(inked(canvas))
    wider = np.pad(inked(canvas, *tone), (margins[:2], margins[2:]), constant_values=tone[0])
    for picture in (wider, 255 - wider):  # a tone's ink may be cut to 254 before it is strengthened
        np.testing.assert_allclose(CONVENTION.from_grey(picture).astype(int), plain, atol=LEVELS)


@pytest.mark.parametrize("number", range(len(SYMBOLS)))
def test_what_was_brought_comes_back(number: int) -> None:
    """The page and the tests send brought pictures, dark on light."""
    picture = CONVENTION.from_grey(drawing.drawn(SYMBOLS[number], np.random.default_rng(number)))
    assert apart(CONVENTION.from_grey(255 - picture), picture) < 0.01


@pytest.mark.parametrize(("side", "width"), [(64, 1), (300, 1), (300, 9), (1200, 3), (3000, 1), (3000, 9)])
@pytest.mark.parametrize("ink", [0, 120, 220])
def test_a_drawing_is_the_same_on_every_canvas(side: int, width: int, ink: int) -> None:
    found = CONVENTION.from_grey(triangle(side, width, ink))
    assert apart(found, CONVENTION.from_grey(triangle(300, 3))) < 0.01


@pytest.mark.parametrize("side", [64, 300, 1200, 3000])
@pytest.mark.parametrize("ink", [0, 120, 220])
def test_a_faint_hairline_is_full_ink(side: int, ink: int) -> None:
    along = CONVENTION.from_grey(triangle(side, 1, ink))[8:56].max(1)
    assert along.min() > 127
    assert along.mean() > 240


def test_a_thin_line_beside_a_thick_one_is_not_lost() -> None:
    page = Image.new("L", (1000, 500), 255)
    ImageDraw.Draw(page).rectangle((50, 50, 300, 450), outline=0, width=40)
    ImageDraw.Draw(page).line([(600, 50), (900, 450)], 0, 2)
    along = CONVENTION.from_grey(np.asarray(page))[24:40, 40:].max(1)
    assert along.min() > 127
    assert along.mean() > 200


def test_noise_of_a_camera_is_paper() -> None:
    noise = np.random.default_rng(0).normal(0, 5, (300, 300))
    found = CONVENTION.from_grey((triangle(300, 3) * 0.6 + 40 + noise).astype(np.uint8))
    assert apart(found, CONVENTION.from_grey(triangle(300, 3))) < 0.02


@pytest.mark.parametrize("tone", [0, 24, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (64, 64), (300, 200)])
def test_one_colour_is_blank(tone: int, size: tuple[int, int]) -> None:
    with pytest.raises(Blank, match=r"differs from its border by at most 0 of 255.*Draw the engraving"):
        CONVENTION.from_grey(np.full(size, tone, np.uint8))


def test_hardly_anything_is_blank() -> None:
    grey = np.full((64, 64), 255, np.uint8)
    grey[30, 30] = 255 - CONVENTION.contrast + 1
    with pytest.raises(Blank, match="at most 23 of 255, and ink needs 24"):
        CONVENTION.from_grey(grey)
    grey[30, 30] -= 1
    assert CONVENTION.from_grey(grey).max() == 255


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (1, 9000), (9000, 1), (3, 2000), (1, 1)])
def test_an_extreme_shape_is_still_a_picture(shape: tuple[int, int]) -> None:
    assert CONVENTION.from_grey(inked(np.pad(np.ones(shape, bool), 3))).max() == 255


@pytest.mark.parametrize(
    ("shape", "expected"), {(180, 60): "be560bca8432a7b3", (60, 180): "40ad5ee0789d750f", (90, 70): "e4eafab6fbec5a23"}.items()
)
def test_what_is_reduced_is_the_same_with_any_pillow(shape: tuple[int, int], expected: str) -> None:
    """Left to itself, Pillow 12.3 reduces a tall image's columns first, 13.0 its rows, and both round in between."""
    grey = (255 * (np.random.default_rng(0).random(shape) > 0.2)).astype(np.uint8)
    assert hashlib.sha256(CONVENTION.from_grey(grey).tobytes()).hexdigest()[:16] == expected
