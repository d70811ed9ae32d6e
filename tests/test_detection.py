"""Figures of detectors: the quick one is pycocotools', and every share is what a person would count."""

import io
import math
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipelines.configs import Gate
from pipelines.families.signatures import embedded, score
from pipelines.families.signatures.examples import Page, Split
from pipelines.families.signatures.picture import Convention, in_fractions
from pipelines.metrics import detection, sheets
from pipelines.metrics.detection import Outcomes
from pipelines.registry import gate

Boxes = NDArray[np.float64]


def box(x: float, score: float | None = None) -> list[float]:
    """A square of 10 at x, 0."""
    return [x, 0, 10, 10] if score is None else [x, 0, 10, 10, score]


def page(truth: list[float], answers: list[tuple[float, float]]) -> tuple[Boxes, Boxes]:
    """Boxes at these places, and answers at (place, score)."""
    return np.reshape([box(x) for x in truth], (-1, 4)), np.reshape([box(*answer) for answer in answers], (-1, 5))


def asked(*pages: tuple[Boxes, Boxes], documents: str | None = None, sources: str | None = None) -> Outcomes:
    """Each page a document of its own, from one source, unless letters say otherwise."""
    names = list(documents or [str(index) for index in range(len(pages))])
    return detection.outcomes(names, list(sources or "s" * len(pages)), [truth for truth, _ in pages], [answers for _, answers in pages])


def drawn(seed: int) -> list[tuple[Boxes, Boxes]]:
    """Some pages, of which some are empty: answers near the truth and far from it, with scores that tie."""
    random = np.random.default_rng(seed)
    return [_page(random) for _ in range(random.integers(1, 12))]


def _page(random: np.random.Generator) -> tuple[Boxes, Boxes]:
    truth = _boxes(random)
    near = truth[random.random(len(truth)) < 0.8]
    answers = np.abs(np.vstack([near + random.normal(0, 3, near.shape), _boxes(random)]))
    return truth, np.hstack([answers, random.integers(1, 11, (len(answers), 1)) / 10])


def _boxes(random: np.random.Generator) -> Boxes:
    count = random.integers(0, 5)
    return np.hstack([random.uniform(0, 60, (count, 2)), random.uniform(5, 40, (count, 2))])


def coco(pages: list[tuple[Boxes, Boxes]], overlap: float) -> float:
    """pycocotools, as its documentation has it."""
    images: list[dict[str, Any]] = [{"id": index} for index in range(len(pages))]
    truths, answers = ([(index, *map(float, row)) for index, page in enumerate(pages) for row in page[side]] for side in (0, 1))
    labels = [
        {"id": number, "image_id": index, "category_id": 7, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        for number, (index, x, y, w, h) in enumerate(truths, 1)
    ]
    with redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "categories": [{"id": 7}], "annotations": labels, "info": {}}
        truth.createIndex()
        found = truth.loadRes([{"image_id": index, "category_id": 7, "bbox": [*place], "score": score} for index, *place, score in answers])
        judge = COCOeval(truth, found, "bbox")
        judge.params.iouThrs = np.array([overlap])
        judge.evaluate()
        judge.accumulate()
    return float(judge.eval["precision"][0, :, 0, 0, 2].mean())


@pytest.mark.slow
@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_the_figures_are_those_of_pycocotools(seed: int) -> None:
    pages = drawn(seed)
    found = asked(*pages)
    if sum(len(truth) for truth, _ in pages) and sum(len(answers) for _, answers in pages):
        assert detection.headline(found) == pytest.approx(coco(pages, 0.5), abs=1e-12)
        figures = detection.metrics(found, 0.5)
        assert figures["map50"] == pytest.approx(coco(pages, 0.5), abs=1e-12)
        assert figures["map30"] == pytest.approx(coco(pages, 0.3), abs=1e-12)
        assert figures["map50_95"] == pytest.approx(np.mean([coco(pages, overlap) for overlap in np.arange(0.5, 0.96, 0.05)]), abs=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_every_figure_is_a_share(seed: int) -> None:
    pages = drawn(seed)
    found = asked(*pages, documents="".join("ab"[index % 2] for index in range(len(pages))))
    figures = detection.metrics(found, detection.best_threshold(found))
    assert all(0 <= value <= 1 + 1e-12 and math.isfinite(value) for value in figures.values())
    assert figures["map50_low"] <= figures["map50_high"]


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_no_threshold_has_a_better_f1_than_the_best(seed: int) -> None:
    found = asked(*drawn(seed))
    best = detection.best_threshold(found)
    assert best == round(best, 3)
    scores = [detection.metrics(found, threshold)["f1"] for threshold in (best, 0.05, 0.45, 0.75)]
    assert scores[0] == max(scores)


def test_a_page_found_as_it_is_labelled_has_every_figure_at_one() -> None:
    figures = detection.metrics(asked(page([0, 50], [(0, 0.9), (50, 0.8)]), page([], [])), 0.5)
    assert {name: value for name, value in figures.items() if value < 1 - 1e-9} == {}


def test_shares_are_what_a_person_counts() -> None:
    found = asked(
        page([0, 50], [(0, 0.9), (100, 0.8), (50, 0.3)]),  # one found, one false, one missed: the count is right all the same
        page([0], [(5, 0.7)]),  # overlaps by a third: found for the loose alone
        page([], [(0, 0.6)]),
        page([0], [(0, 0.2)]),
    )
    figures = detection.metrics(found, 0.5)
    assert (figures["precision"], figures["recall"], figures["f1"]) == (1 / 4, 1 / 4, 1 / 4)
    assert figures["f1_30"] == 2 / 4
    assert figures["count_accuracy"] == 2 / 4
    assert detection.presence(found, 0.5) == (2 / 3, 2 / 3)


def test_a_box_is_found_once() -> None:
    figures = detection.metrics(asked(page([0], [(0, 0.9), (0, 0.8)])), 0.5)
    assert (figures["precision"], figures["recall"]) == (1 / 2, 1)


@pytest.mark.parametrize(("answers", "figure"), [([], 1.0), ([(0.0, 0.9)], 0.0)])
def test_without_a_box_to_find_it_is_right_to_answer_none(answers: list[tuple[float, float]], figure: float) -> None:
    found = asked(page([], answers), page([], []))
    figures = detection.metrics(found, 0.5)
    assert detection.headline(found) == figures["map50"] == figures["map50_95"] == figures["map30"] == figure
    assert all(math.isfinite(value) for value in figures.values())
    assert detection.tables(found, 0.5)["reliability"]


def test_answers_to_nothing_at_all_are_worth_nothing() -> None:
    assert detection.headline(asked(page([0], []))) == 0


def test_answers_of_single_precision_in_any_order_count_as_sorted() -> None:
    truth, answers = page([0, 50], [(100, 0.3), (0, 0.9), (50, 0.8)])
    assert detection.headline(asked((truth, answers.astype(np.float32)))) == pytest.approx(1)


def test_pages_of_a_document_stay_together() -> None:
    pages = drawn(1) + drawn(2)
    documents = "abcdefgh"[: len(pages)].ljust(len(pages), "z")
    found = asked(*pages, documents=documents)
    assert len(found["documents"]) == len(set(documents))
    assert [len(row.pages) for row in found["documents"]][-1] == documents.count(documents[-1])
    assert sum(len(row.pages) for row in found["documents"]) == len(pages)
    assert detection.headline(found) == pytest.approx(detection.headline(asked(*pages)), abs=0.02)  # ties alone may differ


def test_the_interval_is_the_same_each_time_and_holds_the_figure() -> None:
    found = asked(*(pages for seed in range(8) for pages in drawn(seed)))
    once, twice = detection.metrics(found, 0.5), detection.metrics(found, 0.5)
    assert once == twice
    assert once["map50_low"] < once["map50"] < once["map50_high"]


def test_the_gate_draws_documents_for_two_models() -> None:
    pages = [page([0, 50], [(0, 0.9), (50, 0.8)]) for _ in range(12)]
    better, worse = asked(*pages), asked(*[(truth, answers[:1]) for truth, answers in pages])
    asks = Gate(floor=0, gain=0, confidence=0.9, size_mb=1, latency="patient")
    told = {name: {**found, "threshold": np.full(12, 0.5)} for name, found in (("better", better), ("worse", worse))}
    assert gate.gain(asks, detection.headline, told["better"], told["worse"], seed=0).holds
    assert not gate.gain(asks, detection.headline, told["worse"], told["better"], seed=0).holds


def test_tables_have_a_row_for_each_source_and_each_page() -> None:
    found = asked(page([0], [(0, 0.9)]), page([0, 50], [(0, 0.9)]), page([], []), sources="aba")
    tables = detection.tables(found, 0.5)
    assert tables["classes"] == [
        {"class": "all", "examples": 3, "precision": 1.0, "recall": 2 / 3},
        {"class": "a", "examples": 1, "precision": 1.0, "recall": 1.0},
        {"class": "b", "examples": 2, "precision": 1.0, "recall": 0.5},
    ]
    assert tables["confusion"] == [{"actual": 1, "predicted": 1}, {"actual": 2, "predicted": 1}, {"actual": 0, "predicted": 0}]
    assert [row["recall"] for row in tables["curve"]] == pytest.approx(np.linspace(0, 1, 101))
    assert [(row["confidence"], row["accuracy"], row["weight"]) for row in tables["reliability"]] == [(pytest.approx(0.9), 1, 1)]


def test_the_worst_page_is_first_and_a_right_one_is_not_shown() -> None:
    right, sure, missed = page([0], [(0, 0.9)]), page([0], [(0, 0.9), (50, 0.8)]), page([0, 50, 80], [(0, 0.9)])
    found = asked(right, sure, missed, page([], [(0, 0.6), (50, 0.3)]))
    assert [page.index for page in detection.worst(found, 0.5)] == [2, 1, 3]


def test_the_sheet_shows_what_is_labelled_in_green_and_what_is_detected_in_red() -> None:
    found = asked((np.array([[10.0, 10, 30, 20]]), np.array([[60.0, 100, 30, 20, 0.9], [10, 150, 30, 20, 0.1]])))
    sheet = np.asarray(detection.mistakes(found, 0.5, lambda _: (np.full((400, 200), 255, np.uint8), 2.0)))
    top, left = 2 * sheets.GAP + sheets.LINE, sheets.GAP
    tile = sheet[top : top + detection.TILE, left : left + detection.TILE]
    shown = {name: np.argwhere((tile == colour).all(2)) for name, colour in (("true", detection.TRUE), ("detected", detection.DETECTED))}
    reduced = 2 * detection.TILE / 400  # pixels of the tile in a unit of the boxes
    assert shown["true"].min(0) == pytest.approx([10 * reduced, 10 * reduced], abs=1)
    assert shown["detected"].min(0) == pytest.approx([100 * reduced, 60 * reduced], abs=1)
    assert shown["detected"].max(0) == pytest.approx([120 * reduced, 90 * reduced], abs=1)


def test_a_sheet_without_mistakes_says_so() -> None:
    assert detection.mistakes(asked(page([0], [(0, 0.9)])), 0.5, lambda _: pytest.fail("no page is drawn")).size[1] < 50


class Clerk:
    """Answers what is labelled, each box with the same score."""

    def __init__(self, split: Split, score: float) -> None:
        self.convention, self.labels = Convention(side=64, threshold=0.4), ["signature"]
        self._answers = [
            np.pad(in_fractions(page.boxes, page.height, page.width), ((0, 0), (0, 1)), constant_values=score) for page in split.pages
        ]
        self.asked: list[int] = []

    def predict(self, pages: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        assert pages.shape[1:] == (64, 64)
        self.asked.append(len(pages))
        return self._answers[sum(self.asked[:-1]) : sum(self.asked)]


@pytest.mark.parametrize(("certainty", "f1"), [(0.45, 1.0), (0.35, 0.0)])
def test_a_predictor_is_judged_at_its_own_threshold_in_pixels_of_the_page(certainty: float, f1: float) -> None:
    drawings = [page for page, _ in zip(embedded.drawn(), range(12), strict=False)]
    split = Split([Page(page.name, page.document, "embedded", page.content, page.height, page.width, page.boxes) for page in drawings])
    clerk: Any = Clerk(split, certainty)
    found = score.outcomes(clerk, split)
    assert clerk.asked == [8, 4]
    assert len(found["documents"]) == 4
    assert score.headline({key: value[[3, 0, 0, 1]] for key, value in found.items()}) == pytest.approx(1)
    assert (score.metrics(found)["map50_95"], score.metrics(found)["f1"]) == (pytest.approx(1), f1)
    assert {row["class"] for row in score.tables(clerk, split, found)["classes"]} == {"all", "embedded"}
    assert score.sheets(clerk, split, found)["mistakes"].size[0] > 8 * detection.TILE


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    detection.metrics(asked(page([0], [(0, 0.9)])), 0.5)
    assert capsys.readouterr() == ("", "")
