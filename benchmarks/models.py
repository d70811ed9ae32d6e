"""The champion as every side needs it: its whole folder, and an MLflow model around its Keras network."""

import subprocess
import sys
from pathlib import Path

from pipelines import ledger, registry

FAMILY = "digits"


def champion() -> Path:
    """The whole model folder of the champion, native network included. Raises outputs.NotHere where only the release is."""
    line = ledger.champion(ledger.read(FAMILY))
    assert line is not None
    return registry.whole(line)


def accuracy() -> float:
    """The champion's, on the test split."""
    line = ledger.champion(ledger.read(FAMILY))
    assert line is not None
    return float(line["figures"]["test"]["accuracy"])


def mlflow_model(folder: Path) -> Path:
    """The champion's Keras network, with the softmax that serving needs, as an MLflow model in `folder`."""
    words = [sys.executable, "-m", "benchmarks.peers.mlflow_model", str(champion() / "native/model.keras"), str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    return folder
