"""Nearest neighbours: exact ones are those that a sort finds, and with many vectors nearly all of them are found."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks import neighbours as benchmark
from benchmarks import searched
from pipelines.metrics import neighbours
from pipelines.metrics.neighbours import Index

Vectors = NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other take minutes where tests share their cores."""
    import faiss  # noqa: F401 - a library must be there to be limited

    with threadpool_limits(1):
        yield


def clustered(count: int, seed: int = 0) -> tuple[Vectors, Vectors]:
    """Vectors and 40 queries near them, 32 numbers each."""
    return benchmark.clustered(benchmark.Like(dimensions=32), count, 40, seed)


def sorted_out(vectors: Vectors, queries: Vectors, k: int) -> list[list[float]]:
    """The k greatest similarities."""
    return np.sort(queries @ vectors.T, axis=1)[:, ::-1][:, :k].tolist()


@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_exact_neighbours_are_those_of_a_sort(seed: int, count: int, k: int) -> None:
    vectors, queries = np.round(clustered(30, seed)[0], 1)[:count], clustered(30, seed)[1][: seed % 3]
    similarities, rows = Index(vectors).nearest(queries, k)
    assert rows.shape == similarities.shape == (len(queries), min(k, count))
    assert similarities.tolist() == sorted_out(vectors, queries, k)
    assert all(len(set(found)) == len(found) for found in rows.tolist())
    np.testing.assert_allclose(np.einsum("mkd,md->mk", vectors[rows], queries), similarities, atol=1e-5)


@pytest.fixture(scope="module")
def many() -> tuple[Vectors, Vectors, Index]:
    """More vectors than are looked through one by one, with the limit lowered."""
    vectors, queries = clustered(4000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "EXACT", 3999)
        index = Index(vectors)
    return vectors, queries, index


def test_with_many_vectors_nearly_all_of_the_nearest_are_found(many: tuple[Vectors, Vectors, Index]) -> None:
    vectors, queries, index = many
    similarities, rows = index.nearest(queries, 10)
    truth = Index(vectors).nearest(queries, 10)[1]
    assert searched.recall(rows, truth) > 0.95
    assert (np.diff(similarities, axis=1) <= 0).all()
    np.testing.assert_allclose(np.einsum("mkd,md->mk", vectors[rows], queries), similarities, atol=0.02)
    assert len(index) == 4000


@pytest.mark.parametrize("k", [3999, 4000, 10**6])
def test_with_many_vectors_all_of_them_can_be_had(many: tuple[Vectors, Vectors, Index], k: int) -> None:
    vectors, queries, index = many
    similarities, rows = index.nearest(queries[:2], k)
    assert all(len(set(found)) == min(k, 4000) and min(found) >= 0 for found in rows.tolist())
    assert similarities == pytest.approx(np.array(sorted_out(vectors, queries[:2], min(k, 4000))), abs=0.03)


def test_many_vectors_are_held_in_a_quarter_of_their_size(many: tuple[Vectors, Vectors, Index]) -> None:
    import faiss

    held = len(faiss.serialize_index(many[2]._vectors))
    assert held < 0.5 * many[0].nbytes


@pytest.mark.parametrize(("count", "kind"), [(20, "ndarray"), (21, "IndexIVFScalarQuantizer")])
def test_few_vectors_are_held_as_they_are(count: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "EXACT", 20)
    assert type(Index(clustered(count)[0])._vectors).__name__ == kind


@pytest.mark.parametrize("kind", [kind for kind in searched.KINDS if "PQ" not in kind])  # whose training takes a minute
def test_every_kind_of_the_benchmark_finds_neighbours(kind: str) -> None:
    vectors, queries = benchmark.clustered(benchmark.Like(dimensions=64), 1000, 20, seed=0)
    rows = searched.search(kind, vectors)(queries)
    assert searched.recall(rows, neighbours.exact(vectors, queries, 10)[1]) >= 0.95


def test_the_benchmark_holds_ours_against_the_others() -> None:
    (row,) = benchmark.compared(benchmark.Like(), 3000, queries=20, rounds=1, kinds=[searched.OURS, searched.NUMPY])
    assert row["name"] == "neighbours 10 of 3,000 x 256: NumPy"
    assert row["recall"]["ours"] > 0.95 and row["recall"]["peer"] == 1
    assert row["ours"] > 0 and row["peer"] > 0
    assert row["memory_mb"].keys() == row["build_s"].keys() == {"ours", "peer"}


def test_the_benchmark_tells_how_numpy_does_up_to_the_limit() -> None:
    row = benchmark.exact(benchmark.Like(), 2000, queries=10, rounds=1)
    assert (row["recall"], row["peer"], row["unit"]) == (1, None, "ms")


def test_vectors_lie_as_they_are_told_to() -> None:
    like = benchmark.Like(within=0.7, between=0.25, deviation=0.1)
    vectors, queries = benchmark.clustered(like, 1200, 50, seed=0)
    cosines = vectors @ vectors.T
    same = np.arange(1200)[:, None] // 12 == np.arange(1200) // 12
    assert cosines[same & ~np.eye(1200, dtype=bool)].mean() == pytest.approx(0.7, abs=0.01)
    others = cosines[~same]
    assert others.mean() == pytest.approx(0.25, abs=0.02)
    assert others.std() == pytest.approx(0.1, abs=0.03)
    assert (queries @ vectors.T).max(1).min() > 0.6
