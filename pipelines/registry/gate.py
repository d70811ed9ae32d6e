"""The gate: the conditions under which a challenger replaces the champion, each with its figures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.configs import Gate, ShadowCondition

LATENCY_MS = {"realtime": 2.0, "interactive": 100.0, "patient": float("inf")}
RESAMPLES = 2000
WIDTH = 1.959964  # standard errors of a 95 % interval
Outcomes = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Condition:
    """One condition, whether it holds, and its figures."""

    name: str
    holds: bool
    words: str


def conditions(gate: Gate, metric: str, report: dict[str, Any]) -> list[Condition]:
    """Floor, size and latency, with or without a champion. `report` is that of evaluate."""
    figure, limit = report["valid"][metric], LATENCY_MS[gate.latency]
    size, latency = report["size_mb"], report["latency_ms"]
    return [
        Condition("floor", figure >= gate.floor, f"{metric} {figure:.4f} on validation, at least {gate.floor:.4f} is asked"),
        Condition("size", size <= gate.size_mb, f"{size:.2f} MB are served, at most {gate.size_mb:g} MB are allowed"),
        Condition("latency", latency <= limit, f"{latency:.2f} ms an answer, {gate.latency} allows {limit:g} ms"),
    ]


def schema(challenger: dict[str, Any], champion: dict[str, Any]) -> Condition:
    """The manifests' input and output are the same."""
    same = challenger["input"] == champion["input"] and challenger["output"] == champion["output"]
    differ = f"input or output differ from version {champion.get('version', '?')}"
    return Condition("schema", same, "input and output are the champion's" if same else differ)


def returned(family: str, rolled_back: int | None) -> list[Condition]:
    """A version that was rolled back returns only by a rollback. `rolled_back` is its number, or None."""
    words = f"it was version {rolled_back} and was rolled back; `make rollback family={family} to={rolled_back}` brings it back"
    return [Condition("returned", False, words)] if rolled_back else []


def shadow(asked: ShadowCondition, found: dict[str, Any], champion: int, family: str, candidate: str) -> Condition:
    """The challenger has agreed with this champion in enough answers: `found` is the prediction store's agreement()."""
    samples, agreement = int(found["samples"]), float(found["agreement"] or 0.0)
    enough = samples >= asked.samples
    low, high = interval(round(agreement * samples), samples)
    share = f" ({agreement:.1%}, 95 % interval {low:.1%} to {high:.1%})" if samples else ""
    words = (
        f"agreed with version {champion} in {round(agreement * samples)} of {samples} answers beside it{share}, "
        f"at least {asked.agreement:.1%} of {asked.samples} or more are asked"
    )
    more = (
        f"; `make challenge family={family} candidate={candidate} share=1` brings more, while `make serve family={family}` answers "
        "(where that is another machine, PREDICTIONS_URL names one store for both)"
    )
    return Condition("shadow", enough and agreement >= asked.agreement, words + ("" if enough else more))


def interval(agreed: int, samples: int) -> tuple[float, float]:
    """The 95 % interval of a share by its score (Wilson 1927); 0 to 1 where there are no samples."""
    if not samples:
        return 0.0, 1.0
    share, z = agreed / samples, WIDTH**2 / samples
    middle, half = share + z / 2, WIDTH * math.sqrt((share * (1 - share) + z / 4) / samples)
    return max(0.0, (middle - half) / (1 + z)), min(1.0, (middle + half) / (1 + z))


def gain(gate: Gate, headline: Callable[[Outcomes], float], challenger: Outcomes, champion: Outcomes, seed: int) -> Condition:
    """The share of paired bootstrap resamples in which the challenger gains more than asked."""
    gains = resampled(headline, challenger, champion, seed)
    sure, mean = float((gains > gate.gain).mean()), headline(challenger) - headline(champion)
    low, high = np.quantile(gains, [0.025, 0.975])
    words = (
        f"gains {mean:+.4f} on the champion (95 % interval {low:+.4f} to {high:+.4f}), "
        f"more than {gate.gain:g} in {sure:.0%} of resamples, {gate.confidence:.0%} is asked"
    )
    return Condition("gain", sure >= gate.confidence, words)


def resampled(headline: Callable[[Outcomes], float], challenger: Outcomes, champion: Outcomes, seed: int) -> NDArray[np.float64]:
    """Differences of the headline figure over RESAMPLES paired resamples of the examples (Efron 1979)."""
    count = len(next(iter(challenger.values())))
    random = np.random.default_rng(seed)

    def score(outcomes: Outcomes, rows: NDArray[np.int64]) -> float:
        return headline({key: value[rows] for key, value in outcomes.items()})

    samples = (random.integers(0, count, count) for _ in range(RESAMPLES))
    return np.array([score(challenger, rows) - score(champion, rows) for rows in samples])
