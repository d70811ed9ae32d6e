"""The MNIST convention holds for any drawing: its shape, its polarity, its place and its scale."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipelines.families.digits.picture import Blank, Convention

CONVENTION = Convention()
unhurried = settings(deadline=None)  # a busy machine is not a fault
Picture = NDArray[np.uint8]


@st.composite
def strokes(draw: st.DrawFn, least: int = 1, most: int = 60) -> NDArray[np.bool_]:
    """Where ink is, on a canvas of at most `most` pixels a side whose border is paper; `least` is the side of the whole drawing."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    canvas = np.zeros((height + 2, width + 2), bool)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(1, height)), draw(st.integers(1, width))
        canvas[top : draw(st.integers(top, height)) + 1, left : draw(st.integers(left, width)) + 1] = True
    rows, columns = np.flatnonzero(canvas.any(1)), np.flatnonzero(canvas.any(0))
    assume(max(np.ptp(rows), np.ptp(columns)) + 1 >= least)
    return canvas


@st.composite
def tones(draw: st.DrawFn) -> tuple[int, int]:
    """The brightness of paper and of ink, as far apart as ink needs."""
    paper, ink = draw(st.integers(0, 255)), draw(st.integers(0, 255))
    assume(abs(paper - ink) >= CONVENTION.contrast)
    return paper, ink


def drawn(canvas: NDArray[np.bool_], paper: int = 255, ink: int = 0) -> Picture:
    return np.where(canvas, ink, paper).astype(np.uint8)


def line(height: int, width: int) -> NDArray[np.bool_]:
    return np.pad(np.ones((height, width), bool), 3)


def centre(picture: Picture, axis: int) -> float:
    """The centre of mass along one axis, in pixels from the edge."""
    mass = picture.sum(1 - axis, dtype=float)
    return float((mass * (np.arange(mass.size) + 0.5)).sum() / mass.sum())


def touches_the_edge(picture: Picture, axis: int) -> bool:
    """Along one axis, where the drawing cannot move on without being cut."""
    mass = picture.sum(1 - axis)
    return bool(mass[0] or mass[-1])


def difference(one: Picture, other: Picture) -> float:
    """The mean absolute difference, at the best of the nine places one pixel apart: a centre between two pixels goes to either."""
    places = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return min(float(np.abs(one.astype(int) - np.roll(other, place, (0, 1))).mean()) for place in places)


@given(strokes(), tones())
@unhurried
def test_a_picture_is_28_by_28_of_0_to_255(canvas: NDArray[np.bool_], tone: tuple[int, int]) -> None:
    picture = CONVENTION.from_grey(drawn(canvas, *tone))
    assert picture.shape == (28, 28)
    assert picture.dtype == np.uint8
    assert picture.max() == 255
    assert picture.min() == 0


@given(strokes())
@unhurried
def test_the_drawing_fits_the_box(canvas: NDArray[np.bool_]) -> None:
    picture = CONVENTION.from_grey(drawn(canvas))
    assert np.ptp(np.flatnonzero(picture.any(0))) < CONVENTION.box
    assert np.ptp(np.flatnonzero(picture.any(1))) < CONVENTION.box


@given(strokes(), tones())
@unhurried
def test_dark_on_light_equals_light_on_dark(canvas: NDArray[np.bool_], tone: tuple[int, int]) -> None:
    grey = drawn(canvas, *tone)
    np.testing.assert_array_equal(CONVENTION.from_grey(grey), CONVENTION.from_grey(255 - grey))


@given(strokes(), tones())
@unhurried
def test_neither_the_paper_nor_the_ink_matters(canvas: NDArray[np.bool_], tone: tuple[int, int]) -> None:
    np.testing.assert_array_equal(CONVENTION.from_grey(drawn(canvas, *tone)), CONVENTION.from_grey(drawn(canvas)))


@given(strokes(), tones(), st.tuples(*[st.integers(0, 40)] * 4))
@unhurried
def test_more_paper_around_changes_nothing(canvas: NDArray[np.bool_], tone: tuple[int, int], margins: tuple[int, ...]) -> None:
    grey = drawn(canvas, *tone)
    wider = np.pad(grey, (margins[:2], margins[2:]), constant_values=tone[0])
    np.testing.assert_array_equal(CONVENTION.from_grey(wider), CONVENTION.from_grey(grey))


@pytest.mark.parametrize("axis", [0, 1])
@given(canvas=strokes())
@unhurried
def test_the_centre_of_mass_is_in_the_middle(axis: int, canvas: NDArray[np.bool_]) -> None:
    picture = CONVENTION.from_grey(drawn(canvas))
    assert abs(centre(picture, axis) - CONVENTION.side / 2) <= 1 or touches_the_edge(picture, axis)


@pytest.mark.parametrize("times", [2, 5])
@given(canvas=strokes(least=40, most=80))
@settings(unhurried, max_examples=50)
def test_the_same_drawing_larger_gives_nearly_the_same_picture(times: int, canvas: NDArray[np.bool_]) -> None:
    larger = np.kron(canvas, np.ones((times, times), bool))
    assert difference(CONVENTION.from_grey(drawn(canvas)), CONVENTION.from_grey(drawn(larger))) < 3


@pytest.mark.parametrize("shape", [(1, 500), (500, 1), (1, 9000), (9000, 1), (3, 2000), (1, 1)])
def test_an_extreme_shape_is_still_a_picture(shape: tuple[int, int]) -> None:
    picture = CONVENTION.from_grey(drawn(line(*shape)))
    assert picture.shape == (28, 28)
    assert picture.max() == 255


def test_a_long_line_keeps_one_pixel_of_width() -> None:
    picture = CONVENTION.from_grey(drawn(line(500, 1)))
    assert np.count_nonzero(picture.any(0)) == 1
    assert np.count_nonzero(picture.any(1)) == CONVENTION.box


def test_grain_in_the_paper_is_not_ink() -> None:
    clean = drawn(line(40, 4))
    grainy = clean - np.where(clean == 255, np.random.default_rng(0).integers(0, 40, clean.shape), 0).astype(np.uint8)
    grainy[[0, -1]], grainy[:, [0, -1]] = 255, 255
    assert difference(CONVENTION.from_grey(clean), CONVENTION.from_grey(grainy)) < 1


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 255))
@unhurried
def test_an_empty_page_is_blank(height: int, width: int, paper: int) -> None:
    with pytest.raises(Blank, match=rf"contrast is 0 of 255.*needs {CONVENTION.contrast}.*Send one with a digit"):
        CONVENTION.from_grey(np.full((height, width), paper, np.uint8))


@pytest.mark.parametrize(("faintness", "blank"), [(CONVENTION.contrast - 1, True), (CONVENTION.contrast, False)])
def test_faint_ink_is_blank_below_the_contrast(faintness: int, blank: bool) -> None:
    grey = drawn(line(20, 5), paper=255, ink=255 - faintness)
    if not blank:
        assert CONVENTION.from_grey(grey).max() == 255
        return
    with pytest.raises(Blank, match=rf"contrast is {faintness} of 255, ink needs {CONVENTION.contrast}"):
        CONVENTION.from_grey(grey)
