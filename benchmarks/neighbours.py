"""Nearest neighbours: the top 10 of 200,000 vectors that lie as a model's do, one thread; ours against NumPy and FAISS's kinds."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness, searched
from pipelines.metrics import neighbours

COUNT, QUERIES, ROUNDS = 200_000, 200, 5
Vectors = NDArray[np.float32]


class Like(NamedTuple):
    """How vectors lie: clusters of so many `members`, the cosine of two of one cluster, and of two of different ones with its deviation.

    As drawings of gravures do in the index of its first version, twelve a class.
    """

    dimensions: int = 256
    members: int = 12
    within: float = 0.86
    between: float = 0.0
    deviation: float = 0.27


def measure() -> Iterator[harness.Row]:
    """Each kind in a process of its own; then NumPy alone with as many vectors as it is left with."""
    yield from compared(Like(), COUNT, QUERIES, ROUNDS, searched.KINDS)
    yield exact(Like(), neighbours.EXACT, QUERIES, ROUNDS)


def compared(like: Like, count: int, queries: int, rounds: int, kinds: Iterable[str]) -> Iterator[harness.Row]:
    """What pipelines/metrics/neighbours.py does with many vectors, against each other kind."""
    found = _searched(like, count, queries, rounds, kinds)
    ours = found.pop(searched.OURS)
    for kind, peer in found.items():
        values = [[line["value"] for line in side] for side in (ours, peer)]
        facts: dict[str, Any] = {key: {"ours": ours[-1][key], "peer": peer[-1][key]} for key in ("recall", "memory_mb", "build_s")}
        yield harness.row(f"neighbours {searched.K} of {count:,} x {like.dimensions}: {kind}", "ms", "less", *values, **facts)


def exact(like: Like, count: int, queries: int, rounds: int) -> harness.Row:
    """NumPy, with so many vectors."""
    found = _searched(like, count, queries, rounds, [searched.NUMPY])[searched.NUMPY]
    facts: dict[str, Any] = {key: found[-1][key] for key in ("recall", "memory_mb")}
    name = f"neighbours {searched.K} of {count:,} x {like.dimensions}, NumPy as up to there"
    return harness.row(name, "ms", "less", [line["value"] for line in found], **facts)


def _searched(like: Like, count: int, queries: int, rounds: int, kinds: Iterable[str]) -> dict[str, list[dict[str, float]]]:
    """What each kind measured, round by round."""
    with tempfile.TemporaryDirectory() as scratch:
        vectors, asked = clustered(like, count, queries, seed=0)
        truth = np.concatenate([neighbours.exact(vectors, query[None], searched.K)[1] for query in asked])
        for name, values in (("vectors", vectors), ("queries", asked), ("truth", truth)):
            np.save(Path(scratch, f"{name}.npy"), values)
        del vectors
        words = {kind: [sys.executable, "-m", "benchmarks.searched", kind, scratch] for kind in kinds}
        with harness.children(words) as running:
            return harness.in_turn({kind: child.measure for kind, child in running.items()}, rounds)


def clustered(like: Like, count: int, queries: int, seed: int) -> tuple[Vectors, Vectors]:
    """Unit vectors [count, d], cluster after cluster, and other members of the same clusters [queries, d]."""
    random = np.random.default_rng(seed)
    clusters = -(-count // like.members)
    centres = _centres(like, clusters, random)
    members = _members(like, centres[np.arange(count) // like.members], random)
    return members, _members(like, centres[random.integers(clusters, size=queries)], random)


def _centres(like: Like, clusters: int, random: np.random.Generator) -> Vectors:
    """Around one direction, in as few dimensions as make their cosines deviate so much."""
    shared, deviation = like.between / like.within, like.deviation / like.within  # of centres: members are turned away from them
    few = min(like.dimensions - 1, round(((1 - shared) / deviation) ** 2))
    turned, _ = np.linalg.qr(random.normal(size=(like.dimensions, few + 1)))
    own = _unit(random.normal(size=(clusters, few)))
    mixed = np.hstack([np.full((clusters, 1), shared**0.5), (1 - shared) ** 0.5 * own])
    return (mixed @ turned.T).astype(np.float32)


def _members(like: Like, centres: Vectors, random: np.random.Generator) -> Vectors:
    noise = _unit(random.standard_normal(centres.shape, np.float32))
    return _unit(np.float32(like.within**0.5) * centres + np.float32((1 - like.within) ** 0.5) * noise)


def _unit(values: NDArray[Any]) -> NDArray[Any]:
    return values / np.linalg.norm(values, axis=1, keepdims=True)
