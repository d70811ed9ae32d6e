"""Atelier's pipelines: stages, families, and what they share."""

import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports usage when it is imported
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # so does OpenVINO, unless this import fails
