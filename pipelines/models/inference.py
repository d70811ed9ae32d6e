"""ONNX Runtime as every family runs it: on the CPU, one batch at a time."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import devices

if TYPE_CHECKING:
    import onnxruntime


def session(path: Path, threads: int | None = None) -> "onnxruntime.InferenceSession":
    """Load a model with `threads`, by default one a core. Idle threads sleep instead of spinning."""
    import onnxruntime  # where another runtime serves, it is never loaded

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or devices.cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
