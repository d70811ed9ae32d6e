"""Temperature, against logits whose temperature is known."""

import numpy as np
import pytest

from pipelines import calibration


@pytest.mark.parametrize("divisor", [0.5, 1.0, 3.0])
def test_the_temperature_of_calibrated_logits_is_found(divisor: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 10)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > random.random((len(logits), 1))).argmax(1)
    assert calibration.temperature(logits * divisor, labels) == pytest.approx(divisor, rel=0.06)


def test_a_model_that_is_always_right_stays_finite() -> None:
    logits = np.eye(10, dtype=np.float32) * 20
    assert calibration.temperature(logits, np.arange(10)) == pytest.approx(0.25)
