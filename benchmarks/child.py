"""One prediction of digits in process, a runtime at a time: `python -m benchmarks.child onnx <model>`. Measures for every line read."""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import example
from pipelines import devices

TIMES = {"onnx": 500, "graph": 500, "call": 200, "predict": 20, "pyfunc": 20}  # predictions a round


def onnx(folder: Path) -> Callable[[], Any]:
    """Atelier: what the endpoint calls."""
    from pipelines.families.digits.predict import Predictor

    predictor, picture = Predictor(folder), example.seven()[None]
    return lambda: predictor.predict(picture)[0]


def call(network: Path) -> Callable[[], Any]:
    """Keras: model(x)."""
    model, pixels = keras(network), scaled()
    return lambda: np.asarray(model(pixels, training=False))[0]


def graph(network: Path) -> Callable[[], Any]:
    """Keras: model(x) traced once by tf.function, the fastest of the ways that TensorFlow has."""
    import tensorflow as tf

    model, pixels = tf.function(keras(network)), tf.constant(scaled())
    return lambda: np.asarray(model(pixels, training=False))[0]


def predict(network: Path) -> Callable[[], Any]:
    """Keras: model.predict(x)."""
    model, pixels = keras(network), scaled()
    return lambda: model.predict(pixels, verbose=0)[0]


def pyfunc(folder: Path) -> Callable[[], Any]:
    """MLflow: pyfunc around the same Keras model."""
    import mlflow

    model, pixels = mlflow.pyfunc.load_model(str(folder)), scaled()
    return lambda: model.predict(pixels)[0]


def keras(network: Path) -> Any:
    import keras as library

    return library.saving.load_model(network)


def scaled() -> Any:
    return example.seven()[None, ..., None].astype(np.float32) / 255


def timed(ask: Callable[[], Any], times: int) -> float:
    """Milliseconds a prediction, the median."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        found.append(time.perf_counter() - begun)
    return statistics.median(found) * 1000


def main() -> None:
    """Load, check the answer, then measure whenever a line comes."""
    kind, folder = sys.argv[1], Path(sys.argv[2])
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115, PTH123 - frameworks talk
    ask = globals()[kind](folder)
    assert int(np.argmax(ask())) == example.LABELS["digits"]
    for _ in sys.stdin:
        print(json.dumps({"value": timed(ask, TIMES[kind]), "peak_mb": devices.peak_memory_mb()}), file=out, flush=True)


if __name__ == "__main__":
    main()
