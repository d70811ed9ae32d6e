"""One prediction in process: Atelier's Predictor against Keras and mlflow.pyfunc around the same network."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, models

ROUNDS = 7
PEERS = {"graph": "Keras tf.function(model)(x)", "call": "Keras model(x)", "predict": "Keras model.predict", "pyfunc": "mlflow.pyfunc"}


def measure() -> Iterator[harness.Row]:
    """Milliseconds for one image, and the peak memory of each process."""
    with tempfile.TemporaryDirectory() as scratch:
        places = {"onnx": models.served("digits"), **peers(Path(scratch))}
        words = {kind: [sys.executable, "-m", "benchmarks.child", kind, str(place)] for kind, place in places.items()}
        with harness.children(words) as running:
            found = harness.in_turn({kind: child.measure for kind, child in running.items()}, ROUNDS)
    ours = found.pop("onnx")
    for kind, peer in found.items():
        values = [[line["value"] for line in side] for side in (ours, peer)]
        peak = {"ours": round(ours[-1]["peak_mb"]), "peer": round(peer[-1]["peak_mb"])}
        yield harness.row(f"one prediction: {PEERS[kind]}", "ms", "less", *values, peak_mb=peak, accuracy=models.accuracy("digits"))
    if not found:
        yield harness.row("one prediction", "ms", "less", [line["value"] for line in ours])


def peers(scratch: Path) -> dict[str, Path]:
    """What each kind of peer loads; none without the Keras network."""
    with harness.optional("Keras and mlflow.pyfunc"):
        keras = dict.fromkeys(("graph", "call", "predict"), models.native("digits"))
        return {**keras, "pyfunc": models.mlflow_model(scratch / "model")}
    return {}
