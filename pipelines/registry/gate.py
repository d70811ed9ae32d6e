"""May the challenger replace the champion? Each condition is answered with its figures, in words."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.configs import Gate, Shadowed

LATENCY_MS = {"realtime": 2.0, "interactive": 100.0, "patient": float("inf")}
RESAMPLES = 2000
WIDTH = 1.959964  # standard errors of a 95 % interval
Outcomes = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Condition:
    """One thing the gate asks, whether it holds, and the figures."""

    name: str
    holds: bool
    words: str


def conditions(gate: Gate, metric: str, report: dict[str, Any]) -> list[Condition]:
    """What any challenger must show, champion or not: floor, size, latency. `report` is that of evaluate."""
    figure, limit = report["valid"][metric], LATENCY_MS[gate.latency]
    size, latency = report["size_mb"], report["latency_ms"]
    return [
        Condition("floor", figure >= gate.floor, f"{metric} {figure:.4f} on validation, at least {gate.floor:.4f} is asked"),
        Condition("size", size <= gate.size_mb, f"{size:.2f} MB are served, at most {gate.size_mb:g} MB are allowed"),
        Condition("latency", latency <= limit, f"{latency:.2f} ms an answer, {gate.latency} allows {limit:g} ms"),
    ]


def schema(challenger: dict[str, Any], champion: dict[str, Any]) -> Condition:
    """The challenger takes what the champion takes and answers what it answers: manifests' input and output."""
    fits = challenger["input"] == champion["input"] and challenger["output"] == champion["output"]
    return Condition(
        "schema",
        fits,
        "input and output are the champion's" if fits else f"input or output differ from version {champion.get('version', '?')}",
    )


def returned(family: str, rolled_back: int | None) -> list[Condition]:
    """Asked only of what somebody rolled back from: only somebody brings it back. `rolled_back` is its version, or None."""
    words = f"it was version {rolled_back} and was rolled back; `make rollback family={family} to={rolled_back}` brings it back"
    return [Condition("returned", False, words)] if rolled_back else []


def shadow(asked: Shadowed, found: dict[str, Any], champion: int, family: str, candidate: str) -> Condition:
    """The challenger has answered beside this champion often enough, and agreed: `found` is the prediction store's agreement()."""
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
    """Paired bootstrap over the same examples: the share of resamples in which the challenger gains more than asked."""
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
    return np.array([_difference(headline, challenger, champion, random.integers(0, count, count)) for _ in range(RESAMPLES)])


def _difference(headline: Callable[[Outcomes], float], challenger: Outcomes, champion: Outcomes, rows: NDArray[np.int64]) -> float:
    return headline({key: value[rows] for key, value in challenger.items()}) - headline(
        {key: value[rows] for key, value in champion.items()}
    )
