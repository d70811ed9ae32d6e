"""The champion as every side needs it: what is served, its Keras network, and an MLflow model around that."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import Stopped
from pipelines import ledger, outputs, registry

FAMILY, NATIVE = "digits", Path("native", "model.keras")


def _line() -> dict[str, Any]:
    line = ledger.champion(ledger.read(FAMILY))
    if line is None:
        raise Stopped(f"{FAMILY} has no champion. Train one: make train family={FAMILY}")
    return line


def served() -> Path:
    """A folder with what the champion serves: stored, trained here, or released."""
    return registry.served(_line())


def native() -> Path:
    """The champion's Keras network; where only its release is here, that of the same candidate trained here. Raises Stopped."""
    line = _line()
    try:
        return registry.whole(line) / NATIVE
    except outputs.NotHere:
        again = Path("models", line["candidate"]) / NATIVE
        if not again.exists():
            raise Stopped(f"{again} is not here, and the Keras peers need it. Train it: make train family={FAMILY}") from None
        return again


def accuracy() -> float:
    """The champion's, on the test split."""
    return float(_line()["figures"]["test"]["accuracy"])


def mlflow_model(folder: Path) -> Path:
    """The Keras network, with the softmax that serving needs, as an MLflow model in `folder`."""
    words = [sys.executable, "-m", "benchmarks.peers.mlflow_model", str(native()), str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    return folder
