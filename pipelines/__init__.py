"""Atelier's pipelines: stages (verbs), families (rooms) and the services between them."""

import os
import sys

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reports to its maker from the moment it is imported
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # so does OpenVINO, unless this cannot be imported
