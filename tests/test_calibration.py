"""Temperature, against logits whose temperature is known."""

import numpy as np
import pytest

from pipelines.training import calibration


@pytest.mark.parametrize("divisor", [0.5, 1.0, 3.0])
def test_the_temperature_of_calibrated_logits_is_found(divisor: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 10)) * 2
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > random.random((len(logits), 1))).argmax(1)
    assert calibration.temperature(logits * divisor, labels) == pytest.approx(divisor, rel=0.06)


@pytest.mark.parametrize("count", [50, 500])
def test_a_model_that_errs_nowhere_on_few_examples_is_not_called_certain(count: int) -> None:
    labels = np.arange(count) % 10
    logits = np.eye(10, dtype=np.float32)[labels] * 10
    tempered = logits / calibration.temperature(logits, labels)
    confidence = (np.exp(tempered) / np.exp(tempered).sum(1, keepdims=True)).max(1).mean()
    assert 1 - confidence == pytest.approx(1 / (count + 2), rel=0.2)
