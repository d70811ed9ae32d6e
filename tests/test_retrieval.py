"""Figures of embeddings: places are what a person counts, precision is scikit-learn's, one-shot trials are those of two writers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from pipelines.configs import Gate
from pipelines.metrics import retrieval, sheets, statistics
from pipelines.registry import gate

Embeddings = NDArray[np.float32]


def unit(values: NDArray[np.float64]) -> Embeddings:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def at(*degrees: float) -> Embeddings:
    """Unit vectors of a plane."""
    turns = np.deg2rad(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], 1).astype(np.float32)


def clusters(seed: int, classes: int, each: int, spread: float = 0.3) -> tuple[Embeddings, NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    return unit(random.normal(size=(classes, 16))[labels] + spread * random.normal(size=(len(labels), 16))), labels


def test_classes_are_ordered_by_their_best_member() -> None:
    gallery, classes = at(0, 90, 20, 200, 45), np.array([7, 7, 3, 3, 5])
    rank, precision = retrieval.ranks(at(5, 5, 5, 80), np.array([7, 3, 5, 3]), gallery, classes)
    assert rank.tolist() == [1, 2, 3, 3]
    assert precision.tolist() == pytest.approx([(1 + 2 / 4) / 2, (1 / 2 + 2 / 5) / 2, 1 / 3, (1 / 3 + 2 / 5) / 2])


@given(st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_precision_is_that_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    gallery, classes = clusters(seed, 5, 4, 1.0)
    queries, labels = clusters(seed + 1, 5, 2, 1.0)
    keep = random.permutation(len(classes))[: random.integers(12, 20)]
    gallery, classes = np.round(gallery[keep], 1), classes[keep]  # some are equal
    asked = np.isin(labels, classes)
    rank, precision = retrieval.ranks(queries[asked], labels[asked], gallery, classes)
    similarities = queries[asked] @ gallery[np.argsort(classes, kind="stable")].T
    expected = [average_precision_score(np.sort(classes) == label, row) for label, row in zip(labels[asked], similarities, strict=True)]
    assert precision.tolist() == pytest.approx(expected)
    best = np.array([similarities[:, np.sort(classes) == label].max(1) for label in np.unique(classes)])
    own = best[np.searchsorted(np.unique(classes), labels[asked]), np.arange(asked.sum())]
    assert rank.tolist() == (best >= own).sum(0).tolist()


def test_with_one_member_a_class_precision_is_one_by_the_place() -> None:
    gallery, classes = clusters(0, 20, 1)
    queries, labels = clusters(1, 20, 3)
    rank, precision = retrieval.ranks(queries, labels, gallery, classes)
    assert len(set(rank.tolist())) > 5
    assert precision.tolist() == pytest.approx((1 / rank).tolist())


@pytest.mark.parametrize("value", [1.0, 0.0, np.nan])
def test_an_encoder_that_makes_all_alike_finds_nothing(value: float) -> None:
    same = np.full((6, 4), value, np.float32)
    rank, precision = retrieval.ranks(same, np.arange(6), same, np.arange(6))
    assert rank.tolist() == [6] * 6
    assert precision.tolist() == pytest.approx([1 / 6] * 6)
    trials = retrieval.one_shot(np.repeat(same, 2, 0), np.repeat(np.arange(6), 2), np.zeros(12, int), np.tile([1, 2], 6), ways=5, trials=9)
    assert trials.tolist() == [5] * 9


def test_a_class_that_is_not_in_the_gallery_is_named() -> None:
    with pytest.raises(retrieval.NotInGallery, match=r"lacks 2 classes of the queries, such as 4, 9\."):
        retrieval.ranks(at(0, 1, 2), np.array([9, 1, 4]), at(0), np.array([1]))


@pytest.mark.parametrize("each", [1, 5])
def test_a_few_of_each_class_are_the_same_whatever_the_others(each: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [1, 2, 3, 5, 8, 13]))
    rows = retrieval.few(labels, each, seed=1)
    assert np.bincount(labels[rows]).tolist() == [min(each, size) for size in (1, 2, 3, 5, 8, 13)]
    assert len(set(rows.tolist())) == len(rows)
    assert rows.tolist() == retrieval.few(labels, each, seed=1).tolist() != retrieval.few(labels, each, seed=2).tolist()
    more = np.concatenate([labels, np.full(9, 6)])
    assert retrieval.few(more, each, seed=1)[: len(rows)].tolist() == rows.tolist()


def hands(alphabets: int, characters: int, writers: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Labels, alphabets and writers of drawings, a row each."""
    labels = np.repeat(np.arange(alphabets * characters), writers)
    return labels, labels // characters, np.tile(np.arange(writers), alphabets * characters)


def test_a_trial_is_right_when_another_hand_is_the_nearest() -> None:
    labels, alphabets, writers = hands(3, 20, 4)
    exact = np.eye(60, dtype=np.float32)[labels]
    assert retrieval.one_shot(exact, labels, alphabets, writers, trials=40, seed=1, within=True).tolist() == [1] * 40
    by_writer = np.eye(4, dtype=np.float32)[writers]  # an encoder that sees who drew, and not what
    assert retrieval.one_shot(by_writer, labels, alphabets, writers, trials=40, seed=1).tolist() == [20] * 40


def test_trials_are_of_one_alphabet_or_of_all() -> None:
    labels, alphabets, writers = hands(4, 20, 3)
    by_alphabet = unit(np.eye(4)[alphabets] + 1e-3 * np.random.default_rng(0).normal(size=(len(labels), 4)))
    within, over = (retrieval.one_shot(by_alphabet, labels, alphabets, writers, trials=200, seed=3, within=kind) for kind in (True, False))
    assert over.max() <= 14 < within.max()  # over all alphabets the true one is among the few of its alphabet
    assert within.mean() == pytest.approx(10.5, abs=2)
    assert over.tolist() == retrieval.one_shot(by_alphabet, labels, alphabets, writers, trials=200, seed=3).tolist()
    assert over.tolist() != retrieval.one_shot(by_alphabet, labels, alphabets, writers, trials=200, seed=4).tolist()


def test_one_writer_draws_what_is_chosen_among() -> None:
    labels, alphabets, writers = hands(1, 20, 5)
    embeddings = unit(np.eye(5)[writers] + 0.1 * np.eye(20)[labels][:, :5])
    asked: list[set[int]] = []

    class Watched(np.ndarray):  # type: ignore[type-arg]
        def __getitem__(self, rows: object) -> object:
            if isinstance(rows, list):
                asked.append({int(writers[row]) for row in rows})
            return np.asarray(self)[rows]  # type: ignore[index]

    retrieval.one_shot(embeddings.view(Watched), labels, alphabets, writers, trials=25)
    queries, supports = asked[::2], asked[1::2]
    assert len(queries) == len(supports) == 25
    assert all(len(query) == len(support) == 1 and query != support for query, support in zip(queries, supports, strict=True))


def test_a_writer_who_has_not_drawn_a_character_is_stood_in_for() -> None:
    labels, alphabets, writers = hands(1, 8, 3)
    there = np.random.default_rng(0).random(len(labels)) < 0.75
    labels, alphabets, writers = labels[there], alphabets[there], writers[there]
    twice = int((np.bincount(labels) > 1).sum())
    assert 3 <= twice < 8
    exact = np.eye(8, dtype=np.float32)[labels]
    assert retrieval.one_shot(exact, labels, alphabets, writers, ways=twice, trials=30).tolist() == [1] * 30


@pytest.mark.parametrize(("within", "words"), [(True, "one alphabet has at most 5"), (False, "all alphabets has at most 15")])
def test_too_few_characters_are_refused_with_both_numbers(within: bool, words: str) -> None:
    labels, alphabets, writers = hands(3, 5, 2)
    with pytest.raises(retrieval.TooFewDrawings, match=f"ways=20, but {words}"):
        retrieval.one_shot(at(*range(30)), labels, alphabets, writers, within=within)
    with pytest.raises(retrieval.TooFewDrawings, match="at most 0"):
        retrieval.one_shot(at(*range(15)), labels[::2], alphabets[::2], writers[::2], ways=2, within=within)


PARTS = {
    "one": (np.array([1, 1, 2, 7, 30]), 1 / np.array([1, 1, 2, 7, 30])),
    "unseen_five": (np.array([1, 6]), np.array([0.75, 0.25])),
    "writers": retrieval.places(np.array([1, 1, 1, 4])),
    "writers_within": retrieval.places(np.array([1, 2, 3, 1])),
}


def test_figures_are_what_a_person_counts() -> None:
    figures = retrieval.metrics(retrieval.outcomes(PARTS))
    mean = (1 + 1 + 1 / 2 + 1 / 7 + 1 / 30) / 5
    expected = {"top1": 0.4, "top5": 0.6, "top10": 0.8, "map": mean, "retrieval": (mean + 0.5) / 2}
    expected |= {"unseen_five_top1": 0.5, "unseen_five_top5": 0.5, "unseen_five_top10": 1, "unseen_five_map": 0.5}
    expected |= {"one_shot_random": 0.75, "one_shot_within": 0.5}
    expected |= dict(zip(("top1_low", "top1_high"), statistics.wilson(0.4, 5), strict=True))
    expected |= dict(zip(("unseen_five_top1_low", "unseen_five_top1_high"), statistics.wilson(0.5, 2), strict=True))
    for name, share in (("one_shot_random", 0.75), ("one_shot_within", 0.5)):
        expected |= dict(zip((f"{name}_low", f"{name}_high"), statistics.wilson(share, 4), strict=True))
    low, high = figures.pop("retrieval_low"), figures.pop("retrieval_high")
    assert figures == pytest.approx(expected)
    assert 0 < low < figures[retrieval.HEADLINE] < high < 1


def test_the_interval_is_as_wide_as_chance_makes_it() -> None:
    parts = {"one": retrieval.places(np.ones(300, int)), "writers_within": retrieval.places(np.tile([1, 2], 200))}
    low, high = retrieval.interval(retrieval.outcomes(parts))
    wide = 1.96 * (0.25 / 400) ** 0.5 / 2  # a binomial share is half of the headline
    assert (low, high) == (pytest.approx(0.75 - wide, abs=0.003), pytest.approx(0.75 + wide, abs=0.003))
    assert retrieval.interval(retrieval.outcomes({"writers": parts["writers_within"]})) == (0.0, 0.0)


def test_outcomes_name_the_query_of_each_row() -> None:
    found = retrieval.outcomes(PARTS)
    assert found["kind"].tolist() == ["one"] * 5 + ["unseen_five"] * 2 + ["writers"] * 4 + ["writers_within"] * 4
    assert found["query"].tolist() == [0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize(("kinds", "figure"), [(["one"], 0.5352), (["writers_within"], 0.5), (["writers"], 0.0), ([], 0.0)])
def test_the_headline_holds_of_any_rows(kinds: list[str], figure: float) -> None:
    found = retrieval.outcomes(PARTS)
    rows = np.isin(found["kind"], kinds)
    assert retrieval.headline({key: value[rows] for key, value in found.items()}) == pytest.approx(figure, abs=1e-4)


def test_the_gate_holds_two_encoders_against_each_other() -> None:
    better = retrieval.outcomes({"one": retrieval.places(np.ones(60, int)), "writers_within": retrieval.places(np.ones(60, int))})
    worse = {**better, "precision": better["precision"] * 0.9, "rank": better["rank"] + (np.arange(120) % 5 == 0)}
    asks = Gate(floor=0, gain=0, confidence=0.9, size_mb=1, latency="patient")
    assert gate.gain(asks, retrieval.headline, better, worse, seed=0).holds
    assert not gate.gain(asks, retrieval.headline, worse, better, seed=0).holds


def asked() -> retrieval.Answers:
    """Class 0 asked for twice and found once, class 2 found."""
    return retrieval.answers(at(1, 40, 100), np.array([0, 0, 2]), at(0, 45, 90), np.array([0, 1, 2]))


def test_answers_are_those_of_the_nearest() -> None:
    found = asked()
    assert (found.said.tolist(), found.rows.tolist()) == ([0, 1, 2], [0, 1, 2])
    assert found.similarity.tolist() == pytest.approx(np.cos(np.deg2rad([1, 5, 10])).tolist())


def test_tables_have_a_row_for_each_class_that_is_asked_for() -> None:
    tables = retrieval.tables(asked(), ["eye", "ring", "star"])
    assert tables["classes"] == [{"class": "eye", "examples": 2, "recall": 0.5}, {"class": "star", "examples": 1, "recall": 1.0}]
    assert tables["confusion"][1] == {"actual": "eye", "predicted": "ring"}
    (row,) = tables["reliability"]
    assert (row["accuracy"], row["weight"]) == (pytest.approx(2 / 3), 1)


def test_similarities_below_zero_are_binned_too() -> None:
    found = retrieval.answers(at(180, 0), np.array([0, 0]), at(0, 10), np.array([0, 1]))
    rows = statistics.reliability(found.similarity, found.said == found.labels)
    assert [(round(row["confidence"], 2), row["accuracy"], row["weight"]) for row in rows] == [(-0.98, 0, 0.5), (1, 1, 0.5)]


def test_the_sheet_shows_what_was_asked_beside_what_was_nearest() -> None:
    asked_for, nearest = np.full((3, 8, 8), 50, np.uint8), np.full((3, 8, 8), 200, np.uint8)
    sheet = np.asarray(retrieval.mistakes(asked(), asked_for, nearest, ["eye", "ring", "star"]))
    top, left = 2 * sheets.GAP + sheets.LINE, sheets.GAP
    tile = sheet[top : top + 16, left : left + 16, 0]
    assert (np.unique(tile[4:12, :8]).tolist(), np.unique(tile[4:12, 8:]).tolist()) == ([50], [200])
    right = retrieval.answers(at(0), np.array([0]), at(0), np.array([0]))
    assert retrieval.mistakes(right, asked_for[:1], nearest, ["eye"]).size[1] < 50


def test_a_space_is_laid_out_the_same_each_time_and_keeps_clusters_together() -> None:
    embeddings, labels = clusters(0, 4, 12, 0.2)
    names = [f"class {label}" for label in labels]
    rows = retrieval.space(embeddings, names)
    assert rows == retrieval.space(embeddings, names)
    assert [row["class"] for row in rows] == names
    points = np.array([(row["x"], row["y"]) for row in rows])
    distances = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(len(points), np.inf))
    assert (labels[distances.argmin(1)] == labels).mean() > 0.95


def test_a_space_of_three_points_is_laid_out() -> None:
    assert len(retrieval.space(at(0, 90, 180), ["a", "b", "c"])) == 3


def test_the_space_is_drawn_as_coloured_points_with_names() -> None:
    rows = [{"x": float(x), "y": float(y), "class": f"class {x}"} for x in range(5) for y in range(3)]
    picture = np.asarray(retrieval.space_picture(rows))
    assert picture.shape == (1200, 1200, 3)
    coloured = picture[(picture.max(2) - picture.min(2)) > 100]
    assert len(np.unique(coloured // 64, axis=0)) >= 5
    assert 0.9 < (picture == 255).all(2).mean() < 1
