"""A champion as every side needs it: what is served, its network as it was trained, and an MLflow model around that."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import Absent, Stopped
from pipelines.artifacts import cache
from pipelines.ledger import lines as ledger
from pipelines.models import manifests
from pipelines.registry import versions


def _line(family: str) -> dict[str, Any]:
    line = ledger.champion(ledger.read(family))
    if line is None:
        raise Stopped(f"{family} has no champion. Train one: make train family={family}")
    return line


def served(family: str) -> Path:
    """A folder with what the champion serves: stored, trained here, or released."""
    return versions.served_folder(_line(family))


def native(family: str) -> Path:
    """The champion's Keras or PyTorch network; where only its release is here, that of the same candidate trained here. Raises Absent."""
    line = _line(family)
    try:
        return trained(versions.model_folder(line))
    except cache.NotHere:
        again = Path("models", line["candidate"])
        if not (again / manifests.MANIFEST).exists():
            raise Absent(f"{again} is not here. Train it: make train family={family}") from None
        return trained(again)


def trained(folder: Path) -> Path:
    """The file of a model folder that only training reads."""
    return next(folder / name for name, entry in manifests.read(folder)["files"].items() if not entry["served"])


def accuracy(family: str) -> float:
    """The champion's, on the test split."""
    return float(_line(family)["figures"]["test"]["accuracy"])


def mlflow_model(folder: Path) -> Path:
    """The Keras network of digits, with the softmax that serving needs, as an MLflow model in `folder`."""
    words = [sys.executable, "-m", "benchmarks.peers.mlflow_model", str(native("digits")), str(folder)]
    subprocess.run(words, check=True, capture_output=True)
    return folder
