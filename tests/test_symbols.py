"""Made-up symbols: no two alike, each hand another, and no drawing without ink."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from pipelines.families.gravures.parts import drawing, glyphs, shapes, symbols
from pipelines.families.gravures.parts.strokes import Strokes
from pipelines.families.gravures.picture import Convention

CONVENTION = Convention()


def brought(symbol: Strokes, seed: int) -> NDArray[np.uint8]:
    return CONVENTION.from_grey(drawing.drawn(symbol, np.random.default_rng(seed)))


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of length 1: what a glance at a drawing keeps."""
    seen = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)).reduce(4), np.float32).ravel()
    return seen / np.linalg.norm(seen)


def test_every_symbol_can_be_drawn() -> None:
    for seed in range(300):
        symbol = symbols.symbol(np.random.default_rng(seed))
        assert all(stroke.shape[1] == 2 and len(stroke) > 1 and np.isfinite(stroke).all() for stroke in symbol), seed
        points = np.vstack(symbol)
        assert [points.min(), points.max()] == pytest.approx([-1, 1], abs=1e-6), seed
        grey = drawing.drawn(symbol, np.random.default_rng(seed))
        assert (grey.shape, grey[0].min(), grey[:, -1].min()) == ((64, 64), 255, 255), seed
        assert CONVENTION.from_grey(grey).max() == 255, seed


def test_a_seed_names_a_symbol_and_a_hand() -> None:
    one, other = (symbols.symbol(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(brought(one, 1), brought(other, 1))
    assert (brought(one, 1) != brought(one, 2)).any()


def test_distinct_symbols_are_told_apart_and_hands_are_not() -> None:
    """The nearest of one drawing each of 200 symbols is, at a glance, mostly the right one: far more often than one time in 200."""
    made = symbols.distinct(200, np.random.default_rng(0))
    gallery, queries = (np.stack([blurred(brought(symbol, 2 * number + hand)) for number, symbol in enumerate(made)]) for hand in (0, 1))
    found = (queries @ gallery.T).argmax(1) == np.arange(len(made))
    assert 0.5 < found.mean() < 1


def test_distinct_symbols_are_as_many_as_asked_and_repeat() -> None:
    made, again = (symbols.distinct(30, np.random.default_rng(5)) for _ in range(2))
    assert len(made) == 30
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(np.vstack(one), np.vstack(other))


@pytest.mark.parametrize("glyph", glyphs.GLYPHS)
def test_every_glyph_is_written_on_its_grid(glyph: str) -> None:
    points = np.vstack(glyphs.written([glyph]))
    assert np.ptp(points, axis=0).max() > 0.9
    assert np.ptp(points, axis=0)[1] <= 2.4


@pytest.mark.parametrize("place", ["inside", "beside", "above"])
@pytest.mark.parametrize("shape", shapes.NAMED)
def test_every_shape_takes_a_word(shape: str, place: str) -> None:
    alone, worded = (symbols.composed(shape, word, place, np.random.default_rng(0)) for word in ("", "e5"))
    assert len(worded) == len(alone) + 3
    width, height = np.ptp(np.vstack(worded), axis=0)
    assert width > height or place != "beside"


def test_a_print_fills_the_page_between_its_margins() -> None:
    grey = drawing.printed(symbols.symbol(np.random.default_rng(0)), 100, 200)
    assert grey.shape == (100, 200)
    rows, columns = (np.flatnonzero((grey < 128).any(axis)) for axis in (1, 0))
    assert np.ptp(rows) > 75 or np.ptp(columns) > 155
    assert min(rows[0], 99 - rows[-1]) >= 7
