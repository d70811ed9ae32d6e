"""The gate's conditions, with figures worked out by hand."""

import numpy as np
import pytest

from pipelines.configs import Gate
from pipelines.registry import gate

PAGE = Gate(floor=0.9, gain=0.0, confidence=0.9, size_mb=1, latency="realtime")
REPORT = {"valid": {"accuracy": 0.95}, "size_mb": 0.5, "latency_ms": 1.0}


def right(rows: list[int]) -> gate.Outcomes:
    return {"right": np.array(rows)}


def headline(outcomes: gate.Outcomes) -> float:
    return float(outcomes["right"].mean())


def test_a_good_challenger_meets_every_condition() -> None:
    assert [condition.holds for condition in gate.conditions(PAGE, "accuracy", REPORT)] == [True, True, True]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"valid": {"accuracy": 0.89}}, "floor"),
        ({"size_mb": 1.1}, "size"),
        ({"latency_ms": 2.1}, "latency"),
        ({"valid": {"accuracy": float("nan")}}, "floor"),
    ],
)
def test_each_condition_closes_the_gate_alone(change: dict[str, object], name: str) -> None:
    assert [condition.name for condition in gate.conditions(PAGE, "accuracy", {**REPORT, **change}) if not condition.holds] == [name]


def test_a_clear_gain_opens_and_noise_does_not() -> None:
    champion = right([1] * 80 + [0] * 20)
    assert gate.gain(PAGE, headline, right([1] * 95 + [0] * 5), champion, seed=0).holds
    assert not gate.gain(PAGE, headline, right([0, 1] + [1] * 79 + [0] * 19), champion, seed=0).holds
    assert not gate.gain(PAGE, headline, champion, champion, seed=0).holds


def test_the_bootstrap_is_paired_and_has_the_right_width() -> None:
    """Differences of 0 and 1 with mean p have standard error sqrt(p (1 - p) / n)."""
    challenger, champion = right([1] * 100), right([1] * 80 + [0] * 20)
    gains = gate.resampled(headline, challenger, champion, seed=1)
    assert gains.mean() == pytest.approx(0.2, abs=0.005)
    assert gains.std() == pytest.approx(np.sqrt(0.2 * 0.8 / 100), rel=0.1)


def test_another_schema_is_refused() -> None:
    one = {"input": {"shape": [28, 28]}, "output": {"labels": [0, 1]}}
    assert gate.schema(one, {**one, "version": 3}).holds
    refused = gate.schema({**one, "output": {"labels": [0]}}, {**one, "version": 3})
    assert not refused.holds
    assert "version 3" in refused.words
