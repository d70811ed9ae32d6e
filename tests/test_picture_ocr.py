"""Generated lines say what they show, and the convention of ocr holds for any picture: its size, its paper, its polarity."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipelines.families.ocr.parts import blanks, fonts, receipts, vocabulary
from pipelines.families.ocr.picture import Convention

CONVENTION = Convention()
STRETCHED = Convention(height=48, widest=192, stretched=True)
unhurried = settings(deadline=None, max_examples=60)  # a busy machine is not a fault
Picture = NDArray[np.uint8]


def typed(text: str, size: int = 40, paper: int = 255, ink: int = 0) -> Picture:
    """A clean line in the first face that there is."""
    font = fonts.every()[0].sized(size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    mask = np.asarray(Image.frombytes("L", (font.getmask(text).size), bytes(font.getmask(text))))
    page = np.zeros((bottom - top + 12, right - left + 12))
    page[6 : 6 + mask.shape[0], 6 : 6 + mask.shape[1]] = mask[: page.shape[0] - 6, : page.shape[1] - 6]
    return (paper + (ink - paper) * page / 255).astype(np.uint8)


@unhurried
@given(st.integers(1, 90), st.integers(1, 1500), st.integers(0, 2**32 - 1))
def test_any_picture_becomes_a_line_of_one_height(height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)
    line, wide = CONVENTION.from_grey(picture), STRETCHED.from_grey(picture)
    assert line.dtype == wide.dtype == np.uint8
    assert line.shape[0] == CONVENTION.height and wide.shape == (48, 192)
    assert line.shape[1] % CONVENTION.step == 0 and CONVENTION.step <= line.shape[1] <= CONVENTION.widest
    assert line.shape[1] - CONVENTION.step < max(1, round(width * 32 / height))


@pytest.mark.parametrize("value", [0, 7, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (32, 64), (200, 3), (3, 2000)])
def test_a_picture_without_contrast_is_white(value: int, shape: tuple[int, int]) -> None:
    assert (CONVENTION.from_grey(np.full(shape, value, np.uint8)) == 255).all()


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (200, 90), (150, 110), (0, 255), (60, 220), (90, 130)])
def test_paper_is_white_and_ink_black_whatever_they_were(paper: int, ink: int) -> None:
    wanted, found = (CONVENTION.from_grey(typed("Total 12.50", paper=p, ink=i)).astype(int) for p, i in ((255, 0), (paper, ink)))
    assert found.min() <= 5 and np.median(found) == 255
    assert np.abs(wanted - found).mean() < 4


@pytest.mark.parametrize("size", [14, 24, 60])
def test_a_line_keeps_its_proportions(size: int) -> None:
    picture = typed("ROUNDING ADJ", size)
    ink = np.flatnonzero((CONVENTION.from_grey(picture) < 128).any(0))
    at = np.flatnonzero((picture < 128).any(0)) * CONVENTION.height / picture.shape[0]
    np.testing.assert_allclose([ink[0], ink[-1]], [at[0], at[-1]], atol=3)


def test_generated_lines_say_what_the_alphabet_has() -> None:
    random = np.random.default_rng(1)
    texts = [vocabulary.text(random) for _ in range(6_000)]
    seen = Counter("".join(texts))
    assert set(seen) == set(vocabulary.ALPHABET)
    assert all(text == text.strip() and "  " not in text and 1 <= len(text) <= vocabulary.LONGEST for text in texts)
    assert len(set(texts)) > 5_000
    assert min(seen.values()) >= 3


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, Picture]]:
    random = np.random.default_rng(2)
    return [receipts.line(random) for _ in range(150)]


def test_generated_lines_are_pictures_of_lines(lines: list[tuple[str, Picture]]) -> None:
    for text, picture in lines:
        assert picture.dtype == np.uint8 and picture.ndim == 2
        assert 10 <= picture.shape[0] <= 160 and 4 <= picture.shape[1] <= 1400
        assert set(text) <= set(vocabulary.ALPHABET)
    inked = [bool((CONVENTION.from_grey(picture) < 128).any()) for _, picture in lines]
    assert np.mean(inked) > 0.96  # the faintest ones are near paper
    assert np.quantile([picture.shape[0] for _, picture in lines], [0.1, 0.9]).tolist() == pytest.approx([22, 50], abs=10)


def test_a_seed_gives_the_same_lines() -> None:
    first, second = ([receipts.line(random) for _ in range(8)] for random in (np.random.default_rng(5), np.random.default_rng(5)))
    assert all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))


def test_pictures_without_a_line_are_of_every_kind() -> None:
    random = np.random.default_rng(3)
    pictures = [blanks.nothing(random) for _ in range(80)]
    assert all(picture.dtype == np.uint8 and picture.ndim == 2 and min(picture.shape) >= 4 for picture in pictures)
    assert 0.02 < np.mean([(CONVENTION.from_grey(picture) == 255).all() for picture in pictures]) < 0.4


@pytest.mark.parametrize("face", fonts.every(), ids=lambda face: face.path.rpartition("/")[2])
def test_a_face_has_every_character_of_the_alphabet(face: fonts.Face) -> None:
    """A font that lacks one draws its empty box, the same for all that it lacks."""
    font = face.sized(40)
    drawn = {character: (font.getmask(character).size, bytes(font.getmask(character))) for character in vocabulary.ALPHABET}
    assert not any(drawn[" "][1])
    same = [characters for characters in Counter(drawn.values()).items() if characters[1] > 1]
    assert not same
    assert 0.4 < face.capital < 0.9


def test_packaged_faces_are_of_three_kinds() -> None:
    names = {face.path.rpartition("/")[2].partition(".")[0] for face in fonts.every()}
    assert all(len(names & set(kind)) >= 3 for kind in (fonts.MONO, fonts.SANS, fonts.SERIF))
    assert sum(face.share for face in fonts.every()) == pytest.approx(1)
