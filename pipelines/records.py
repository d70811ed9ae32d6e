"""record.json beside model.json: what varies from one training of a recipe to the next."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from pipelines import devices, folders
from pipelines.trainings import Training

RECORD = "record.json"
ROOT = Path(__file__).parents[1]
REPORTED = (
    "keras",
    "tensorflow",
    "torch",
    "torchvision",
    "safetensors",
    "onnx",
    "onnxscript",
    "tf2onnx",
    "onnxruntime",
    "numpy",
    "mlflow",
    "dvc",
)


def write(folder: Path, training: Training, begun: dict[str, Any]) -> dict[str, Any]:
    """Write record.json: key, what begun() gave when training began, versions, hardware, seconds, memory."""
    record = {
        "key": training.key,
        "started": training.started,
        **begun,
        "versions": versions(),
        "hardware": devices.hardware(),
        "seconds": training.seconds(),
        "peak_memory_mb": devices.peak_memory_mb(),
    }
    folders.write_json(folder / RECORD, record)
    return record


def read(folder: Path) -> dict[str, Any]:
    """The record of a model folder."""
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    return record


def begun() -> dict[str, Any]:
    """{"commit", "dirty", "code"} as a training begins: commit is None outside git; reports and locks do not make it dirty."""
    dirty = bool(_git("status", "--porcelain", "--", "pipelines", "conf", "serving"))
    return {"commit": _git("rev-parse", "HEAD"), "dirty": dirty, "code": code()}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def code() -> dict[str, str]:
    """SHA-256 of every module of this project that the process has imported, by its path."""
    files = {Path(found) for module in list(sys.modules.values()) if (found := getattr(module, "__file__", None))}
    own = sorted(path for path in files if path.is_relative_to(ROOT / "pipelines"))
    return {str(path.relative_to(ROOT)): folders.sha256(path) for path in own}


def versions() -> dict[str, str]:
    """Versions of the packages that decide a result, where they are installed."""
    installed = {dist.name.lower(): dist.version for dist in metadata.distributions()}
    return {"python": sys.version.split()[0], **{name: installed[name] for name in REPORTED if name in installed}}
