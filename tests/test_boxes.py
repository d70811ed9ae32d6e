"""Boxes: how much they overlap, and which of them lie on their page."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.datasets import boxes

HEIGHT, WIDTH = 800, 600
edges = st.floats(0, 500, width=32)
lengths = st.floats(1, 500, width=32)
some = st.lists(st.tuples(edges, edges, lengths, lengths), max_size=5)


def test_overlap_of_known_boxes() -> None:
    a = [[0, 0, 10, 10], [100, 100, 10, 10]]
    b = [[0, 0, 10, 10], [5, 0, 10, 10], [10, 0, 10, 10]]
    np.testing.assert_allclose(boxes.iou(a, b), [[1, 1 / 3, 0], [0, 0, 0]])


@settings(deadline=None)
@given(some, some)
def test_overlap_is_a_symmetric_share(a: list[tuple[float, ...]], b: list[tuple[float, ...]]) -> None:
    found = boxes.iou(a, b)
    assert found.shape == (len(a), len(b))
    assert ((found >= 0) & (found <= 1 + 1e-9)).all()
    np.testing.assert_allclose(found, boxes.iou(b, a).T)
    np.testing.assert_allclose(np.diag(boxes.iou(a, a)), 1)


def test_a_box_without_size_overlaps_nothing() -> None:
    np.testing.assert_array_equal(boxes.iou([[5, 5, 0, 0]], [[5, 5, 0, 0], [0, 0, 10, 10]]), [[0, 0]])


@settings(deadline=None)
@given(edges, edges, lengths, lengths)
def test_a_box_that_is_kept_lies_on_the_page(x: float, y: float, w: float, h: float) -> None:
    try:
        kept = boxes.inside([x, y, w, h], HEIGHT, WIDTH)
    except boxes.BadBox:
        assert x + w > WIDTH or y + h > HEIGHT
    else:
        assert kept[0] + kept[2] <= WIDTH
        assert kept[1] + kept[3] <= HEIGHT
        np.testing.assert_allclose(kept, [x, y, w, h], atol=boxes.TOLERANCE)


def test_what_rounding_put_outside_is_clipped() -> None:
    np.testing.assert_array_equal(boxes.inside([-0.5, 790, 600.9, 10.6], HEIGHT, WIDTH), [0, 790, 600, 10])


BAD = {
    (-2, 0, 50, 50): "leaves the page, which is 600 x 800",
    (560, 0, 50, 50): "leaves the page",
    (0, 760, 50, 50): "leaves the page",
    (10, 10, 0, 50): "less than a pixel",
    (10, 10, 50, -5): "less than a pixel",
    (600.5, 10, 0.4, 50): "less than a pixel",
    (math.nan, 10, 50, 50): "not all finite",
    (10, 10, math.inf, 50): "not all finite",
}


@pytest.mark.parametrize("box", BAD, ids=str)
def test_a_bad_box_is_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(boxes.BadBox, match=BAD[box]):
        boxes.inside(box, HEIGHT, WIDTH)
